"""What an import would do, for a person and for ``--json``. Pure."""

from dataclasses import asdict, dataclass
from typing import Any

from headrace.summary import Left, left_lines


@dataclass(frozen=True, slots=True)
class Named:
    """A document that an import would touch."""

    key: str
    fate: str
    """new, changed, deleted, or gone: from the source, and kept."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """The outcome of a dry run; counts are of documents unless they say otherwise."""

    source: str
    collection: str
    new: int
    changed: int
    deleted: int
    unchanged: int
    resumed: int
    """Promised by an earlier run that was interrupted."""
    skipped: int
    failed: int
    kept: int
    """Gone from the source, and not to be deleted: by the guard, or on demand."""
    incomplete: bool
    """The listing did not see everything: nothing would be deleted."""
    guard: str
    """Why an import would stop before it deletes anything; empty when it would not."""
    chunks: int
    """At most so many are to be embedded: texts that are there already are not."""
    tokens: int
    """Of these chunks, each text of a document once; as the model counts, if that is known."""
    cost_usd: float | None
    """Of these tokens; None when no price is known."""
    seconds: float
    documents: tuple[Named, ...]
    """New, changed, deleted and gone ones, the first thousand of each."""
    left_out: tuple[Left, ...]

    def as_dict(self) -> dict[str, Any]:
        """Give the fields, for JSON."""
        return asdict(self)


def text_of(forecast: Forecast, *, names: bool) -> str:
    """Write a forecast for a person.

    Args:
        forecast: what would be done.
        names: whether to name the documents that would be touched.
    """
    lines = [
        f"{forecast.source} -> {forecast.collection}  (dry run: nothing was changed)",
        f"  documents  {forecast.new} new, {forecast.changed} changed, "
        f"{forecast.deleted} deleted, {forecast.unchanged} unchanged, "
        f"{forecast.failed} failed, {forecast.skipped} skipped"
        + (f", {forecast.resumed} to be resumed" if forecast.resumed else ""),
        f"  embedding  at most {forecast.chunks} chunks, about {forecast.tokens} tokens, "
        + cost_text(forecast.cost_usd),
    ]
    if forecast.guard:
        lines.append(f"  guard      it would stop before it deletes: {forecast.guard}")
    elif forecast.kept:
        lines.append(f"  kept       {forecast.kept} documents that are gone from the source")
    if forecast.incomplete:
        lines.append("  incomplete the listing did not see everything: nothing would be deleted")
    if names:
        lines += [f"  {named.fate:<9}  {named.key}" for named in forecast.documents]
    return "\n".join([*lines, *left_lines(forecast.left_out)])


def cost_text(usd: float | None) -> str:
    """Write US dollars for a person; None where no price is known."""
    if usd is None:
        return "at a price that is not known (setting embedding_price)"
    return f"at most about ${usd:.4f}" if usd else "free of charge"
