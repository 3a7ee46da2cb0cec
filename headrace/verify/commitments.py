"""From the ledger to Milvus: is every row there that was promised?"""

from collections import Counter
from collections.abc import Sequence

from contract.ids import chunk_ids
from contract.ledger.rebuilding import Rebuilding, State
from headrace.verify.differences import Difference, Findings, Kind
from headrace.verify.rows import IDS_TOGETHER, Rows, slices
from producers.document import printable


class Commitments:
    """Looks at every document that the ledger knows, and reads the ids of its rows."""

    def __init__(
        self,
        rows: Rows,
        rebuilding: Rebuilding,
        findings: Findings,
        *,
        at_rest: bool,
        mend: bool,
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            rows: of the collection.
            rebuilding: the ledger's documents.
            findings: takes what differs.
            at_rest: nobody is at work, so that what is unfinished stays so.
            mend: have documents read again whose rows are not there.
        """
        self._rows = rows
        self._rebuilding = rebuilding
        self._findings = findings
        self._at_rest = at_rest
        self._mend = mend

    async def check(self) -> None:
        """Look at all documents.

        Raises:
            TransientError: Milvus does not answer.
            RedisError: the ledger does not answer.
        """
        for source in await self._rebuilding.sources():
            async for page in self._rebuilding.pages(source):
                await self._check([state for state in page if state.is_known])

    async def _check(self, states: Sequence[State]) -> None:
        self._findings.documents += len(states)
        resting = []
        for state in states:
            if not state.in_progress:
                resting.append(state)
            elif self._at_rest:
                await self._report([(state, Kind.UNFINISHED, 0, "promised and never brought")])
            else:
                self._findings.in_progress += 1
        missing = await self._missing(resting)
        confirmed = await self._missing([state for state in resting if missing[state.document_id]])
        found = []
        for state in resting:
            absent = confirmed[state.document_id]
            if absent:
                detail = f"{absent} of {state.committed_count} rows of version {state.committed}"
                found.append((state, Kind.MISSING, absent, detail))
            elif not state.is_valid:
                found.append((state, Kind.AWAITING, 0, "is to be read again"))
        await self._report(found)

    async def _missing(self, states: Sequence[State]) -> Counter[str]:
        """Count the rows that are not there, by document; looked at in the order of their ids."""
        missing: Counter[str] = Counter()
        wanted = (
            row
            for state in states
            for row in chunk_ids(state.document_id, state.committed, range(state.committed_count))
        )
        for some in slices(wanted, IDS_TOGETHER):
            there = await self._rows.present(some)
            missing.update(row.partition(":")[0] for row in some if row not in there)
        return missing

    async def _report(self, found: Sequence[tuple[State, Kind, int, str]]) -> None:
        """Count what still is as it was found; rows may have come or gone meanwhile."""
        if not found:
            return
        now = await self._rebuilding.states([state.document_id for state, *_ in found])
        same = [item for item, state in zip(found, now, strict=True) if item[0] == state]
        self._findings.in_progress += len(found) - len(same)
        if self._mend:
            await self._rebuilding.invalidate([state for state, *_ in same])
        for state, kind, rows, detail in same:
            self._findings.add(
                Difference(
                    kind=kind,
                    subject=state.document_id,
                    source=state.source,
                    key=printable(state.key_bytes),
                    rows=rows,
                    detail=detail,
                )
            )
