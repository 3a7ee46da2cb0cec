"""The first look at all that a command needs, so that it fails early and says why."""

import asyncio
import logging
from collections.abc import Callable

from pymilvus import MilvusClient
from redis.asyncio import Redis

from contract.errors import EmbeddingDeniedError, PermanentError, TransientError, UsageError
from contract.ledger.connection import check as check_redis
from contract.ledger.rebuilding import Rebuilding
from contract.settings import Settings
from headrace.verify.commitments import Commitments
from headrace.verify.differences import Findings, Kind
from headrace.verify.rebuild import rebuild
from headrace.verify.rows import Rows
from worker.collections import ensure_collection, held_model, identity
from worker.embedding.embedder import Embedder, ModelIdentity
from worker.milvus import connect as connect_milvus
from worker.milvus import quiet_libraries, translated

logger = logging.getLogger(__name__)


async def prepare_collection(
    redis: Redis,
    settings: Settings,
    collection: str,
    embedder: Embedder,
    *,
    say: Callable[[str], None] = logger.warning,
) -> ModelIdentity:
    """Make sure that Redis, Milvus and the model answer, and that collection and ledger fit.

    A ledger that was lost is rebuilt from the collection, and documents are to be read again
    whose rows went with a collection that was dropped; ``say`` is told of either.

    Returns:
        The model whose vectors the collection holds.

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
        physical = await ensure_collection(client, redis, settings, collection, model)
        await _match(client, Rebuilding(redis, collection), settings, physical, say)
    finally:
        await asyncio.to_thread(client.close)
    return model


async def _match(
    client: MilvusClient,
    rebuilding: Rebuilding,
    settings: Settings,
    physical: str,
    say: Callable[[str], None],
) -> None:
    """Have ledger and collection know of each other; they may have lost each other since.

    Killed anywhere, the next command does the rest: each note is made after what it says.
    """
    with translated(settings):
        own = await asyncio.to_thread(identity, client, physical)
    known = await rebuilding.counterpart()
    is_built = await rebuilding.is_built()
    if known == own and is_built:
        return
    async with Rows.open(settings, rebuilding.collection) as rows:
        is_empty = await rows.is_empty()
        if known != own:
            if known is not None or is_empty:
                await _give_up_lost(rows, rebuilding, say, at_rest=known is not None)
            await rebuilding.set_counterpart(own)
        if not is_built and not is_empty:
            await _rebuild(rows, rebuilding, say)
        elif not is_built:
            await rebuilding.mark_built()


async def _give_up_lost(
    rows: Rows, rebuilding: Rebuilding, say: Callable[[str], None], *, at_rest: bool
) -> None:
    """Have documents read again whose rows went with the collection that was there before.

    Of the same collection, made by a worker, it is not known whether what is unfinished has
    lost anything; of another one it is.
    """
    findings = Findings()
    await Commitments(rows, rebuilding, findings, at_rest=at_rest, mend=True).check()
    lost = findings.subjects[Kind.MISSING] + findings.subjects[Kind.UNFINISHED]
    if lost:
        say(
            f"collection {rebuilding.collection!r} was dropped, and the rows of {lost} documents "
            "with it: they count as changed now. An import of their sources brings them again; "
            "so does `headrace verify --repair`, for all that are here"
        )


async def _rebuild(rows: Rows, rebuilding: Rebuilding, say: Callable[[str], None]) -> None:
    say(f"the ledger does not know all of collection {rebuilding.collection!r}: rebuilding it")
    done = await rebuild(rows, rebuilding)
    say(
        f"{done.adopted} documents are known again"
        + (f"; {done.incomplete} are not whole, and are read again" if done.incomplete else "")
        + (f"; {done.foreign} rows belong to no document" if done.foreign else "")
    )


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
