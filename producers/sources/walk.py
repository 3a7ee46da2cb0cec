"""A walk through a folder: the rules for what a source of files lists, and what it leaves out."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contract.errors import DocumentError
from producers.document import Entry, Omission, Reason, printable
from producers.parsing.formats import parser_for
from producers.sources import regular_file
from producers.sources.folders import Folders, Identity
from producers.sources.glob import KeyGlob, States

_HIDDEN: Final = b"."
_SLASH: Final = ord("/")
_LEADS_NOWHERE: Final = "the link leads to something that is not there"


@dataclass(slots=True)
class _Folder:
    """A folder that the walk is in."""

    prefix: str
    """Its key and a slash; empty for the root."""
    identity: Identity
    states: tuple[States, ...]
    names: Iterator[bytes]
    """Sorted; those of folders end with a slash."""


class Walk:
    """Walks below a root, or to one key there.

    Attributes:
        complete: whether the last whole walk ran to its end and saw every folder.
    """

    def __init__(
        self,
        root: str,
        globs: tuple[KeyGlob, ...] = (),
        only: str | None = None,
        folders: Folders | None = None,
    ) -> None:
        """Keep the rules.

        Args:
            root: absolute path of a folder.
            globs: a key must match them all.
            only: name of the one file of the root to list, also if it is hidden.
            folders: told of each folder that is entered.
        """
        self.root = root
        self.complete = False
        self._globs = globs
        self._only = only
        self._folders = folders
        self._shut: set[bytes] = set()
        """Behind them may be files that are not seen now: links that lead nowhere (a disk that
        is away), and folders that can't be read."""
        self._missed = False

    def covers(self, key_bytes: bytes) -> bool:
        """Tell whether a walk would show this key if the file were there."""
        key = os.fsdecode(key_bytes)
        if self._only is not None:
            return key == self._only
        if self._shut and is_below(key_bytes, self._shut):
            return False
        return all(glob.matches(key) for glob in self._globs)

    def whole(self) -> Iterator[Entry | Omission]:
        """Give all files, sorted by the bytes of their keys."""
        self.complete = False
        self._shut.clear()
        top = self._enter("", self._start(), ())
        if isinstance(top, Omission):
            yield top
            return
        self._missed = False
        yield from self._below(top, ())
        self.complete = not self._missed

    def to(self, key_bytes: bytes) -> Iterator[Entry | Omission]:
        """Give what a whole walk would give of one key: the file, or all files below it.

        Costs the depth of the key, and what is below it. Gives nothing where nothing is, and
        where a whole walk would not come by.
        """
        key = os.fsdecode(key_bytes)
        if self._only not in {None, key}:
            return
        prefix, states = "", self._start()
        ancestors: tuple[Identity, ...] = ()
        for component in key.split("/"):
            identity = self._identify(prefix, ancestors)
            if isinstance(identity, Omission):
                yield from self._unseen(prefix, identity)
                return
            ancestors = (*ancestors, identity)
            is_hidden = component.startswith(".") and component != self._only
            states = self._step(states, component)
            if is_hidden or not component or not all(states):
                return
            prefix += f"{component}/"
        yield from self._at(prefix, states, ancestors)

    def _at(
        self, prefix: str, states: tuple[States, ...], ancestors: tuple[Identity, ...]
    ) -> Iterator[Entry | Omission]:
        """Give what is at the end of the way to a key."""
        key = prefix.removesuffix("/")
        path = self._path(key)
        if self._only is None and os.path.isdir(path):  # noqa: PTH112 - never raises
            folder = self._enter(prefix, states, ancestors)
            if isinstance(folder, Omission):
                yield from self._unseen(prefix, folder)
            else:
                yield from self._below(folder, ancestors)
        elif os.path.lexists(path):
            if not os.path.exists(path):  # noqa: PTH110 - likewise
                self._shut.add(os.fsencode(key))
            if self._accepts(states):
                yield self._look(key)

    def _unseen(self, prefix: str, omission: Omission) -> Iterator[Omission]:
        """Tell of a folder that can't be entered, unless it is gone, or leads back."""
        if omission.reason == Reason.VANISHED:
            key = prefix.removesuffix("/")
            if not os.path.islink(self._path(key)):  # noqa: PTH114 - never raises
                return
            omission = _omission(
                os.fsencode(key), DocumentError(Reason.BROKEN_LINK, _LEADS_NOWHERE)
            )
        self._miss(omission)
        yield omission

    def _miss(self, omission: Omission) -> None:
        """Note a folder that was not entered; behind a link that leads back is nothing new."""
        if omission.reason != Reason.SYMLINK_LOOP:
            self._shut.add(omission.key_bytes)
            self._missed = True

    def _below(self, top: _Folder, above: tuple[Identity, ...]) -> Iterator[Entry | Omission]:
        """Give the files below a folder that was entered."""
        path = [top]
        while path:
            folder = path[-1]
            name_bytes = next(folder.names, None)
            if name_bytes is None:
                path.pop()
                continue
            name = os.fsdecode(name_bytes.removesuffix(b"/"))
            states = self._step(folder.states, name)
            if not name_bytes.endswith(b"/"):
                if self._accepts(states):
                    yield self._look(folder.prefix + name)
            elif all(states):
                ancestors = (*above, *(ancestor.identity for ancestor in path))
                below = self._enter(f"{folder.prefix}{name}/", states, ancestors)
                if isinstance(below, Omission):
                    self._miss(below)
                    yield below
                else:
                    path.append(below)

    def _start(self) -> tuple[States, ...]:
        return tuple(glob.start() for glob in self._globs)

    def _step(self, states: tuple[States, ...], name: str) -> tuple[States, ...]:
        pairs = zip(self._globs, states, strict=True)
        return tuple(glob.step(state, name) for glob, state in pairs)

    def _accepts(self, states: tuple[States, ...]) -> bool:
        return all(glob.accepts(state) for glob, state in zip(self._globs, states, strict=True))

    def _path(self, key: str) -> str:
        return f"{self.root.rstrip('/')}/{key}"

    def _identify(self, prefix: str, ancestors: tuple[Identity, ...]) -> Identity | Omission:
        """Look who a folder is, without reading it."""
        key = prefix.removesuffix("/")
        try:
            # The slash makes it an error where a file has taken the folder's place.
            status = os.stat(self._path(f"{key}/"))  # noqa: PTH116 - Path drops the slash
        except OSError as error:
            return _omission(os.fsencode(key), regular_file.as_document_error(error))
        identity = (status.st_dev, status.st_ino)
        if identity in ancestors:
            message = "the link leads back to a folder that it lies in"
            return _omission(os.fsencode(key), DocumentError(Reason.SYMLINK_LOOP, message))
        return identity

    def _enter(
        self, prefix: str, states: tuple[States, ...], ancestors: tuple[Identity, ...]
    ) -> _Folder | Omission:
        """Open a folder: look who it is, and sort its names."""
        identity = self._identify(prefix, ancestors)
        if isinstance(identity, Omission):
            return identity
        key = prefix.removesuffix("/")
        key_bytes = os.fsencode(key)
        if self._only is not None:
            return _Folder(prefix, identity, states, iter([os.fsencode(self._only)]))
        try:
            names, dangling = _names(self._path(key))
        except OSError as error:
            return _omission(key_bytes, regular_file.as_document_error(error))
        self._shut.update(os.fsencode(prefix) + name for name in dangling)
        if self._folders is not None:
            self._folders.enter(key_bytes, identity)
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


def is_below(key_bytes: bytes, keys: set[bytes]) -> bool:
    """Tell whether a key lies in a folder of one of these keys."""
    slashes = (at for at, byte in enumerate(key_bytes) if byte == _SLASH)
    return any(key_bytes[:at] in keys for at in slashes)


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
            raise DocumentError(Reason.BROKEN_LINK, _LEADS_NOWHERE) from error
        raise regular_file.as_document_error(error) from error
    regular_file.require_regular(status)
    if status.st_size == 0:
        raise DocumentError(Reason.EMPTY, "the file is empty")
    return status


def _omission(key_bytes: bytes, error: DocumentError) -> Omission:
    return Omission.of(printable(key_bytes) or ".", key_bytes, error)
