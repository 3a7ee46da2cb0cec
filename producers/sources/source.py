"""What a producer needs of a source."""

from collections.abc import Iterator
from typing import Protocol

from producers.document import Document, Entry, Omission


class Source(Protocol):
    """Where documents come from. A new kind of source is a new file beside this one."""

    name: str
    """Stable: with a document's key it makes the document's id."""
    shows_all: bool
    """Whether a document is gone when a complete listing that covers it does not show it."""

    @property
    def complete(self) -> bool:
        """Tell whether the last listing ran to its end and saw all that it covers."""

    @property
    def origin(self) -> str:
        """Where the documents lie, for people; another place under the same name is asked about."""

    def listing(self) -> Iterator[Entry | Omission]:
        """List all documents; blocks, so it is iterated in a thread."""

    def covers(self, key_bytes: bytes) -> bool:
        """Tell whether a listing would show this key if the document were there."""

    async def read(self, entry: Entry, max_bytes: int) -> bytes:
        """Give the bytes of one document.

        Raises:
            DocumentError: it can't be had.
        """

    def fingerprint(self, entry: Entry) -> str:
        """Name the parser that ``parse`` will use, with its version."""

    def parse(self, entry: Entry, data: bytes) -> Document:
        """Make a document of the bytes; may take long, so it is called elsewhere.

        A static method, or another function that its module's name leads to, is called in a
        process of the pool; any other in a thread of this process.

        Raises:
            DocumentError: the bytes can't be parsed, or hold no text.
        """
