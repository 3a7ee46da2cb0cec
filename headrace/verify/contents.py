"""From sources to the ledger: has what was imported changed since?"""

from collections.abc import Iterable

from contract.ledger.promises import Promises
from contract.settings import Settings
from headrace.dry_run import DryRun
from headrace.verify.differences import Difference, Findings, Kind
from producers.deleting import Deletions
from producers.sources.files import FileSource

_KINDS = {"new": Kind.SOURCE_NEW, "changed": Kind.SOURCE_CHANGED, "deleted": Kind.SOURCE_GONE}
_SAYING = {
    Kind.SOURCE_NEW: "is in the source only",
    Kind.SOURCE_CHANGED: "has changed in the source",
    Kind.SOURCE_GONE: "is gone from the source",
}


async def compare_sources(
    settings: Settings,
    collection: str,
    promises: Promises,
    sources: Iterable[FileSource],
    findings: Findings,
) -> None:
    """List and read sources, and ask the ledger about each document; changes nothing."""
    for source in sources:
        run = DryRun(
            settings, source, collection, promises, Deletions.ALLOWED, verify_contents=True
        )
        forecast = await run.look()
        for named in forecast.documents:
            kind = _KINDS[named.fate]
            findings.add(
                Difference(
                    kind=kind,
                    subject=named.key,
                    source=source.name,
                    key=named.key,
                    detail=_SAYING[kind],
                )
            )
        counts = {"new": forecast.new, "changed": forecast.changed, "deleted": forecast.deleted}
        for fate, kind in _KINDS.items():
            unnamed = counts[fate] - sum(named.fate == fate for named in forecast.documents)
            findings.count(kind, unnamed)
        if forecast.incomplete:
            findings.note(f"source {source.name}: the listing did not see everything")
        if forecast.new or forecast.changed or forecast.deleted:
            findings.note(f"source {source.name} has changed; run: headrace import {source.origin}")
