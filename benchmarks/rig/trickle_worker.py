"""Workers of ``benchmarks/trickle.py``: the usual one, or with parts of it replaced.

``TRICKLE_STOCK`` takes kombu's own transport and Celery's own pool of threads, ``TRICKLE_HOLLOW``
drops each batch as soon as its message has come to a thread.
"""

import os

from kombu.transport import TRANSPORT_ALIASES

from contract.lane import Lane
from contract.queue import SOCKET_TRANSPORT
from worker.app import app, process

__all__ = ["app"]

_STOCK = "kombu.transport.redis:Transport"


def _drop(_collection: str, _batch_id: str, lane: Lane) -> None:
    """Do nothing for a message, but have heard it."""
    with process.slots[lane].one_taken():
        pass


if os.environ.get("TRICKLE_STOCK"):
    TRANSPORT_ALIASES[SOCKET_TRANSPORT] = _STOCK
    app.conf.update(worker_pool="threads", broker_transport=_STOCK)
    app.conf.broker_transport_options["queue_order_strategy"] = "priority"
if os.environ.get("TRICKLE_HOLLOW"):
    vars(process)["ingest"] = _drop
