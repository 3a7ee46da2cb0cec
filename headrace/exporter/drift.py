"""Drift: a few documents at a time, whose rows in Milvus are compared with the ledger.

Half of them are drawn from the ledger, the others from Milvus, so that rows are found as well of
documents that the ledger does not know. What ``headrace verify`` does for all documents is done
here for a sample, again and again; nothing is mended.
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis

from contract.errors import HeadraceError, TimedOutError, UnreachableError
from contract.ledger.connection import text
from contract.ledger.rebuilding import Rebuilding, State
from contract.ledger.records import Rows as Version
from contract.names import Keys
from headrace.exporter import catalogue as c
from headrace.exporter.milvus_reader import MilvusReader, Row
from headrace.exporter.samples import Samples
from headrace.verify.grouping import Grouper, Held

SAMPLE: Final = 100
"""Documents that are drawn from ledgers for one look; and rows from each collection of these."""
MOST_ROWS: Final = 8_000
"""Of one look into one collection; a larger document is left out."""

MISSING, STALE, EXTRA = c.DRIFTS


@dataclass(frozen=True, slots=True)
class DriftFacts:
    """What was found so far, by this process."""

    checked: int
    """Documents."""
    found: Mapping[str, int]
    """Documents by what is wrong with their rows."""
    last_checked: int
    last_found: Mapping[str, int]

    def put(self, samples: Samples, now: float) -> None:  # noqa: ARG002 - of all sections
        """Put everything."""
        samples.add(c.DRIFT_CHECKED, self.checked)
        for kind in c.DRIFTS:
            samples.add(c.DRIFT_FOUND, self.found.get(kind, 0), kind)
            share = self.last_found.get(kind, 0) / self.last_checked if self.last_checked else 0.0
            samples.add(c.DRIFT, share, kind)


def judge(state: State, held: Held | None) -> dict[str, set[int]]:
    """Say what is wrong with a document's rows, and of which versions; nothing: they are right."""
    wrong: dict[str, set[int]] = {}
    versions = held.versions if held is not None else {}
    there = [o for o in versions.get(state.committed, ()) if o < state.committed_count]
    if len(there) < state.committed_count:
        wrong[MISSING] = {state.committed}
    for version, ordinals in versions.items():
        if version == state.committed:
            if len(ordinals) > len(there):
                wrong.setdefault(EXTRA, set()).add(version)
        elif state.is_known and version < state.committed:
            wrong.setdefault(STALE, set()).add(version)
        else:
            wrong.setdefault(EXTRA, set()).add(version)
    return wrong


class Drift:
    """Draws samples, and sums up what it finds."""

    def __init__(
        self, redis: Redis, reader: MilvusReader, draw: random.Random | None = None
    ) -> None:
        """Use a client and a reader that the caller closes."""
        self._redis = redis
        self._reader = reader
        self._draw = draw or random.Random()  # noqa: S311 - no secret
        self._checked = 0
        self._found = Counter[str]()

    async def look(self, documents: Mapping[tuple[str, str], int]) -> DriftFacts:
        """Look at some documents.

        Args:
            documents: how many each (collection, source) has.

        Raises:
            RedisError: Redis does not answer, or refuses.
            TransientError: Milvus does not answer.
        """
        checked, found = 0, Counter[str]()
        for collection, drawn in (await self._drawn(documents)).items():
            try:
                number, wrong = await self._look(collection, drawn)
            except (UnreachableError, TimedOutError):
                raise
            except HeadraceError:
                continue  # not loaded, or not there any more
            checked += number
            found += wrong
        self._checked += checked
        self._found += found
        return DriftFacts(self._checked, dict(self._found), checked, dict(found))

    async def _drawn(self, documents: Mapping[tuple[str, str], int]) -> dict[str, list[str]]:
        places = [place for place, number in documents.items() if number]
        weights = [documents[place] for place in places]
        drawn = Counter(self._draw.choices(places, weights, k=SAMPLE) if places else ())
        pipe = self._redis.pipeline(transaction=False)
        for (collection, source), number in drawn.items():
            pipe.zrandmember(Keys(collection).source(source), number)
        found: dict[str, list[str]] = {}
        for (collection, _), ids in zip(drawn, await pipe.execute(), strict=True):
            found.setdefault(collection, []).extend(map(text, ids))
        return found

    async def _look(self, collection: str, drawn: Sequence[str]) -> tuple[int, Counter[str]]:
        rebuilding = Rebuilding(self._redis, collection)
        first = f"{self._draw.getrandbits(128):032x}"
        sampled = await self._reader.rows_from(collection, first, SAMPLE)
        ids = dict.fromkeys([*drawn, *(held.document_id for held in grouped(sampled))])
        states = _fitting(await rebuilding.states(list(ids)))
        if not states:
            return 0, Counter()
        suspects = await self._wrong(collection, rebuilding, states)
        if suspects:
            # Once more, by another look: what is there now and was not before counts for nothing.
            again = await self._wrong(collection, rebuilding, list(suspects))
            suspects = {
                state: kinds
                for state, before in suspects.items()
                if (kinds := before & again.get(state, set()))
            }
        return len(states), Counter(kind for kinds in suspects.values() for kind in kinds)

    async def _wrong(
        self, collection: str, rebuilding: Rebuilding, states: Sequence[State]
    ) -> dict[State, set[str]]:
        """Judge documents whose state is the same before and after the look at their rows."""
        ids = [state.document_id for state in states]
        rows = await self._reader.rows_of(collection, ids)
        held = {item.document_id: item for item in grouped(rows)}
        wrong = {
            state: kinds
            for state, now in zip(states, await rebuilding.states(ids), strict=True)
            if state == now and (kinds := judge(state, held.get(state.document_id)))
        }
        counts = {row.id.rpartition(":")[0]: row.chunk_count for row in rows}
        surplus = [
            Version(state.document_id, version, counts.get(f"{state.document_id}:{version}", 0))
            for state, kinds in wrong.items()
            for kind, versions in kinds.items()
            for version in versions
            if kind != MISSING and version != state.committed
        ]
        buried = await rebuilding.in_quarantine(surplus) if surplus else []
        over = {
            (item.document_id, item.version)
            for item, is_buried in zip(surplus, buried, strict=True)
            if is_buried
        }
        kept = {
            state: {
                kind
                for kind, versions in kinds.items()
                if any((state.document_id, version) not in over for version in versions)
            }
            for state, kinds in wrong.items()
        }
        return {state: kinds for state, kinds in kept.items() if kinds}


def grouped(rows: Sequence[Row]) -> list[Held]:
    """Put rows together by document; those that are none of ours are left out."""
    grouper = Grouper()
    through, _ = grouper.add(sorted(row.id for row in rows))
    return [*through, *grouper.rest()]


def _fitting(states: Sequence[State]) -> list[State]:
    """Leave out what is being worked at or to be read again, and what is too much for one look."""
    fitting, rows = [], 0
    for state in states:
        if (state.is_known and (state.in_progress or not state.is_valid)) or (
            rows + state.committed_count > MOST_ROWS
        ):
            continue
        rows += state.committed_count
        fitting.append(state)
    return fitting
