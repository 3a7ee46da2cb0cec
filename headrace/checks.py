"""The first look at all that a command needs, so that it fails early and says why."""

import asyncio
import logging

from redis.asyncio import Redis

from contract.errors import EmbeddingDeniedError, PermanentError, TransientError, UsageError
from contract.ledger.connection import check as check_redis
from contract.settings import Settings
from worker.collections import ensure_collection, held_model
from worker.embedding.embedder import Embedder, ModelIdentity
from worker.milvus import connect as connect_milvus
from worker.milvus import quiet_libraries, translated

logger = logging.getLogger(__name__)


async def prepare_collection(
    redis: Redis, settings: Settings, collection: str, embedder: Embedder
) -> None:
    """Make sure that Redis, Milvus and the model answer, and that the collection fits.

    Raises:
        UnreachableError: a server does not answer within the connect time-out.
        UsageError: it refuses the credentials, or the collection holds another model.
    """
    quiet_libraries()
    await check_redis(redis, settings)
    client = await asyncio.to_thread(connect_milvus, settings)
    try:
        with translated(settings):
            held = await asyncio.to_thread(held_model, client, collection)
        model = await _identify(embedder, held)
        await ensure_collection(client, redis, settings, collection, model)
    finally:
        await asyncio.to_thread(client.close)


async def _identify(embedder: Embedder, held: ModelIdentity | None) -> ModelIdentity:
    """Ask the model who it is; what it refuses now it would refuse for every text.

    Before a collection is made, the model has to embed a text; later imports may find that
    nothing has changed, and then they ask it nothing.
    """
    try:
        if held is None:
            await embedder.embed(["headrace"])
        return await embedder.identify(held)
    except (EmbeddingDeniedError, PermanentError) as error:
        raise UsageError(str(error)) from error


async def flush_collection(settings: Settings, collection: str) -> None:
    """Write a collection's rows out, which makes searches in Milvus Lite many times faster.

    Nothing depends on it: where it fails, searches are slow until the next time.
    """
    try:
        client = await asyncio.to_thread(connect_milvus, settings)
        try:
            with translated(settings):
                await asyncio.to_thread(client.flush, collection)
        finally:
            await asyncio.to_thread(client.close)
    except TransientError as error:
        logger.warning("not flushed", extra={"event": "not_flushed", "error": str(error)})
