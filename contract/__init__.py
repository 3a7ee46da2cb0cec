"""What producers and workers agree on.

Read in this order: ``batch`` (the noun that travels), ``ids`` (how rows are named),
``errors``, ``settings``, ``names`` (Redis keys), ``ledger`` (what was promised and what
was done), ``queue`` (how a worker hears of a batch). Smaller ones: ``transport`` (Celery's, with
two faults taken out), ``presence`` (who is there), ``wordpiece`` (how tokens are counted),
``logs``, ``tasks``.
"""
