"""Two folders of the same name: which would replace each other's documents."""

from collections.abc import Iterable

from contract.errors import UsageError
from contract.ledger.promises import Promises
from producers.sources.source import Source


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
