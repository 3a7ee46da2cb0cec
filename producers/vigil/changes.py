"""Changes: what is known to have happened below a folder, and is not brought yet."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from watchfiles import Change

from producers.sources.folders import Folders

FIRST_DELAY_SECONDS: Final = 0.5
LONGEST_DELAY_SECONDS: Final = 30.0
"""Between two looks at a file that never rests."""
NEW_FOLDER_SECONDS: Final = 2.0
"""After this a new folder is looked at once more: it was there before it was watched."""


@dataclass(frozen=True, slots=True)
class Round:
    """What is brought together."""

    keys: frozenset[bytes]
    """Of files that may have come, changed or gone, and of folders that have come."""
    emptied: frozenset[bytes]
    """Of folders that were there, and are gone or others."""


class Changes:
    """Gathers keys until somebody takes them."""

    def __init__(self, folders: Folders, only: str | None, now: Callable[[], float]) -> None:
        """Know of no change.

        Args:
            folders: the folders of the source; told of those that are gone.
            only: name of the one file that is watched; None: all are, but hidden ones.
            now: a clock that does not jump, in seconds.
        """
        self._folders = folders
        self._only = only and only.encode(errors="surrogateescape")
        self._now = now
        self._keys: set[bytes] = set()
        self._emptied: set[bytes] = set()
        self._due: dict[bytes, float] = {}
        self._delays: dict[bytes, float] = {}

    def __len__(self) -> int:
        """Count what can be taken."""
        return len(self._keys) + len(self._emptied)

    @property
    def restless(self) -> int:
        """Count the files that are looked at again later because they did not rest."""
        return sum(key in self._delays for key in self._due)

    def note(self, change: Change, key_bytes: bytes) -> None:
        """Take down what happened to a key, and so to others that lead to the same place."""
        if not self._concerns(key_bytes):
            return
        for key in self._spellings(key_bytes):
            if key not in self._folders:
                self._keys.add(key)
            elif change is not Change.modified:  # else: its time, as something in it came or went
                self._emptied.add(key)
                self._folders.forget(key)

    def take(self) -> Round:
        """Give what has gathered, and begin anew."""
        taken = Round(frozenset(self._keys), frozenset(self._emptied))
        self._keys.clear()
        self._emptied.clear()
        for key in taken.keys:
            self._due.pop(key, None)
        return taken

    def clear(self) -> None:
        """Forget all: everything is going to be looked at."""
        self._keys.clear()
        self._emptied.clear()
        self._due.clear()
        self._delays.clear()

    def done(self, taken: Round, restless: Iterable[bytes]) -> None:
        """Note that a round is through.

        Args:
            taken: the round.
            restless: those that changed while they were read; they are looked at again, the
                later the oftener that happens.
        """
        restless = set(restless)
        for key in taken.keys - restless:
            self._delays.pop(key, None)
        self.postpone(restless)

    def postpone(self, restless: Iterable[bytes]) -> None:
        """Have files looked at again that changed while they were read."""
        for key in restless:
            delay = min(2 * self._delays.get(key, FIRST_DELAY_SECONDS / 2), LONGEST_DELAY_SECONDS)
            self._delays[key] = delay
            self._due[key] = self._now() + delay

    def look_again(self, folders: Iterable[bytes]) -> None:
        """Have new folders looked at once more."""
        for key in folders:
            self._due.setdefault(key, self._now() + NEW_FOLDER_SECONDS)

    def ripen(self) -> None:
        """Make of what is due something that can be taken."""
        for key in [key for key, due in self._due.items() if due <= self._now()]:
            del self._due[key]
            self._keys.add(key)

    def _concerns(self, key_bytes: bytes) -> bool:
        if self._only is not None:
            return key_bytes == self._only
        return bool(key_bytes) and not any(
            component.startswith(b".") for component in key_bytes.split(b"/")
        )

    def _spellings(self, key_bytes: bytes) -> Iterator[bytes]:
        """Give a key as it is, and as links to its folder spell it."""
        yield key_bytes
        folder, _, name = key_bytes.rpartition(b"/")
        for other in self._folders.namesakes(folder):
            spelt = other + b"/" + name if other else name
            if spelt != key_bytes:
                yield spelt
