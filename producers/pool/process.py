"""A process that drafts: documents come in over a socket, parts go back, one by one.

Started by ``producers.pool.draftsman``, with the socket as its standard input. It ends when the
socket does, or when its parent is another: so a producer that was killed leaves none behind.
"""

import os
import pickle
import signal
import sys
import threading
import time
from dataclasses import dataclass
from typing import IO, Final

import msgspec

from contract.batch import Part
from contract.errors import DocumentError
from contract.settings import PARENT_VARIABLE
from producers.drafting import Assignment, Recipe
from producers.length import ruler

HEADER_BYTES: Final = 8
"""Before each frame: its length, big-endian."""

_WATCH_SECONDS: Final = 0.5
_BUFFER_BYTES: Final = 1024 * 1024
_NICENESS: Final = 5
"""Embedding on the same machine goes first: it is what an import waits for."""


class Reply(msgspec.Struct, frozen=True, array_like=True):
    """What became of one document; neither: an error that is nobody's but the program's."""

    part: Part | None = None
    refusal: tuple[str, str] | None = None
    """Reason and message of a ``DocumentError``."""


@dataclass(frozen=True, slots=True)
class Commission:
    """What a process is told first."""

    recipe: Recipe
    limit_seconds: float
    """After which a document has hung, small as it is."""
    bytes_per_second: float
    """A large one is given more time."""

    def limit(self, size_bytes: int) -> float:
        """Give the most seconds that a document may take."""
        return self.limit_seconds + size_bytes / self.bytes_per_second


def framed(payload: bytes) -> bytes:
    """Put the header before a frame."""
    return len(payload).to_bytes(HEADER_BYTES, "big") + payload


def main() -> None:
    """Draft until the socket ends."""
    threading.Thread(target=_watch_parent, daemon=True).start()
    # What hangs is ended by the kernel: no code of this process needs to run for that.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    os.nice(_NICENESS)
    with (
        os.fdopen(os.dup(sys.stdin.fileno()), "rb", _BUFFER_BYTES) as asked,
        os.fdopen(os.dup(sys.stdin.fileno()), "wb", _BUFFER_BYTES) as answers,
    ):
        try:
            _serve(asked, answers)
        except OSError:
            os._exit(1)  # The producer is gone.


def _serve(asked: IO[bytes], answers: IO[bytes]) -> None:
    commission: Commission = pickle.loads(_frame(asked) or b"")  # noqa: S301 - from our parent alone
    options = commission.recipe.options
    ruler("", options.unit, options.size)  # reads the vocabulary
    answers.write(framed(b""))
    answers.flush()
    encode = msgspec.msgpack.Encoder().encode
    while payload := _frame(asked):
        assignments: list[Assignment] = pickle.loads(payload)  # noqa: S301 - from our parent alone
        for assignment in assignments:
            signal.setitimer(signal.ITIMER_REAL, commission.limit(assignment.size_bytes))
            try:
                reply = encode(_reply(commission.recipe, assignment))
            except MemoryError:
                os._exit(1)  # To do it once more where it was asked for would end that.
            except Exception:  # noqa: BLE001 - it is raised again, where it can be handled
                reply = encode(Reply())
            signal.setitimer(signal.ITIMER_REAL, 0)
            answers.write(framed(reply))
            answers.flush()


def _reply(recipe: Recipe, assignment: Assignment) -> Reply:
    try:
        return Reply(part=recipe.part(assignment))
    except DocumentError as error:
        return Reply(refusal=(error.reason, error.message))


def _frame(asked: IO[bytes]) -> bytes | None:
    """Read a frame; None at the end of all."""
    header = asked.read(HEADER_BYTES)
    if len(header) < HEADER_BYTES:
        return None
    size = int.from_bytes(header, "big")
    payload = asked.read(size)
    return payload if len(payload) == size else None


def _watch_parent() -> None:
    """End with the producer, also while a document is worked at."""
    parent = int(os.environ[PARENT_VARIABLE])
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os._exit(1)
