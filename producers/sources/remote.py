"""Sources whose listing shows no stamps, as each costs a request."""

from typing import Protocol, cast

from producers.document import Entry
from producers.sources.source import Source


class Remote(Protocol):
    """What such a source can do besides."""

    async def probe(self, entry: Entry) -> str:
        """Ask for the stamp of a document without its content; empty where it has none."""

    async def read_stamped(self, entry: Entry, max_bytes: int) -> tuple[bytes, str]:
        """Give the bytes of one document, and the stamp of just these.

        Raises:
            DocumentError: it can't be had.
        """


def remote_of(source: Source) -> Remote | None:
    """Give what a source can do besides; None where its listing shows all."""
    return cast("Remote | None", getattr(source, "remote", None))
