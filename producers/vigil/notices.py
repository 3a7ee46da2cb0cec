"""Notices: which files below a folder may have changed, as the system tells or as a look finds."""

import array
import asyncio
import contextlib
import fcntl
import functools
import os
import sys
import termios
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from watchfiles import Change
from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

from producers.document import Entry
from producers.sources.files import FileSource

Burst: TypeAlias = Iterable[tuple[Change, bytes]]
"""What happened to which keys; the empty key is the folder itself."""

NO_NOTICES: Final = (OSError, UnicodeError, WatchfilesRustInternalError)
"""Why the system tells nothing: too many folders, one that may not be read, a name that is not
UTF-8, no such kind of disk."""

LONGEST_BURST: Final = 15
"""How many times as long as the quiet that it waits for a burst is gathered."""
IDLE_SHARE: Final = 5
"""Times as long as a look took nothing is looked at, however often that was asked for."""

_EVENT_BYTES: Final = 16
"""The least that one event takes in the system's queue."""
_QUEUE_LENGTH: Final = Path("/proc/sys/fs/inotify/max_queued_events")


class Notices(Protocol):
    """Tells of changes from the moment when it was opened."""

    def bursts(self) -> AsyncGenerator[Burst]:
        """Give what happened, burst by burst.

        Raises:
            NO_NOTICES: the system tells nothing any more.
        """

    def may_have_lost_some(self) -> bool:
        """Tell whether the system's queue is so full that it may have dropped something."""


class SystemNotices:
    """What the operating system tells of a folder and all below it (``watchfiles``)."""

    def __init__(self, files: FileSource, settle_seconds: float) -> None:
        """Begin to watch; looks at every folder, so it blocks.

        Args:
            files: the folder.
            settle_seconds: a burst is over after so much quiet.

        Raises:
            NO_NOTICES: the system can't watch it.
        """
        self._prefix = f"{files.root.rstrip('/')}/"
        self._step_ms = max(1, round(settle_seconds * 500))
        self._longest_ms = round(settle_seconds * 1000 * LONGEST_BURST)
        before = _queues()
        # A link itself is watched as the folder it leads to only with the slash.
        self._watcher = RustNotify([self._prefix], False, False, 0, files.only is None, False)  # noqa: FBT003 - takes no names
        self._queues = _queues() - before
        self._stop = threading.Event()

    async def bursts(self) -> AsyncGenerator[Burst]:
        """Give what happened, burst by burst, until the generator is closed.

        Raises:
            NO_NOTICES: the system tells nothing any more.
        """
        loop = asyncio.get_running_loop()
        found: asyncio.Queue[set[tuple[int, str]] | Exception] = asyncio.Queue()

        def give(item: set[tuple[int, str]] | Exception) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(found.put_nowait, item)

        # A thread of its own: it would take one of the loop's for good.
        threading.Thread(target=self._listen, args=[give], daemon=True).start()
        try:
            while not isinstance(burst := await found.get(), Exception):
                yield [(Change(change), self._key(path)) for change, path in burst]
            raise burst
        finally:
            self._stop.set()

    def may_have_lost_some(self) -> bool:
        """Tell whether the system's queue is full; that it was, watchfiles keeps to itself."""
        return any(_waiting_bytes(queue) >= _queue_bytes() for queue in self._queues)

    def _listen(self, give: Callable[[set[tuple[int, str]] | Exception], None]) -> None:
        with self._watcher:
            while True:
                try:
                    # No time-out: what comes at the moment when one ends is dropped.
                    found = self._watcher.watch(self._longest_ms, self._step_ms, 0, self._stop)
                except Exception as error:  # noqa: BLE001 - is raised where the bursts are taken
                    return give(error)
                if isinstance(found, str):
                    return None
                give(found)

    def _key(self, path: str) -> bytes:
        return os.fsencode(path.removeprefix(self._prefix.rstrip("/")).strip("/"))


class PolledNotices:
    """What looks at all files find, for disks of whose changes the system does not tell.

    A look sees size and time of change. It follows the rules of the source itself: watchfiles'
    own polling gives up at a folder that may not be read, or a name that is not UTF-8.
    """

    def __init__(self, files: FileSource, poll_seconds: float) -> None:
        """Look for the first time; blocks."""
        self._files = files
        self._poll_seconds = poll_seconds
        self._seen = self._look()

    async def bursts(self) -> AsyncGenerator[Burst]:
        """Give what has changed between two looks, until the generator is closed."""
        took_seconds = 0.0
        while True:
            await asyncio.sleep(max(self._poll_seconds, IDLE_SHARE * took_seconds))
            begun = time.monotonic()
            seen = await asyncio.to_thread(self._look)
            took_seconds = time.monotonic() - begun
            before, self._seen = self._seen, seen
            burst = [
                (Change.modified if key in before else Change.added, key)
                for key, state in seen.items()
                if before.get(key) != state
            ]
            burst += [(Change.deleted, key) for key in before if key not in seen]
            if burst:
                yield burst

    def may_have_lost_some(self) -> bool:
        """A look sees everything."""
        return False

    def _look(self) -> dict[bytes, tuple[int, int] | None]:
        """Give size and time of change of each file; nothing of what can't be read."""
        return {
            item.key_bytes: (item.size_bytes, item.modified_ns) if isinstance(item, Entry) else None
            for item in self._files.listing()
        }


def _queues() -> set[int]:
    """Name the descriptors on which the system tells this process of changes (Linux)."""
    found = set()
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names are asked for
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/self/fd/{name}") == "anon_inode:inotify":  # noqa: PTH115
                    found.add(int(name))
    return found


def _waiting_bytes(queue: int) -> int:
    """Tell how much waits to be read."""
    size = array.array("i", [0])
    with contextlib.suppress(OSError):
        fcntl.ioctl(queue, termios.FIONREAD, size)
    return size[0]


@functools.cache
def _queue_bytes() -> int:
    """Tell how much waits at least in a queue that is full."""
    try:
        return int(_QUEUE_LENGTH.read_text(encoding="ascii")) * _EVENT_BYTES
    except (OSError, ValueError):
        return sys.maxsize
