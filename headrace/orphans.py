"""Batches whose worker has died: others may have them at once, not at the end of their lease."""

from contextlib import suppress

from contract.errors import TransientError
from contract.ledger.connection import connect, translated
from contract.ledger.sweeper import sweep_once
from contract.queue import make_app
from contract.settings import Settings
from worker.identity import worker_id_prefix


async def take_away(settings: Settings, pid: int) -> None:
    """Announce the batches of a worker process of this machine again; in vain in an outage."""
    redis = connect(settings)
    try:
        with suppress(TransientError), translated(settings):
            await sweep_once(redis, make_app(settings), silent_owner=worker_id_prefix(pid))
    finally:
        await redis.aclose()
