"""Pieces of one source that several producers bring in at the same time.

Each document belongs to one shard, by a hash of its key. A shard never deletes: what it does not
show another one has. Once all are through, ``Remainder`` shows nothing, and so lets go what none of
them has seen in their common listing.
"""

import zlib
from collections.abc import Iterator

from producers.document import Entry, Omission
from producers.sources.remote import remote_of
from producers.sources.source import Source


class _Part:
    """A source that shows some of another's documents, and reads and parses as that does."""

    shows_all = False

    def __init__(self, source: Source) -> None:
        self.name = source.name
        self._source = source
        # As an attribute: a static method of the source stays one, and is called in the pool.
        self.parse = source.parse
        self.remote = remote_of(source)

    @property
    def complete(self) -> bool:
        """Tell whether the last listing ran to its end and saw all that it covers."""
        return self._source.complete

    @property
    def origin(self) -> str:
        """Where the documents lie."""
        return self._source.origin

    def covers(self, key_bytes: bytes) -> bool:
        """Tell whether a listing of the whole would show this key."""
        return self._source.covers(key_bytes)

    async def read(self, entry: Entry, max_bytes: int) -> bytes:
        """Give the bytes of one document.

        Raises:
            DocumentError: it can't be had.
        """
        return await self._source.read(entry, max_bytes)

    def fingerprint(self, entry: Entry) -> str:
        """Name the parser that ``parse`` will use, with its version."""
        return self._source.fingerprint(entry)


class Shard(_Part):
    """One of several shards of a source."""

    def __init__(self, source: Source, number: int, of: int) -> None:
        """Show a share of a source's documents.

        Args:
            source: the whole.
            number: of this shard, from 0.
            of: how many there are.
        """
        super().__init__(source)
        self._number = number
        self._of = of

    def listing(self) -> Iterator[Entry | Omission]:
        """List the documents of this shard; each walks through all of the source."""
        for item in self._source.listing():
            if zlib.crc32(item.key_bytes) % self._of == self._number:
                yield item


class Remainder(_Part):
    """What is left to do when all shards are through: nothing is shown, so the rest is gone."""

    shows_all = True

    def listing(self) -> Iterator[Entry | Omission]:
        """Walk through the source once more, so that it is known to be complete."""
        for _ in self._source.listing():
            pass
        yield from ()
