"""The way of one batch: look, reuse, embed, write, settle, finish.

Safe to repeat from any point: rows have ids of their own version, marks count once, and the
batch leaves the ledger in the last step only.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contract.batch import Batch, Part
from contract.errors import (
    CollectionGoneError,
    HeadraceError,
    KillsWorkersError,
    PermanentError,
    StoreRejectedError,
    ThrottledError,
    TransientError,
)
from contract.ledger.ledger import Ledger
from contract.ledger.records import Claim, Finish, Rows, Standing, Verdict
from worker.calls import Calls
from worker.dead_letters import Death
from worker.embedding.embedder import Embedder
from worker.given import given_vector
from worker.isolation import isolate
from worker.lease import Lease
from worker.outcome import Ingested, Outcome, Stage
from worker.reuse import Search, find_vectors
from worker.settlement import Settlement
from worker.store import Row, Store, StoredRow, rows_of

MOST_KILLS_ALONE = 2
"""A chunk that had the process for itself when that died, so often, is not tried again."""

logger = logging.getLogger(__name__)

Vectors = dict[str, NDArray[np.float32]]
Live = Sequence[tuple[int, Part]]
"""Parts that are to be written, each with its place in the batch."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What every batch is worked on with."""

    store_of: Callable[[str], Awaitable[Store]]
    embedder: Embedder


class Work:
    """One batch in the hands of one worker."""

    def __init__(
        self,
        tools: Tools,
        calls: Calls,
        ledger: Ledger,
        claim: Claim,
        batch: Batch,
        lease: Lease,
    ) -> None:
        """Begin nothing yet.

        Args:
            tools: what reaches outside.
            calls: makes the calls.
            ledger: where the batch was claimed.
            claim: the hold on it.
            batch: what it holds.
            lease: looked at before every write; the caller keeps it.
        """
        self.ledger = ledger
        self.claim = claim
        self.batch = batch
        self.lease = lease
        self.is_under_way = False
        """Whether the store was there: before that nothing can be the batch's own fault."""
        self._tools = tools
        self._calls = calls
        self._deaths: dict[int, Death] = {}  # by the part's place in the batch
        self._given: dict[tuple[int, int], NDArray[np.float32]] = {}  # by place and ordinal
        self._tokens = 0
        self._written = 0
        self._reused = 0
        self._hits: set[str] = set()
        self._misses = 0
        self._cached = 0
        self._tokens_saved = 0
        self._committed = 0
        self._age_seconds: float | None = None

    async def run(self) -> Ingested:
        """Bring the batch to its end.

        Raises:
            LeaseLostError: someone else has the batch.
            TransientError: it may succeed later.
            UsageError: it can't succeed before someone has mended the configuration.
            RedisError: the ledger does not answer.
        """
        collection = self.ledger.collection
        store = await self._calls.make(Stage.WRITE, lambda: self._tools.store_of(collection))
        self.is_under_way = True
        standing = await self.ledger.standing([part.document_id for part in self.batch.parts])
        live = []
        for place, (part, stands) in enumerate(zip(self.batch.parts, standing, strict=True)):
            if stands.committed == part.version:
                self._written += len(part.chunks)  # by an earlier attempt, which did not count
            elif stands.wants(part.version) and part.chunks:
                live.append((place, part))
        if self.claim.alone_crashes >= MOST_KILLS_ALONE and self.batch.chunk_count == 1:
            for place, part in live:
                message = f"{self.claim.crashes} worker processes ended while they had this chunk"
                self._die(place, Stage.EMBED, KillsWorkersError(message), part.first)
        else:
            await self._take_given(live)
            found = await self._find(store, live, standing)
            vectors = await self._embed(live, found)
            await self._write(store, live, vectors)
            self._count(live, found)
        await self._finish(store)
        return self.ended(Outcome.FINISHED)

    def _die(self, place: int, stage: Stage, error: HeadraceError, ordinal: int) -> None:
        self._deaths.setdefault(place, Death(stage, error)).ordinals.add(ordinal)

    async def _take_given(self, live: Live) -> None:
        """Take the vectors that came along; what the collection can't hold makes parts dead."""
        brought = [(place, part) for place, part in live if part.brings_vectors]
        if not brought:
            return
        model = await self._tools.embedder.identify()  # known since the store was opened
        for place, part in brought:
            for ordinal, chunk in zip(part.ordinals, part.chunks, strict=True):
                try:
                    self._given[place, ordinal] = given_vector(chunk, model.dimension)
                except StoreRejectedError as error:
                    self._die(place, Stage.WRITE, error, ordinal)

    async def _find(self, store: Store, live: Live, standing: Sequence[Standing]) -> Vectors:
        """Read vectors back: of texts that documents had before, or that their twins have."""
        live = _to_embed(live)
        origins = {place: (part.document_id, standing[place]) for place, part in live}
        moved = [
            (place, part.twin)
            for place, part in live
            if part.twin and not standing[place].committed_count
        ]
        if moved:
            of_twins = await self.ledger.standing([twin for _, twin in moved])
            for (place, twin), stands in zip(moved, of_twins, strict=True):
                origins[place] = (twin, stands)
        searches = [
            Search(part, Rows(document, stands.committed, stands.committed_count))
            for place, part in live
            for document, stands in [origins[place]]
            if stands.committed_count
        ]

        async def read(ids: Sequence[str]) -> Mapping[str, StoredRow]:
            return await self._calls.make(Stage.READ, lambda: store.read(ids, vectors=True))

        try:
            return await find_vectors(searches, read)
        except (ThrottledError, CollectionGoneError):
            raise
        except (TransientError, PermanentError) as error:
            logger.warning(
                "vectors can't be reused",
                extra={"event": "not_reused", "batch": self.claim.batch_id, "error": str(error)},
            )
            return {}

    async def _embed(self, live: Live, found: Vectors) -> Vectors:
        """Embed each text once; texts that are refused alone make their parts dead."""
        vectors = dict(found)

        async def embed(texts: Sequence[str]) -> None:
            embedded = await self._calls.make(
                Stage.EMBED, lambda: self._tools.embedder.embed(texts, urgent=self.batch.is_live)
            )
            self._tokens += embedded.tokens or 0
            self._hits |= embedded.hits
            self._misses += embedded.misses
            self._tokens_saved += embedded.tokens_saved
            vectors.update(zip(texts, embedded.vectors, strict=True))

        live = _to_embed(live)
        texts = dict.fromkeys(chunk.text for _, part in live for chunk in part.chunks)
        new = [text for text in texts if text not in found]
        refused = dict(await isolate(new, embed, self._calls.blames))
        for place, part in live:
            for ordinal, chunk in zip(part.ordinals, part.chunks, strict=True):
                if chunk.text in refused:
                    self._die(place, Stage.EMBED, refused[chunk.text], ordinal)
        return vectors

    async def _write(self, store: Store, live: Live, vectors: Vectors) -> None:
        """Write the rows of the parts that are whole, as long as the lease is ours."""
        rows = [
            (place, ordinal, row)
            for place, part in live
            if place not in self._deaths
            for ordinal, row in zip(part.ordinals, rows_of(part), strict=True)
        ]
        given = self._given

        async def upsert(some: Sequence[tuple[int, int, Row]]) -> None:
            rows = [row for *_, row in some]
            matrix = np.stack(
                [
                    given[place, ordinal]
                    if (place, ordinal) in given
                    else vectors[row.document.page_content]
                    for place, ordinal, row in some
                ]
            )
            await self._calls.make(
                Stage.WRITE,
                lambda: store.upsert(
                    rows, matrix, check=self.lease.check, urgent=self.batch.is_live
                ),
            )

        for (place, ordinal, _), error in await isolate(rows, upsert, self._calls.blames):
            self._die(place, Stage.WRITE, error, ordinal)

    def _count(self, live: Live, found: Vectors) -> None:
        for place, part in live:
            if place not in self._deaths:
                self._written += len(part.chunks)
                if not part.brings_vectors:
                    self._reused += sum(chunk.text in found for chunk in part.chunks)
                    self._cached += sum(chunk.text in self._hits for chunk in part.chunks)

    async def _finish(self, store: Store) -> None:
        """Settle the parts, then commit and strike the batch off."""
        settlement = Settlement(self.ledger, store, self._calls, self.claim, self.batch)
        marks, verdicts = await settlement.settle(self._deaths)
        finish = Finish(
            marks,
            verdicts,
            self._written,
            self._tokens,
            self._reused,
            self._cached,
            self._tokens_saved,
        )
        self.lease.let_go()
        with self._calls.watch.measured(Stage.COMMIT):
            struck = await self.ledger.finish(self.claim.batch_id, self.batch.job, finish)
        if struck:
            self._age_seconds = self._calls.watch.age_seconds
            self._committed = sum(verdict is Verdict.COMMIT for verdict in verdicts)

    def ended(self, outcome: Outcome, reason: str = "", *, isolated: bool = False) -> Ingested:
        """Say how it went."""
        parts = self.batch.parts if outcome is Outcome.FINISHED else ()
        waited_ms = self.claim.waited_ms
        return Ingested(
            outcome,
            reason=reason,
            chunks=self._written,
            reused=self._reused,
            documents=self._committed,
            dead=tuple(type(death.error).__name__ for death in self._deaths.values()),
            isolated=isolated,
            tokens=self._tokens,
            cache_hits=len(self._hits),
            cache_misses=self._misses,
            tokens_saved=self._tokens_saved,
            text_bytes=sum(len(chunk.text.encode()) for part in parts for chunk in part.chunks),
            seconds=self._calls.watch.seconds,
            retries=self._calls.watch.retries,
            throttled_seconds=self._calls.watch.throttled_seconds,
            lane=self.batch.lane,
            waited_seconds=None if waited_ms is None else waited_ms / 1000,
            age_seconds=self._age_seconds,
        )


def _to_embed(live: Live) -> Live:
    """Leave out the parts that came with their vectors."""
    return [(place, part) for place, part in live if not part.brings_vectors]
