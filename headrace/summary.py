"""What an import did, for a person and for ``--json``."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from contract.ledger.jobs import Job
from contract.ledger.records import DeadLetter
from contract.prices import cost_usd
from headrace.savings import savings_text
from producers.tally import Tally

NAMED_OMISSIONS = 20
"""How many left-out files the text names; ``--json`` names all that were kept."""


@dataclass(frozen=True, slots=True)
class Left:
    """One file that was left out or failed."""

    key: str
    reason: str
    message: str
    failed: bool


@dataclass(frozen=True, slots=True)
class Summary:
    """The end of an import; counts are of documents unless they say otherwise."""

    source: str
    collection: str
    job: str
    state: str
    """``done``, ``budget reached``, or ``detached`` when nobody waited."""
    new: int
    changed: int
    deleted: int
    """Gone from the source, or without text now."""
    unchanged: int
    resumed: int
    """Promised by an earlier run that was interrupted, and finished now."""
    skipped: int
    failed: int
    kept: int
    """Gone from the source and not deleted, by a guard or on demand."""
    incomplete: bool
    """The listing did not see everything: nothing was deleted."""
    held: str
    """Which budget was reached, so that the rest waits for the next run; empty if none was."""
    chunks: int
    reused: int
    """Of the chunks, those whose vectors were there already."""
    tokens: int
    cached: int
    """Of the chunks, those whose vectors came from the embedding cache."""
    tokens_saved: int
    """What these had cost when they were made, as far as the endpoint told."""
    usd_saved: float | None
    """For these tokens; None when no price is known."""
    seconds: float
    chunks_per_second: float
    left_out: tuple[Left, ...]

    @property
    def has_dead_letters(self) -> bool:
        """Tell whether some documents could not be ingested."""
        return self.failed > 0

    def as_dict(self) -> dict[str, Any]:
        """Give the fields, for JSON."""
        return asdict(self)


def summarise(
    own: Job,
    letters: Sequence[DeadLetter],
    tally: Tally,
    seconds: float,
    state: str,
    price: float | None = None,
) -> Summary:
    """Add up what a job did.

    Args:
        own: the job.
        letters: dead letters of workers, of this job and of those that it waited for; one for
            a document.
        tally: what its producer saw.
        seconds: how long it took.
        state: how it ended.
        price: US dollars per million tokens, if known.
    """
    counters = tally.counters()
    dead = [Left(letter.key, letter.reason, letter.message, failed=True) for letter in letters]
    chunks = own.count("chunks_written")
    return Summary(
        source=own.source,
        collection=own.collection,
        job=own.id,
        state=state,
        new=own.count("documents_new"),
        changed=own.count("documents_changed"),
        deleted=own.count("documents_deleted"),
        unchanged=counters["documents_unchanged"],
        resumed=counters["documents_pending"],
        skipped=counters["documents_skipped"],
        failed=counters["documents_unreadable"] + len(dead),
        kept=tally.kept,
        incomplete=tally.incomplete,
        held=tally.held,
        chunks=chunks,
        reused=own.count("chunks_reused"),
        tokens=own.count("tokens"),
        cached=own.count("chunks_cached"),
        tokens_saved=own.count("tokens_saved"),
        usd_saved=cost_usd(own.count("tokens_saved"), price),
        seconds=round(seconds, 3),
        chunks_per_second=round(chunks / seconds, 1) if seconds > 0 else 0.0,
        left_out=(*left_of(tally), *dead),
    )


def left_of(tally: Tally) -> tuple[Left, ...]:
    """Name what a listing left out, as far as the tally kept it."""
    return tuple(
        Left(omission.key, omission.reason, omission.message, omission.failed)
        for omission in tally.omissions
    )


def text_of(summary: Summary) -> str:
    """Write a summary for a person."""
    lines = [
        f"{summary.source} -> {summary.collection}  (job {summary.job}, {summary.state})",
        f"  documents  {summary.new} new, {summary.changed} changed, "
        + (f"{summary.deleted} deleted, " if summary.deleted else "")
        + f"{summary.unchanged} unchanged, {summary.failed} failed, {summary.skipped} skipped"
        + (f", {summary.resumed} resumed" if summary.resumed else ""),
        f"  chunks     {summary.chunks} written"
        + (f" ({summary.reused} with vectors that were there)" if summary.reused else "")
        + (f", {summary.tokens} tokens" if summary.tokens else "")
        + f", in {summary.seconds:.1f} s ({summary.chunks_per_second:.0f} chunks/s)",
    ]
    saved = savings_text(summary.cached, summary.tokens_saved, summary.usd_saved)
    if saved:
        lines.append(f"  cache      {saved}")
    if summary.kept:
        lines.append(f"  kept       {summary.kept} documents that are gone from the source")
    if summary.incomplete:
        lines.append("  incomplete the listing did not see everything: nothing was deleted")
    if summary.held:
        lines.append(f"  held       {summary.held}")
    return "\n".join([*lines, *left_lines(summary.left_out)])


def left_lines(left_out: Sequence[Left]) -> list[str]:
    """Write what was left out: failures by name, the others too if they are few."""
    failures = [left for left in left_out if left.failed]
    lines = [f"  failed     {left.key}: {left.message}" for left in failures[:NAMED_OMISSIONS]]
    skipped = [left for left in left_out if not left.failed]
    if len(skipped) <= NAMED_OMISSIONS:
        lines += [f"  skipped    {left.key}: {left.message}" for left in skipped]
    else:
        reasons = Counter(left.reason for left in skipped)
        lines += [f"  skipped    {count} x {reason}" for reason, count in reasons.most_common()]
    unnamed = len(failures) - NAMED_OMISSIONS
    if unnamed > 0:
        lines.append(f"  failed     ... and {unnamed} more; --json names them")
    return lines
