"""From Milvus to the ledger: does every row belong there?"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from contract.ids import chunk_id
from contract.ledger.rebuilding import Rebuilding, State
from contract.ledger.records import Rows as Version
from headrace.verify.adopting import strangers
from headrace.verify.differences import Difference, Findings, Kind
from headrace.verify.grouping import Held
from headrace.verify.rebuild import TOGETHER, adopt, documents
from headrace.verify.rows import Rows, slices
from producers.document import printable

_Pair = tuple[Held, State]


@dataclass(frozen=True, slots=True)
class Mend:
    """What may be mended on the way."""

    rows: bool = False
    """Delete rows of versions that are over, adopt whole documents that nobody knows."""
    unowned: bool = False
    """Delete rows that nobody owns; a person said so."""


class Stocktaking:
    """Looks at every row of a collection, in one stream.

    Rows of documents that are being worked at are no difference; what looks like one is looked
    at twice, so that it may be run while others work.
    """

    def __init__(self, rows: Rows, rebuilding: Rebuilding, findings: Findings, mend: Mend) -> None:
        """Prepare; nothing is read yet."""
        self._rows = rows
        self._rebuilding = rebuilding
        self._findings = findings
        self._mend = mend

    async def take(self) -> None:
        """Look at all rows.

        Raises:
            TransientError: Milvus does not answer.
            RedisError: the ledger does not answer.
        """
        async for held, foreign in documents(self._rows):
            self._findings.rows_read += len(foreign) + sum(item.rows for item in held)
            await self._judge_foreign(foreign)
            for some in slices(held, TOGETHER):
                await self._judge(some)

    async def _judge_foreign(self, ids: Sequence[str]) -> None:
        for some in slices(ids, TOGETHER):
            there = await self._rows.present(some)
            if self._mend.unowned:
                await self._rows.delete(there)
            for row in sorted(there):
                self._findings.add(
                    Difference(kind=Kind.FOREIGN, subject=row, rows=1, mended=self._mend.unowned)
                )

    async def _judge(self, held: Sequence[Held]) -> None:
        states = await self._rebuilding.states([item.document_id for item in held])
        pairs = list(zip(held, states, strict=True))
        await self._judge_unknown([pair for pair in pairs if not pair[1].is_known])
        await self._judge_known(
            [pair for pair in pairs if pair[1].is_known and not pair[1].in_progress]
        )

    # --- documents that the ledger does not know

    async def _judge_unknown(self, pairs: Sequence[_Pair]) -> None:
        found = await strangers(self._rows, [held for held, _ in pairs])
        states = {state.document_id: state for _, state in pairs}
        whole = [item for item in found if item.adoption.version]
        entered = [False] * len(whole)
        if self._mend.rows:
            entered = [done for _, done in await adopt(self._rows, self._rebuilding, whole)]
        for item, done in zip(whole, entered, strict=True):
            self._findings.add(
                Difference(
                    kind=Kind.UNKNOWN,
                    subject=item.held.document_id,
                    source=item.adoption.source,
                    key=printable(item.adoption.key_bytes),
                    rows=item.held.rows,
                    detail="known again" if done else "a whole document",
                    mended=done,
                )
            )
        incomplete = [item for item in found if not item.adoption.version]
        if self._mend.unowned:
            await self._rows.delete(
                row for item in incomplete for row in _ids(item.held, item.held.versions)
            )
            await self._rebuilding.forget(
                [
                    replace(states[item.held.document_id], source=item.adoption.source)
                    for item in incomplete
                ]
            )
        elif self._mend.rows:
            # Where the source is here, it is read again, and then all of them can go.
            await self._rebuilding.adopt([item.adoption for item in incomplete])
        for item in incomplete:
            self._findings.add(
                Difference(
                    kind=Kind.INCOMPLETE,
                    subject=item.held.document_id,
                    source=item.adoption.source,
                    key=printable(item.adoption.key_bytes),
                    rows=item.held.rows,
                    detail="no version is whole",
                    mended=self._mend.unowned,
                )
            )

    # --- documents that nobody is at

    async def _judge_known(self, pairs: Sequence[_Pair]) -> None:
        found = [found for pair in pairs for found in _surplus(*pair)]
        if not found:
            return
        found = await self._confirmed(found)
        found = await self._without_graves(found)
        if self._mend.rows:
            await self._rows.delete(row for item in found for row in item.ids)
        for item in found:
            self._findings.add(
                Difference(
                    kind=item.kind,
                    subject=item.state.document_id,
                    source=item.state.source,
                    key=printable(item.state.key_bytes),
                    rows=len(item.ids),
                    detail=f"version {item.version}, committed is {item.state.committed}",
                    mended=self._mend.rows,
                )
            )

    async def _confirmed(self, found: Sequence["_Surplus"]) -> list["_Surplus"]:
        """Keep what is still there, of documents whose state has not changed meanwhile."""
        there = await self._rows.present(row for item in found for row in item.ids)
        states = await self._rebuilding.states([item.state.document_id for item in found])
        kept = []
        for item, state in zip(found, states, strict=True):
            ids = [row for row in item.ids if row in there]
            if ids and state == item.state:
                kept.append(replace(item, ids=ids))
        return kept

    async def _without_graves(self, found: Sequence["_Surplus"]) -> list["_Surplus"]:
        """Leave out what a janitor is to delete at the end of its quarantine."""
        facts = await self._rows.facts(item.ids[0] for item in found)
        versions = [
            Version(item.state.document_id, item.version, facts[item.ids[0]].chunk_count)
            if item.ids[0] in facts
            else Version(item.state.document_id, item.version, 0)
            for item in found
        ]
        buried = await self._rebuilding.in_quarantine(versions)
        self._findings.in_quarantine += sum(buried)
        return [item for item, is_buried in zip(found, buried, strict=True) if not is_buried]


@dataclass(frozen=True, slots=True)
class _Surplus:
    """Rows of one version that should not be there."""

    kind: Kind
    state: State
    version: int
    ids: list[str]


def _surplus(held: Held, state: State) -> list[_Surplus]:
    found = []
    for version, ordinals in held.versions.items():
        if version != state.committed:
            found.append(_Surplus(Kind.STALE, state, version, _ids(held, [version])))
        elif max(ordinals) >= state.committed_count:
            beyond = [
                chunk_id(held.document_id, version, ordinal)
                for ordinal in ordinals
                if ordinal >= state.committed_count
            ]
            found.append(_Surplus(Kind.BEYOND, state, version, beyond))
    return found


def _ids(held: Held, versions: Iterable[int]) -> list[str]:
    return [
        chunk_id(held.document_id, version, ordinal)
        for version in versions
        for ordinal in held.versions[version]
    ]
