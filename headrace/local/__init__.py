"""What runs on the user's own machine when no server is configured.

Read in this order: ``folder`` (where the data lies), ``lock`` (who uses it), ``server`` (a
process that may outlive its parent), ``redis_server`` and ``milvus_server`` (how each is
started and asked), ``embedded`` (find, start, stop one of them), ``servers`` (both, for one
command), ``children`` (worker processes of one command).
"""
