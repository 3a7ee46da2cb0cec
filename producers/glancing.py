"""Glancing: which listed documents need not be read, because their stamps are known."""

from collections.abc import Sequence

from contract.ids import document_id
from contract.ledger.promises import Promises
from contract.ledger.records import Registered
from producers.document import Entry
from producers.drafting import Drafter


class Glance:
    """Asks the ledger about documents by what their listing shows of them alone."""

    def __init__(self, promises: Promises, drafter: Drafter) -> None:
        """Prepare; nothing is sent yet.

        Args:
            promises: of the collection.
            drafter: names documents, and the way they would be cut.
        """
        self._promises = promises
        self._drafter = drafter

    async def known(self, entries: Sequence[Entry]) -> list[tuple[Entry, Registered]]:
        """Give the entries whose content is promised already, with what the ledger says of it."""
        source = self._drafter.recipe.source_name
        stamped = [(entry, self._drafter.stamp(entry)) for entry in entries if entry.stamp]
        found = await self._promises.glance(
            [(document_id(source, entry.key_bytes), stamp) for entry, stamp in stamped]
        )
        pairs = zip(stamped, found, strict=True)
        return [(entry, registered) for (entry, _), registered in pairs if registered is not None]
