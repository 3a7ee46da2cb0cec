"""A folder, a glob or a single file as a source of documents."""

import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contract.errors import DocumentError, UsageError
from producers.document import Document, Entry, Omission, Reason, printable
from producers.parsing.formats import parse, parser_for
from producers.sources import regular_file
from producers.sources.glob import KeyGlob, States, is_magic

_HIDDEN: Final = b"."
_SLASH: Final = ord("/")
_ADVICE: Final = "name a file, a folder or a glob that is there"


@dataclass(slots=True)
class _Folder:
    """A folder that the walk is in."""

    prefix: str
    """Its key and a slash; empty for the root."""
    identity: tuple[int, int]
    """Device and inode, by which a loop is known."""
    states: tuple[States, ...]
    names: Iterator[bytes]
    """Sorted; those of folders end with a slash."""


class FileSource:
    """Files below a root.

    Attributes:
        name: the source's name.
        root: absolute path of the folder that keys are relative to.
        shows_all: a file that a complete listing does not show is gone.
        complete: True once a listing has run to its end and saw every folder. Nothing may be
            deleted because it was missing in a listing that was not.
    """

    def __init__(
        self, name: str, root: str, *, globs: tuple[KeyGlob, ...] = (), only: str | None = None
    ) -> None:
        """Keep what to list; `open_source` makes one from what a user types.

        Args:
            name: the source's name.
            root: absolute path of a folder.
            globs: a key must match them all.
            only: name of the one file of the root to list, also if it is hidden.
        """
        self.name = name
        self.root = root
        self.shows_all = True
        self.complete = False
        self._globs = globs
        self._only = only
        self._dangling: set[bytes] = set()
        """Links that lead nowhere now: behind one may be a folder on a disk that is away."""

    def covers(self, key_bytes: bytes) -> bool:
        """Tell whether a listing would show this key if the file were there.

        A document outside (another file of the same folder, one that the glob leaves out, or one
        behind a link that led nowhere in the last listing) is not gone because the listing
        doesn't show it.
        """
        key = os.fsdecode(key_bytes)
        if self._only is not None:
            return key == self._only
        if self._dangling and _is_below(key_bytes, self._dangling):
            return False
        return all(glob.matches(key) for glob in self._globs)

    def listing(self) -> Iterator[Entry | Omission]:
        """List the files, sorted by the bytes of their keys.

        Hidden files and folders are left out, symbolic links are followed. Memory grows with
        the largest folder and the depth, not with the tree. No file is opened.
        """
        self.complete = False
        self._dangling.clear()
        whole = True
        top = self._enter("", tuple(glob.start() for glob in self._globs), ())
        if isinstance(top, Omission):
            yield top
            return
        path = [top]
        while path:
            folder = path[-1]
            name_bytes = next(folder.names, None)
            if name_bytes is None:
                path.pop()
                continue
            name = os.fsdecode(name_bytes.removesuffix(b"/"))
            states = tuple(
                glob.step(state, name)
                for glob, state in zip(self._globs, folder.states, strict=True)
            )
            if not name_bytes.endswith(b"/"):
                pairs = zip(self._globs, states, strict=True)
                if all(glob.accepts(state) for glob, state in pairs):
                    yield self._look(folder.prefix + name)
            elif all(states):
                ancestors = tuple(ancestor.identity for ancestor in path)
                below = self._enter(f"{folder.prefix}{name}/", states, ancestors)
                if isinstance(below, Omission):
                    whole = whole and below.reason == Reason.SYMLINK_LOOP
                    yield below
                else:
                    path.append(below)
        self.complete = whole

    async def read(self, entry: Entry, max_bytes: int) -> bytes:
        """Read one listed file whole.

        Raises:
            DocumentError: it is too big, vanished, unreadable, no regular file any more, or
                changed while it was read.
        """
        return await regular_file.read(
            entry.path or self._path(os.fsdecode(entry.key_bytes)), max_bytes
        )

    @property
    def origin(self) -> str:
        """The root, for people."""
        return _shown(self.root)

    def fingerprint(self, entry: Entry) -> str:
        """Name the parser that reads this entry, with its version."""
        parser = parser_for(entry.key)
        return parser.fingerprint if parser else ""

    @staticmethod
    def parse(entry: Entry, data: bytes) -> Document:
        """Make a document of a file's bytes.

        Raises:
            DocumentError: they are binary, undecodable or blank.
        """
        return parse(entry.key, entry.key_bytes, data)

    def _path(self, key: str) -> str:
        return f"{self.root.rstrip('/')}/{key}"

    def _enter(
        self, prefix: str, states: tuple[States, ...], ancestors: tuple[tuple[int, int], ...]
    ) -> _Folder | Omission:
        """Open a folder: look who it is, and sort its names."""
        key = prefix.removesuffix("/")
        key_bytes = os.fsencode(key)
        path = self._path(key)
        try:
            status = Path(path).stat()
            identity = (status.st_dev, status.st_ino)
            if identity in ancestors:
                message = "the link leads back to a folder that it lies in"
                return _omission(key_bytes, DocumentError(Reason.SYMLINK_LOOP, message))
            if self._only is not None:
                return _Folder(prefix, identity, states, iter([os.fsencode(self._only)]))
            names, dangling = _names(path)
        except OSError as error:
            return _omission(key_bytes, regular_file.as_document_error(error))
        self._dangling.update(os.fsencode(prefix) + name for name in dangling)
        return _Folder(prefix, identity, states, iter(names))

    def _look(self, key: str) -> Entry | Omission:
        """Say what a file is, without opening it."""
        key_bytes = os.fsencode(key)
        if parser_for(key) is None:
            message = "no parser knows files of this name"
            return _omission(key_bytes, DocumentError(Reason.UNKNOWN_TYPE, message))
        path = self._path(key)
        now_ns = time.time_ns()
        try:
            status = _status(Path(path))
        except DocumentError as error:
            return _omission(key_bytes, error)
        return Entry(
            printable(key_bytes),
            key_bytes,
            path,
            status.st_size,
            status.st_mtime_ns,
            regular_file.stamp(status, now_ns),
        )


def open_source(path: str, *, glob: str | None = None, name: str | None = None) -> FileSource:
    """Make a source from one PATH argument.

    Args:
        path: a folder, a single file (the root is its folder), or a glob such as
            ``docs/**/*.md`` (the root is the part before the first wildcard). A path that
            exists is never taken for a glob.
        glob: lists only keys that match; one without a slash is about names.
        name: the source's name instead of the base name of the root.

    Raises:
        UsageError: there is no such file or folder.
    """
    globs = () if glob is None else (KeyGlob.floating(glob),)
    if not path:
        raise UsageError(f"PATH is empty; {_ADVICE}")
    is_glob = is_magic(path) and not os.path.lexists(path)
    root = path
    try:
        if is_glob:
            root, pattern = _divided(path)
            globs = (KeyGlob(pattern), *globs)
        mode = Path(root).stat().st_mode
    except (OSError, ValueError) as error:
        raise UsageError(f"PATH '{_shown(path)}': {_trouble(error)}; {_ADVICE}") from error
    root = os.path.abspath(root)  # noqa: PTH100 - must not follow links: they give the name
    only = None
    if stat.S_ISREG(mode) and not is_glob:
        root, only = os.path.split(root)
    elif not stat.S_ISDIR(mode):
        raise UsageError(
            f"PATH '{_shown(path)}': {_shown(root)} is {regular_file.kind(mode)}; {_ADVICE}"
        )
    base = root.rpartition("/")[2]
    return FileSource(name or _shown(base) or "/", root, globs=globs, only=only)


def _divided(pattern: str) -> tuple[str, str]:
    """Part a glob before its first component with a wildcard."""
    components = pattern.split("/")
    first = next(index for index, part in enumerate(components) if is_magic(part))
    root = "/".join(components[:first])
    return root or ("/" if pattern.startswith("/") else "."), "/".join(components[first:])


def _names(path: str) -> tuple[list[bytes], list[bytes]]:
    """Give the names in a folder, so that keys come out sorted by their bytes.

    Returns:
        All of them, and those of links that lead nowhere.
    """
    names, dangling = [], []
    with os.scandir(path) as items:
        for item in items:
            name = os.fsencode(item.name)
            if name.startswith(_HIDDEN):
                continue
            names.append(name + b"/" if _is_folder(item) else name)
            if item.is_symlink() and not os.path.exists(item.path):  # noqa: PTH110 - never raises
                dangling.append(name)
    names.sort()
    return names, dangling


def _is_below(key_bytes: bytes, keys: set[bytes]) -> bool:
    """Tell whether a key lies in a folder of one of these keys."""
    slashes = (at for at, byte in enumerate(key_bytes) if byte == _SLASH)
    return any(key_bytes[:at] in keys for at in slashes)


def _is_folder(item: os.DirEntry[str]) -> bool:
    try:
        return item.is_dir()
    except OSError:
        return False  # A link that can't be followed: it is reported where it is looked at.


def _status(path: Path) -> os.stat_result:
    """Give the status of a regular file with something in it."""
    try:
        status = path.stat()
    except OSError as error:
        if isinstance(error, FileNotFoundError) and path.is_symlink():
            message = "the link leads to something that is not there"
            raise DocumentError(Reason.BROKEN_LINK, message) from error
        raise regular_file.as_document_error(error) from error
    regular_file.require_regular(status)
    if status.st_size == 0:
        raise DocumentError(Reason.EMPTY, "the file is empty")
    return status


def _omission(key_bytes: bytes, error: DocumentError) -> Omission:
    return Omission.of(printable(key_bytes) or ".", key_bytes, error)


def _shown(path: str) -> str:
    return printable(os.fsencode(path))


def _trouble(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
