"""The way in which the documents of a source are parsed and cut, to be told from another. Pure."""

from producers.document import Entry
from producers.parsing.formats import PARSERS
from producers.sources.source import Source
from producers.splitting import SplitOptions

_NAMES = ("splitter", "chunk_size", "chunk_overlap", "chunk_unit")


def cutting_of(source: Source, options: SplitOptions) -> str:
    """Name the splitter with its options, and the parsers that a source uses for our formats."""
    entries = (Entry(f"x{suffix}", f"x{suffix}".encode(), None, 0, 0) for suffix in PARSERS)
    parsers = sorted({source.fingerprint(entry) for entry in entries})
    return f"{options.fingerprint}|{','.join(parsers)}"


def difference(old: str, new: str) -> str:
    """Say for a person what is another in two ways to cut; empty where nothing is."""
    changes = [
        f"{name} {before} -> {now}"
        for name, before, now in zip(_NAMES, _options(old), _options(new), strict=False)
        if before != now
    ]
    before, now = _parsers(old), _parsers(new)
    changes += [
        f"parser {before[name]} -> {now[name]}"
        for name in sorted(before.keys() & now.keys())
        if before[name] != now[name]
    ]
    return ", ".join(changes)


def _options(cutting: str) -> list[str]:
    return cutting.partition("|")[0].split(":")


def _parsers(cutting: str) -> dict[str, str]:
    names = cutting.partition("|")[2].split(",")
    return {name.rpartition("-")[0]: name for name in names if name}
