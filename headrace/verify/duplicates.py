"""Rows that Milvus has more than once under one id; its queries show only one of them.

Nothing of headrace's writes such rows, but plain inserts of other programs do.
"""

from collections.abc import Sequence

from contract.errors import TransientError
from contract.ledger.rebuilding import Rebuilding
from headrace.verify.differences import Difference, Findings, Kind
from headrace.verify.rows import Rows
from producers.document import printable

NAMED = 100
"""That are looked for; each costs a dozen queries."""


class Duplicates:
    """Compares numbers of rows with numbers of ids, and narrows down where they differ."""

    def __init__(
        self, rows: Rows, rebuilding: Rebuilding, findings: Findings, *, mend: bool
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            rows: of a collection that nobody writes to.
            rebuilding: the ledger's documents.
            findings: takes what differs.
            mend: have their documents read again: the next commit deletes all copies.
        """
        self._rows = rows
        self._rebuilding = rebuilding
        self._findings = findings
        self._mend = mend

    async def look(self) -> None:
        """Look for duplicates if there are more rows than ids.

        Raises:
            TransientError: Milvus does not answer, or did not show all of its rows.
        """
        if not self._rows.exists:
            return
        spare = await self._rows.count() - self._findings.rows_read
        if spare <= 0:
            return
        found: list[str] = []
        async for page in self._rows.pages():
            spare -= await self._narrow(page, found)
            if spare <= 0 or len(found) >= NAMED:
                break
        else:
            if spare > 0:
                raise TransientError("Milvus did not show all of its rows; try again")
        await self._report(found)
        if spare > 0:
            self._findings.note(f"{spare} more rows are there twice; run verify again")

    async def _narrow(self, ids: Sequence[str], found: list[str]) -> int:
        """Find ids that are there more than once; returns how many rows are spare."""
        spare = await self._rows.count(first=ids[0], last=ids[-1]) - len(ids)
        if spare <= 0 or len(found) >= NAMED:
            return max(spare, 0)
        if len(ids) == 1:
            found.append(ids[0])
            return spare
        half = len(ids) // 2
        for part in (ids[:half], ids[half:]):
            await self._narrow(part, found)
        return spare

    async def _report(self, ids: Sequence[str]) -> None:
        documents = list(dict.fromkeys(row.partition(":")[0] for row in ids))
        states = await self._rebuilding.states(documents)
        if self._mend:
            await self._rebuilding.invalidate([state for state in states if state.is_known])
        for state in states:
            rows = sum(row.startswith(f"{state.document_id}:") for row in ids)
            self._findings.add(
                Difference(
                    kind=Kind.DUPLICATE,
                    subject=state.document_id,
                    source=state.source,
                    key=printable(state.key_bytes),
                    rows=rows,
                    detail="there more than once",
                )
            )
