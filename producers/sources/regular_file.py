"""Reading one regular file: whole, unchanged, and without ever waiting for a writer."""

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiofiles.os import wrap

from contract.errors import DocumentError
from producers.document import Reason

_ATTEMPTS: Final = 2

# O_NONBLOCK: to open a FIFO that took the file's place must not wait for someone to write.
# O_NOCTTY: a terminal that did must not become ours.
_OPEN_FLAGS: Final = os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


RACY_NS: Final = 2_000_000_000
"""A file that changed so short a time ago may change again without another time: the clock of a
file system ticks every few ms, of some every 2 s. (As Git has it for its index.)"""


@dataclass(frozen=True, slots=True)
class _State:
    """What changes when a file's content does."""

    device: int
    inode: int
    size_bytes: int
    modified_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> "_State":
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def stamp(status: os.stat_result, now_ns: int) -> str:
    """Give what is another whenever the file's content is; empty if it is not to be trusted yet.

    The time of the last change of the inode is in it: a copy that keeps the time of the content,
    or a tool that sets it back, changes that one, and nobody can set it.

    Args:
        status: of a regular file.
        now_ns: the time before it was looked at, in ns since 1970.
    """
    if now_ns - max(status.st_mtime_ns, status.st_ctime_ns) < RACY_NS:
        return ""
    return f"{status.st_mtime_ns} {status.st_ctime_ns} {status.st_size} {status.st_ino}"


async def read(path: str, max_bytes: int) -> bytes:
    """Read a regular file (a symbolic link to one is followed).

    The file is looked at before and after; if it is another one then, it is read once more.
    A change that keeps the size, in the same tick of the file system's clock, goes unnoticed.

    Raises:
        DocumentError: it is too big, vanished, unreadable, no regular file, or changed while
            it was read, twice.
    """
    for _ in range(_ATTEMPTS):
        try:
            data = await _read_once(path, max_bytes)
        except OSError as error:
            raise as_document_error(error) from error
        if data is not None:
            return data
    raise DocumentError(
        Reason.CHANGED, "it changed while it was read, twice; import it again once it rests"
    )


@wrap
def _read_once(path: str, max_bytes: int) -> bytes | None:
    """Read the file, or give None if it was not the same all the while.

    In one go: a way to another thread and back takes longer than all that is done there, and
    a cancelled caller leaves no file open.
    """
    before = _look(path)
    if before.size_bytes > max_bytes:
        raise DocumentError(
            Reason.TOO_BIG,
            f"it has {before.size_bytes} bytes, the limit is {max_bytes}",
        )
    data = _take(path, before)
    return data if data is None or _look(path) == before else None


def _take(path: str, expected: _State) -> bytes | None:
    """Read all of the file, or give None if it is another one than was looked at."""
    with open(path, "rb", buffering=0, opener=_open) as file:
        if _State.of(os.fstat(file.fileno())) != expected:
            return None
        data = bytearray()
        # A raw read may give less than was asked for; one byte more than expected shows growth.
        while len(data) <= expected.size_bytes:
            block = file.read(expected.size_bytes + 1 - len(data))
            if not block:
                break
            data += block
    return bytes(data) if len(data) == expected.size_bytes else None


def _look(path: str) -> _State:
    """Give the state of the file, without opening it: to open a device may act on it."""
    status = Path(path).stat()
    require_regular(status)
    return _State.of(status)


def _open(path: str, flags: int) -> int:
    """Open a file only if it still is a regular one."""
    descriptor = os.open(path, flags | _OPEN_FLAGS)
    try:
        require_regular(os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def require_regular(status: os.stat_result) -> None:
    """Refuse what is no regular file.

    Raises:
        DocumentError: it is a folder, FIFO, socket or device.
    """
    if not stat.S_ISREG(status.st_mode):
        raise DocumentError(
            Reason.SPECIAL_FILE, f"it is {kind(status.st_mode)}, not a regular file"
        )


def kind(mode: int) -> str:
    """Name the kind of file that a mode stands for."""
    names = {
        stat.S_IFDIR: "a folder",
        stat.S_IFREG: "a file",
        stat.S_IFIFO: "a FIFO",
        stat.S_IFSOCK: "a socket",
        stat.S_IFBLK: "a block device",
        stat.S_IFCHR: "a character device",
    }
    return names.get(stat.S_IFMT(mode), "something special")


def as_document_error(error: OSError) -> DocumentError:
    """Translate what the system says about one file."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return DocumentError(Reason.VANISHED, "it was listed, but is not there any more")
    if error.errno == errno.ELOOP:
        return DocumentError(Reason.SYMLINK_LOOP, "its symbolic links lead in a circle")
    return DocumentError(Reason.UNREADABLE, f"it can't be read: {error.strerror or error}")
