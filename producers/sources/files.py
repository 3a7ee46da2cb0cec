"""A folder, a glob or a single file as a source of documents."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from contract.errors import UsageError
from producers.document import Document, Entry, Omission, printable
from producers.parsing.formats import parse, parser_for
from producers.sources import regular_file
from producers.sources.folders import Folders
from producers.sources.glob import KeyGlob, is_magic
from producers.sources.walk import Walk
from producers.web.address import is_url

_ADVICE: Final = "name a file, a folder or a glob that is there"


class FileSource:
    """Files below a root.

    Attributes:
        name: the source's name.
        root: absolute path of the folder that keys are relative to.
        shows_all: a file that a complete listing does not show is gone.
    """

    def __init__(
        self,
        name: str,
        root: str,
        *,
        globs: tuple[KeyGlob, ...] = (),
        only: str | None = None,
        folders: Folders | None = None,
    ) -> None:
        """Keep what to list; `open_source` makes one from what a user types.

        Args:
            name: the source's name.
            root: absolute path of a folder.
            globs: a key must match them all.
            only: name of the one file of the root to list, also if it is hidden.
            folders: told of each folder that a listing enters.
        """
        self.name = name
        self.root = root
        self.shows_all = True
        self._globs = globs
        self._only = only
        self._walk = Walk(root, globs, only, folders)

    @property
    def complete(self) -> bool:
        """Tell whether a listing has run to its end and saw every folder.

        Nothing may be deleted because it was missing in a listing that was not.
        """
        return self._walk.complete

    @property
    def only(self) -> str | None:
        """Name of the one file that is listed; None: all are."""
        return self._only

    def again(self, folders: Folders | None = None) -> "FileSource":
        """Make another source of the same files.

        Args:
            folders: told of each folder that a listing enters.
        """
        return FileSource(self.name, self.root, globs=self._globs, only=self._only, folders=folders)

    def covers(self, key_bytes: bytes) -> bool:
        """Tell whether a listing would show this key if the file were there.

        A document outside (another file of the same folder, one that the glob leaves out, or one
        behind a link that led nowhere in the last listing) is not gone because the listing
        doesn't show it.
        """
        return self._walk.covers(key_bytes)

    def listing(self) -> Iterator[Entry | Omission]:
        """List the files, sorted by the bytes of their keys.

        Hidden files and folders are left out, symbolic links are followed. Memory grows with
        the largest folder and the depth, not with the tree. No file is opened.
        """
        return self._walk.whole()

    def listing_of(self, key_bytes: bytes) -> Iterator[Entry | Omission]:
        """List what a whole listing would show of one key: the file, or all files below it."""
        return self._walk.to(key_bytes)

    async def read(self, entry: Entry, max_bytes: int) -> bytes:
        """Read one listed file whole.

        Raises:
            DocumentError: it is too big, vanished, unreadable, no regular file any more, or
                changed while it was read.
        """
        return await regular_file.read(entry.path or self.path(entry.key_bytes), max_bytes)

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

    def path(self, key_bytes: bytes) -> str:
        """Tell where a file or folder of this key is, or would be."""
        return f"{self.root.rstrip('/')}/{os.fsdecode(key_bytes)}"


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
    if is_url(path) and not os.path.lexists(path):
        raise UsageError(
            "PATH is a URL: `headrace import` and `headrace schedule` read those, but "
            "this needs a folder, a file or a glob"
        )
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


def _shown(path: str) -> str:
    return printable(os.fsencode(path))


def _trouble(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
