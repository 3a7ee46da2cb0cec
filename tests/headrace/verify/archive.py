"""A collection with its ledger, in which documents can be brought, and rows lost and found."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from pymilvus import MilvusClient
from redis.asyncio import Redis

from contract.batch import Batch, Chunk, Part
from contract.ids import chunk_ids, document_id
from contract.ledger.jobs import Jobs
from contract.ledger.ledger import Ledger
from contract.ledger.rebuilding import Rebuilding
from contract.ledger.records import Finish, PartMark, Promise, Verdict
from contract.settings import Settings
from headrace.verify.commitments import Commitments
from headrace.verify.differences import Findings
from headrace.verify.rows import Rows
from headrace.verify.stocktaking import Mend, Stocktaking
from tests.worker.conftest import drop
from worker.collections import ensure_collection
from worker.embedding.embedder import ModelIdentity
from worker.milvus import connect, quiet_libraries

SOURCE = "books"
MODEL = ModelIdentity("mill", "", 2)


@dataclass
class Archive:
    """What producers, workers and accidents do to a collection."""

    settings: Settings
    redis: Redis
    client: MilvusClient
    collection: str
    job: str = ""
    vector: list[float] = field(default_factory=lambda: [1.0, 2.0])

    @property
    def ledger(self) -> Ledger:
        """The ledger."""
        return Ledger(self.redis, self.collection)

    @property
    def rebuilding(self) -> Rebuilding:
        """The ledger, as those see it who mend."""
        return Rebuilding(self.redis, self.collection)

    async def promise(self, key: str | bytes, chunks: int, content: str = "1") -> Part:
        """Promise a version of a document; nothing of it is published."""
        key_bytes = key if isinstance(key, bytes) else key.encode()
        document = document_id(SOURCE, key_bytes)
        if not self.job:
            await self.ledger.promises.begin_listing(SOURCE, "elsewhere")
            self.job = await Jobs(self.redis, self.collection).create(SOURCE)
        promise = Promise(
            document_id=document,
            source=SOURCE,
            key_bytes=key_bytes,
            content_hash=content,
            chunk_count=chunks,
        )
        (found,) = await self.ledger.promises.register(self.job, [promise])
        return Part(
            document_id=document,
            source=SOURCE,
            version=found.version,
            content_hash=content,
            chunk_count=chunks,
            first=0,
            chunks=tuple(Chunk(key=f"k{at}", text=f"{key!r} {at}") for at in range(chunks)),
            metadata={"path": key_bytes.decode("utf-8", "backslashreplace")},
        )

    async def bring(self, key: str | bytes, chunks: int, content: str = "1") -> Part:
        """Bring a document to its end; rows of an older version stay where they are."""
        part = await self.promise(key, chunks, content)
        batch = Batch(collection=self.collection, job=self.job, parts=(part,))
        (batch_id,) = await self.ledger.publish([batch])
        await self.ledger.claim(batch_id, "worker:1", 30.0)
        self.write(part)
        mark = PartMark(part.document_id, part.version, 0, part.units)
        await self.ledger.settle([mark])
        finish = Finish((mark,), (Verdict.COMMIT,), chunks, 0)
        assert await self.ledger.finish(batch_id, self.job, finish)
        return part

    def write(self, part: Part, ordinals: Iterable[int] | None = None) -> None:
        """Write rows of a part, all or some."""
        rows = [
            {
                "chunk_id": chunk_id,
                "chunk_key": "k",
                "document_id": part.document_id,
                "source": part.source,
                "version": part.version,
                "ordinal": ordinal,
                "content_hash": part.content_hash,
                "text": "text",
                "vector": self.vector,
                "chunk_count": part.chunk_count,
                **part.metadata,
            }
            for ordinal in (part.ordinals if ordinals is None else ordinals)
            for chunk_id in chunk_ids(part.document_id, part.version, [ordinal])
        ]
        if rows:
            self.client.upsert(self.collection, rows)

    def lose(self, part: Part, *ordinals: int) -> None:
        """Lose rows."""
        self.client.delete(
            self.collection, ids=list(chunk_ids(part.document_id, part.version, ordinals))
        )

    def rows(self) -> set[str]:
        """Read the ids of all rows."""
        found = self.client.query(
            self.collection,
            filter="ordinal >= 0",
            output_fields=["chunk_id"],
            limit=16_000,
            consistency_level="Strong",
        )
        return {row["chunk_id"] for row in found}

    async def take_stock(self, mend: Mend | None = None) -> Findings:
        """Look from Milvus to the ledger."""
        findings = Findings()
        async with Rows.open(self.settings, self.collection) as rows:
            await Stocktaking(rows, self.rebuilding, findings, mend or Mend()).take()
        return findings

    async def check_commitments(self, *, at_rest: bool = True, mend: bool = False) -> Findings:
        """Look from the ledger to Milvus."""
        findings = Findings()
        async with Rows.open(self.settings, self.collection) as rows:
            look = Commitments(rows, self.rebuilding, findings, at_rest=at_rest, mend=mend)
            await look.check()
        return findings


def ids_of(*parts: Part) -> set[str]:
    """Name all rows of parts."""
    return {row for p in parts for row in chunk_ids(p.document_id, p.version, p.ordinals)}


@asynccontextmanager
async def open_archive(settings: Settings, redis: Redis, collection: str) -> AsyncIterator[Archive]:
    """Make an empty collection, and drop it at the end."""
    quiet_libraries()
    client = await asyncio.to_thread(connect, settings)
    await ensure_collection(client, redis, settings, collection, MODEL)
    yield Archive(settings, redis, client, collection)
    drop(client, collection)
    client.close()
