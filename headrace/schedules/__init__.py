"""Schedules: when a source is brought in again, by whom, and what became of it.

``headrace scheduler`` finds out what is due (``beat``), decides by each schedule's policies and
writes runs down (``book``); producer workers (``app``) claim runs under a lease and carry them out
(``runner``). As with batches, messages are hints, and what is written down counts.
"""
