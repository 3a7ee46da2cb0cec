"""What it costs that documents are cut in another way than at the last import."""

from collections.abc import Callable, Sequence

from contract.ledger.promises import Promises
from contract.settings import Settings
from headrace.dry_run import DryRun
from headrace.forecast import Forecast, cost_text
from producers.cutting import cutting_of, difference
from producers.sources.files import FileSource
from producers.sources.source import Source
from producers.splitting import SplitOptions


async def notices(
    settings: Settings,
    collection: str,
    promises: Promises,
    sources: Sequence[Source],
    say: Callable[[str], None],
) -> list[str]:
    """Tell of each source that would be cut anew why that is, and what it costs at the most.

    Args:
        settings: how documents are cut now, and what embedding costs.
        collection: where they go.
        promises: of the collection.
        sources: what is to be imported; files that would be cut anew are read.
        say: takes lines for a person.

    Returns:
        What was said of each source, empty where nothing had to be.
    """
    options = SplitOptions.of(settings)
    found = []
    for source in sources:
        before = await promises.cutting(source.name)
        changes = difference(before, cutting_of(source, options)) if before else ""
        notice = ""
        if changes and not isinstance(source, FileSource):
            notice = f"{source.name}: {changes}: what comes is embedded anew"  # it comes once
        elif changes:
            say(f"{source.name}: cut in another way now ({changes}); counting what that costs")
            forecast = await DryRun(settings, source, collection, promises).look()
            notice = _notice(forecast, changes)
        if notice:
            say(notice)
        found.append(notice)
    return found


def _notice(forecast: Forecast, changes: str) -> str:
    """Say what is to be embedded; nothing where that is nothing."""
    if not forecast.chunks:
        return ""
    new = f" and {forecast.new} new" if forecast.new else ""
    return (
        f"{forecast.source}: {changes}: {forecast.changed} documents to be embedded anew{new}, "
        f"at most {forecast.chunks} chunks, {forecast.tokens} tokens, "
        f"{cost_text(forecast.cost_usd)}"
    )
