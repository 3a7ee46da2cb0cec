"""Two sources of the same name: which would replace each other's documents."""

from collections.abc import Iterable

from contract.errors import UsageError
from contract.ledger.promises import Promises
from producers.sources.source import Source
from producers.sources.stream import Stream


async def refuse_namesakes(promises: Promises, sources: Iterable[Source]) -> None:
    """Refuse a source that was imported from another place under the same name.

    Raises:
        UsageError: says what to type if it has moved, and if it is another one.
    """
    for source in sources:
        before = await promises.origin(source.name)
        if before not in {None, source.origin}:
            raise UsageError(
                f"source {source.name!r} was imported from {before}, not {source.origin}; "
                f"type --source NAME to give this one another name, or --source "
                f"{source.name} if it has moved"
            )


async def refuse_takeover(promises: Promises, stream: Stream, *, named: bool) -> None:
    """Refuse a stream whose source is a folder, or, unless the user named it, another stream.

    Raises:
        UsageError: says what to type.
    """
    before = await promises.origin(stream.name)
    if before in {None, stream.origin} or (named and not str(before).startswith("/")):
        return
    raise UsageError(
        f"source {stream.name!r} was brought in from {before}, not {stream.origin}; type "
        "--source NAME to give this one another name"
    )
