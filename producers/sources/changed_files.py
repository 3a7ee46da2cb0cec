"""Some files of a folder that may have changed, as a listing of all of it would show them."""

import stat
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from producers.document import Entry, Omission, Reason
from producers.sources.files import FileSource
from producers.sources.folders import Folders, Identity
from producers.sources.walk import is_below


class ChangedFiles:
    """Lists what stands at some keys now; documents of these keys that are not there are gone.

    Attributes:
        name: the source's name.
        shows_all: True, of what it covers.
        complete: True once a listing has run to its end, in the folder that is meant.
        entered: keys of folders that the listing met for the first time. Something may have come
            into them before they were watched.
    """

    parse = staticmethod(FileSource.parse)

    def __init__(
        self,
        files: FileSource,
        keys: Iterable[bytes],
        *,
        root: Identity,
        emptied: Iterable[bytes] = (),
        folders: Folders | None = None,
    ) -> None:
        """Choose; nothing is looked at yet.

        Args:
            files: the whole folder.
            keys: of files that may have come, changed or gone, and of folders that have come.
            root: the folder; with another in its place nothing is gone.
            emptied: keys of folders that were there, and are gone, or others now.
            folders: what is known of folders; is told of new ones.
        """
        self.name = files.name
        self.shows_all = True
        self.complete = False
        self.entered: list[bytes] = []
        self._root = root
        self._folders = folders if folders is not None else Folders()
        self._files = files.again(self._folders)
        self._emptied = set(emptied)
        self._keys = dict.fromkeys(sorted({*keys, *self._emptied}))

    @property
    def origin(self) -> str:
        """The folder, for people."""
        return self._files.origin

    def candidates(self) -> Collection[bytes] | None:
        """Name the documents that may be gone; None: all that it covers."""
        return None if self._emptied else self._keys.keys()

    def covers(self, key_bytes: bytes) -> bool:
        """Tell whether the listing was about this key, and would have shown it."""
        is_meant = key_bytes in self._keys or is_below(key_bytes, self._emptied)
        return is_meant and self._files.covers(key_bytes)

    def listing(self) -> Iterator[Entry | Omission]:
        """List what is there, each file once; names that no parser knows are passed over."""
        self.complete = False
        listed: set[bytes] = set()
        given: set[bytes] = set()
        for key in list(self._keys):
            if is_below(key, listed):
                continue
            is_new = key not in self._folders
            for item in self._files.listing_of(key):
                self._keys[item.key_bytes] = None
                is_told = item.key_bytes in given  # a folder on the way to several keys
                if not is_told and (isinstance(item, Entry) or item.reason != Reason.UNKNOWN_TYPE):
                    given.add(item.key_bytes)
                    yield item
            if identity(self._files.path(key)) is not None:
                listed.add(key)
                if is_new and key in self._folders:
                    self.entered.append(key)
        self.complete = identity(self._files.root) == self._root

    async def read(self, entry: Entry, max_bytes: int) -> bytes:
        """Read one file whole.

        Raises:
            DocumentError: it can't be had.
        """
        return await self._files.read(entry, max_bytes)

    def fingerprint(self, entry: Entry) -> str:
        """Name the parser that reads this entry, with its version."""
        return self._files.fingerprint(entry)


def identity(path: str) -> Identity | None:
    """Tell which folder is at a path; None when there is none that can be looked at."""
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISDIR(status.st_mode) else None
