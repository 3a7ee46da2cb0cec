"""Bringing in a stream from start to summary."""

from collections.abc import Callable

from redis.asyncio import Redis

from contract.ledger.promises import Promises
from headrace.importing import Import, ImportOptions
from headrace.namesakes import refuse_takeover
from headrace.progress import Progress
from headrace.session import Session
from headrace.summary import Summary
from producers.sources.stream import Stream
from producers.streaming import StreamProducer


async def bring(
    session: Session,
    options: ImportOptions,
    open_stream: Callable[[int], Stream],
    *,
    on_progress: Callable[[Progress], None],
    say: Callable[[str], None],
) -> Summary:
    """Bring in what a stream gives until it ends, and wait until all of it can be found.

    Args:
        session: the servers.
        options: where to, and whether to wait.
        open_stream: dimension of the collection's vectors -> the stream; what it needs the
            caller closes.
        on_progress: told several times a second how far it is.
        say: takes lines for a person.

    Raises:
        CancelledJobError: the job was cancelled from elsewhere.
        UnreachableError: a server does not answer.
        UsageError: configuration, collection or source do not fit.
    """
    importing = Import(session, options, on_progress=on_progress, say=say)

    async def make(redis: Redis) -> list[StreamProducer]:
        stream = open_stream(importing.dimension)
        promises = Promises(redis, options.collection)
        await refuse_takeover(promises, stream, named=options.named_source)
        return [StreamProducer(redis, session.settings, stream, options.collection)]

    (summary,) = await importing.produce(make)
    return summary
