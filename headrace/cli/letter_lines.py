"""Dead letters as text."""

import shutil
import textwrap
import time

from contract.ledger.records import DeadLetter
from headrace.letters import dead_chunks

SNIPPET_CHARACTERS = 300
HEADINGS = ("key", "source", "stage", "reason", "tries", "age", "message")
_WIDTHS = (28, 12, 5, 20, 5, 4)
"""Of all columns but the last, on a terminal."""
_SHORTEST_MESSAGE = 20

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


def table_line(cells: tuple[str, ...]) -> str:
    """Write one line of a table that fits the terminal."""
    rest = shutil.get_terminal_size().columns - sum(_WIDTHS) - 2 * len(_WIDTHS)
    widths = (*_WIDTHS, max(rest, _SHORTEST_MESSAGE))
    fitted = (_fit(cell, width) for cell, width in zip(cells, widths, strict=True))
    return "  ".join(fitted).rstrip()


def cells_of(letter: DeadLetter, now_ms: int) -> tuple[str, ...]:
    """Give what the columns of a list say of a letter."""
    cells = (
        letter.key,
        letter.source,
        letter.stage,
        letter.reason,
        str(letter.attempts),
        age_of(letter.at_ms, now_ms),
        letter.message,
    )
    return tuple(on_one_line(cell) for cell in cells)


def text_of(collection: str, letter: DeadLetter) -> str:
    """Write all that there is to say of a letter."""
    at = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(letter.at_ms / 1000))
    facts = {
        "document": letter.document_id,
        "source": f"{letter.source} -> {collection}",
        "stage": letter.stage,
        "reason": letter.reason,
        "message": letter.message,
        "first error": letter.first_error,
        "attempts": str(letter.attempts),
        "at": at,
        "job": letter.job,
        "version": str(letter.version or ""),
        "chunks": f"{len(letter.ordinals)} of {letter.chunk_count} dead" if letter.version else "",
        "replay": _replay(letter),
    }
    lines = [on_one_line(letter.key)]
    lines += [f"  {name:<12} {on_one_line(fact)}" for name, fact in facts.items() if fact]
    for chunk in dead_chunks(letter):
        snippet = textwrap.shorten(chunk.text, SNIPPET_CHARACTERS, placeholder=" ...")
        lines.append(f"  chunk {chunk.ordinal:<6} {on_one_line(snippet)}")
    return "\n".join(lines)


def age_of(at_ms: int, now_ms: int) -> str:
    """Write how long ago something was, in its largest unit: 3d, 2h, 15m, 4s."""
    seconds = max(now_ms - at_ms, 0) // 1000
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return "0s"


def on_one_line(text: str) -> str:
    """Make a text harmless for a terminal: it may come from a document or from any server."""
    line = " ".join(text.split())
    return "".join(letter if letter.isprintable() else "�" for letter in line)


def _replay(letter: DeadLetter) -> str:
    if letter.payload:
        return "from the letter"
    return "reads the document from its source again"


def _fit(cell: str, width: int) -> str:
    return cell.ljust(width) if len(cell) <= width else cell[: width - 1] + "…"
