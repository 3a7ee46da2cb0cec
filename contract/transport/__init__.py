"""Celery's transport for Redis, so that no kill loses a message and no outage ends a worker.

The layout of the queues is kombu's own: its producers and consumers may take part.

kombu 5.7 takes a message off the queue and writes down that it did in two steps; a process that
is killed in between has lost it (measured: 21 in 90 kills of busy workers). Here one script does
both, for as many messages as there is room for, and takes the acknowledgements along.

When a broker restarts, kombu 5.7 closes a channel whose connection is gone already and reads an
attribute of None: the worker ends with "Unrecoverable error" (measured: 10 of 31 restarts). A
connection error instead is one that Celery recovers from by reconnecting.

When acknowledging fails, kombu 5.7 keeps the message's place among the prefetched ones, and a
worker whose places were all taken stays deaf for good. Here the place is given back.

When Redis is full, kombu 5.7 takes a message off the queue, can't write down that it did, and
raises: the message is lost and the worker ends, so that nobody is left to make room. Here the
script may write all the same, as it only moves what is there.

After an outage kombu waits up to 30 s between two attempts to connect; here up to 2 s.
"""
