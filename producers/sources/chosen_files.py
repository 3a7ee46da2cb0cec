"""Some files of a folder, named by their keys."""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

from producers.document import Entry, Omission, printable
from producers.sources.files import FileSource


class ChosenFiles:
    """Reads files of a folder again, as an import of the folder would.

    Attributes:
        name: the source's name.
        shows_all: False: a chosen file that is not there is reported, not taken for gone.
        complete: False: there are others.
    """

    parse = staticmethod(FileSource.parse)

    def __init__(self, name: str, root: str) -> None:
        """Choose nothing yet.

        Args:
            name: the source's name.
            root: the folder that keys are relative to, as the source's origin spells it.
        """
        self.name = name
        self.shows_all = False
        self.complete = False
        self._files = FileSource(name, root)
        self._keys: dict[bytes, None] = {}

    @property
    def count(self) -> int:
        """How many were chosen."""
        return len(self._keys)

    @property
    def origin(self) -> str:
        """The folder, for people."""
        return self._files.root

    def why_not(self, key_bytes: bytes) -> str:
        """Say why a key can't be chosen; empty when it can. Looks at the disk, so it blocks."""
        root = Path(self._files.root)
        if not root.is_absolute() or not root.is_dir():
            return f"its source is no folder that is there ({self._files.root})"
        key = os.fsdecode(key_bytes)
        if not key or b"\0" in key_bytes or key.startswith("/") or ".." in key.split("/"):
            return "its key is no path in the source"
        if (root / key).is_dir():
            return "it is a folder"
        return ""

    def choose(self, key_bytes: bytes) -> None:
        """Take a file, to be listed; once, however often it is chosen."""
        self._keys[key_bytes] = None

    def covers(self, key_bytes: bytes) -> bool:
        """Tell whether a file was chosen."""
        return key_bytes in self._keys

    def listing(self) -> Iterator[Entry | Omission]:
        """List what was chosen."""
        for key_bytes in self._keys:
            folder, _, name = os.fsdecode(key_bytes).rpartition("/")
            alone = FileSource(self.name, f"{self._files.root}/{folder}".rstrip("/"), only=name)
            for item in alone.listing():
                yield dataclasses.replace(item, key=printable(key_bytes), key_bytes=key_bytes)

    async def read(self, entry: Entry, max_bytes: int) -> bytes:
        """Read one file whole.

        Raises:
            DocumentError: it can't be had.
        """
        return await self._files.read(entry, max_bytes)

    def fingerprint(self, entry: Entry) -> str:
        """Name the parser that reads this entry, with its version."""
        return self._files.fingerprint(entry)
