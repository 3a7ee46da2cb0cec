"""Tracebacks for logs: where it happened, and of messages only those that hold no stranger's text.

An error of a library may quote what it was given: a document's text, a request with a key. Our own
errors are made without (``contract.errors``).
"""

import traceback
from typing import Final

from contract.errors import HeadraceError

MOST_FRAMES: Final = 30
MOST_ERRORS: Final = 5
"""Of a chain of causes."""


def safe_traceback(error: BaseException) -> str:
    """Give an error with its causes, outermost first: type, message if it is ours, and places."""
    lines: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen and len(seen) < MOST_ERRORS:
        seen.add(id(current))
        kind = type(current)
        said = f": {current}" if isinstance(current, HeadraceError) else ""
        lines.append(f"{'caused by ' if lines else ''}{kind.__module__}.{kind.__qualname__}{said}")
        frames = traceback.extract_tb(current.__traceback__, limit=-MOST_FRAMES)
        lines += [f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
        current = current.__cause__ or current.__context__
    return "\n".join(lines)
