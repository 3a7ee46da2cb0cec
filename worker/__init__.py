"""Batches in, vectors out.

Read in this order: ``task`` (what Celery calls), ``ingest`` (claim, embed, write, commit),
``lease``, ``retry`` and ``isolation`` (what happens when something fails), ``embedding``
and ``store`` (the two adapters), ``lifecycle`` and ``app`` (how a process is put together).
"""
