"""Replaying dead letters from start to summary."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from redis.asyncio import Redis

from contract.ledger.connection import check, connect, translated
from contract.ledger.promises import Promises
from contract.settings import Settings
from headrace.importing import Import, ImportOptions
from headrace.progress import Progress
from headrace.selection import Selection
from headrace.session import Session
from headrace.summary import NAMED_OMISSIONS, Left, Summary
from producers.replaying import Replay
from producers.sources.chosen_files import ChosenFiles


@dataclass(frozen=True, slots=True)
class ReplaySummary:
    """What became of the letters of one source; counts are of documents."""

    collection: str
    source: str
    job: str
    state: str
    """``done``, or ``detached`` when nobody waited."""
    replayed: int
    """Promised once more; those that failed again are among them."""
    pending: int
    """Another job was at them already."""
    outdated: int
    """Their content was replaced since; the letters are gone."""
    failed: int
    """Dead again, or not to be had from the source."""
    refused: int
    """Can't be replayed, or have no text any more; the letters stay."""
    chunks: int
    tokens: int
    seconds: float
    left_out: tuple[Left, ...]
    """Those that failed or were refused."""

    @property
    def has_dead_letters(self) -> bool:
        """Tell whether letters are left of those that were meant."""
        return self.failed + self.refused > 0

    def as_dict(self) -> dict[str, Any]:
        """Give the fields, for JSON."""
        return asdict(self)


async def replay(
    session: Session,
    selection: Selection,
    *,
    accept: bool = False,
    detach: bool = False,
    on_progress: Callable[[Progress], None],
    say: Callable[[str], None],
) -> list[ReplaySummary]:
    """Try dead letters once more, and wait until all is through.

    Args:
        session: the servers.
        selection: which letters.
        accept: leave the chunks out that are to blame.
        detach: publish, and leave the rest to workers that run elsewhere.
        on_progress: told several times a second how far it is.
        say: takes lines for a person.

    Returns:
        One for each source that had such letters; none when there were none.

    Raises:
        CancelledJobError: a job was cancelled from elsewhere.
        UnreachableError: a server does not answer.
        UsageError: the configuration does not fit.
    """
    summaries = []
    for collection, origins in (await _origins(session.settings, selection)).items():
        options = ImportOptions(collection, detach=detach)
        importing = Import(session, options, on_progress=on_progress, say=say)
        replays: list[Replay] = []

        async def make(
            redis: Redis,
            collection: str = collection,
            origins: dict[str, str] = origins,
            replays: list[Replay] = replays,
        ) -> list[Replay]:
            for source, origin in origins.items():
                files = ChosenFiles(source, origin)
                replays.append(
                    Replay(
                        redis,
                        session.settings,
                        collection,
                        files,
                        selection.matches,
                        accept=accept,
                    )
                )
            return replays

        ended = await importing.produce(make)
        summaries += [_summary(*pair) for pair in zip(replays, ended, strict=True)]
    return summaries


async def _origins(settings: Settings, selection: Selection) -> dict[str, dict[str, str]]:
    """Find the sources that have such letters: collection -> source -> origin."""
    redis = connect(settings)
    try:
        await check(redis, settings)
        with translated(settings):
            found: dict[str, dict[str, str]] = {}
            async for collection, letter in selection.letters(redis):
                origins = found.setdefault(collection, {})
                if letter.source not in origins:
                    origin = await Promises(redis, collection).origin(letter.source)
                    origins[letter.source] = origin or "not known here"
            return found
    finally:
        await redis.aclose()


def _summary(replay: Replay, ended: Summary) -> ReplaySummary:
    refused = tuple(
        Left(refusal.key, "refused", refusal.message, failed=True) for refusal in replay.refusals
    )
    return ReplaySummary(
        collection=ended.collection,
        source=ended.source,
        job=ended.job,
        state=ended.state,
        replayed=replay.tally.promised,
        pending=ended.resumed,
        outdated=replay.outdated,
        failed=ended.failed,
        refused=replay.refused + ended.skipped,
        chunks=ended.chunks,
        tokens=ended.tokens,
        seconds=ended.seconds,
        left_out=(*ended.left_out, *refused),
    )


def text_of(summary: ReplaySummary) -> str:
    """Write a summary for a person."""
    counts = {
        "replayed": summary.replayed,
        "failed again": summary.failed,
        "in another job's hands": summary.pending,
        "changed since (forgotten)": summary.outdated,
        "can't be replayed": summary.refused,
    }
    said = ", ".join(f"{n} {what}" for what, n in counts.items() if n or what == "replayed")
    lines = [
        f"{summary.source} -> {summary.collection}  (job {summary.job}, {summary.state})",
        f"  documents  {said}",
        f"  chunks     {summary.chunks} written, in {summary.seconds:.1f} s",
    ]
    lines += [f"  left       {x.key}: {x.message}" for x in summary.left_out[:NAMED_OMISSIONS]]
    unnamed = summary.failed + summary.refused - NAMED_OMISSIONS
    if unnamed > 0:
        lines.append(
            f"  left       ... and {unnamed} more; `headrace dead-letters list` names them"
        )
    return "\n".join(lines)
