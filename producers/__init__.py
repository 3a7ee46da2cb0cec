"""Sources in, batches out: finds documents, cuts them into chunks, hands these to workers.

Read in the order in which a document passes: ``sources`` (list), ``sources.files`` (read),
``parsing`` (parse), ``splitting`` (split), ``planning`` (plan), ``batching`` (batch),
``publishing`` (publish). ``document`` holds the nouns that the first three share.
"""
