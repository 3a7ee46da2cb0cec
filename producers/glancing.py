"""Glancing: which listed documents need not be read, because their stamps are known."""

import asyncio
import dataclasses
from collections.abc import Sequence

from contract.ids import document_id
from contract.ledger.promises import Promises
from contract.ledger.records import Registered
from producers.document import Entry
from producers.drafting import Drafter
from producers.sources.remote import Remote, remote_of
from producers.sources.source import Source


class Glance:
    """Asks the ledger about documents by what their listing shows of them alone."""

    def __init__(self, promises: Promises, drafter: Drafter, source: Source) -> None:
        """Prepare; nothing is sent yet.

        Args:
            promises: of the collection.
            drafter: names documents, and the way they would be cut.
            source: is asked for stamps that its listing does not show.
        """
        self._promises = promises
        self._drafter = drafter
        self._remote = remote_of(source)

    async def known(self, entries: Sequence[Entry]) -> list[tuple[Entry, Registered]]:
        """Give the entries whose content is promised already, with what the ledger says of it."""
        source = self._drafter.recipe.source_name
        if self._remote is not None:
            entries = await self._probed(self._remote, entries)
        stamped = [(entry, self._drafter.stamp(entry)) for entry in entries if entry.stamp]
        found = await self._promises.glance(
            [(document_id(source, entry.key_bytes), stamp) for entry, stamp in stamped]
        )
        pairs = zip(stamped, found, strict=True)
        return [(entry, registered) for (entry, _), registered in pairs if registered is not None]

    async def _probed(self, remote: Remote, entries: Sequence[Entry]) -> list[Entry]:
        """Ask a remote source for the stamps of what has been brought before: else it is read."""
        source = self._drafter.recipe.source_name
        standing = await self._promises.standing(
            [document_id(source, entry.key_bytes) for entry in entries]
        )
        known = [entry for entry, stands in zip(entries, standing, strict=True) if stands.wanted]
        stamps = await asyncio.gather(*(remote.probe(entry) for entry in known))
        return [
            dataclasses.replace(entry, stamp=stamp, size_bytes=0)
            for entry, stamp in zip(known, stamps, strict=True)
        ]
