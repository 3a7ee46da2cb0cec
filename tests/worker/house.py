"""A collection with its ledger, and what producers and workers do to them, step by step."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from pymilvus import MilvusClient
from redis.asyncio import Redis

from contract.batch import Batch, Chunk, Part
from contract.ids import chunk_ids
from contract.ledger.control import JobControl
from contract.ledger.graves import Graves
from contract.ledger.jobs import Job, Jobs
from contract.ledger.ledger import Ledger
from contract.ledger.records import ClaimState, Finish, PartMark, Promise, Verdict
from contract.settings import Settings
from tests.worker.conftest import drop
from worker.collections import ensure_collection
from worker.embedding.embedder import ModelIdentity
from worker.milvus import connect

LEASE_SECONDS = 30.0
LATER_SECONDS = 3600.0


@dataclass
class House:
    """A collection with its ledger, and what a producer and a worker do to them."""

    settings: Settings
    redis: Redis
    client: MilvusClient
    collection: str
    job: str = ""
    quarantine_seconds: float = LATER_SECONDS

    @property
    def ledger(self) -> Ledger:
        """The ledger."""
        return Ledger(self.redis, self.collection, quarantine_seconds=self.quarantine_seconds)

    @property
    def control(self) -> JobControl:
        """The control of jobs."""
        return JobControl(self.redis, self.collection)

    async def promise(self, document: str, chunks: int, content: str = "1") -> Part:
        """Promise a version of a document."""
        self.job = self.job or await Jobs(self.redis, self.collection).create("books")
        promise = Promise(
            document_id=document,
            source="books",
            key_bytes=document.encode(),
            content_hash=content,
            chunk_count=chunks,
        )
        (found,) = await self.ledger.promises.register(self.job, [promise])
        return Part(
            document_id=document,
            source="books",
            version=found.version,
            content_hash=content,
            chunk_count=chunks,
            first=0,
            chunks=tuple(Chunk(key=str(n), text=f"{document} {n}") for n in range(chunks)),
        )

    async def publish(self, *parts: Part) -> str:
        """Publish parts as one batch."""
        batch = Batch(collection=self.collection, job=self.job, parts=parts)
        (batch_id,) = await self.ledger.publish([batch])
        return batch_id

    def write(self, *parts: Part) -> None:
        """Write the rows of parts."""
        rows = [
            {
                "chunk_id": chunk_id,
                "document_id": part.document_id,
                "version": part.version,
                "ordinal": ordinal,
                "source": part.source,
                "text": chunk.text,
                "chunk_key": chunk.key,
                "content_hash": part.content_hash,
                "vector": [1.0, 2.0],
            }
            for part in parts
            for ordinal, (chunk_id, chunk) in enumerate(
                zip(
                    chunk_ids(part.document_id, part.version, part.ordinals),
                    part.chunks,
                    strict=True,
                )
            )
        ]
        self.client.upsert(self.collection, rows)

    async def commit(self, part: Part) -> None:
        """Bring a document to its end, and leave the rows of older versions where they are."""
        batch_id = await self.publish(part)
        claim = await self.ledger.claim(batch_id, "worker:1", LEASE_SECONDS)
        assert claim.state is ClaimState.CLAIMED
        self.write(part)
        mark = PartMark(part.document_id, part.version, 0, part.units)
        await self.ledger.settle([mark])
        finish = Finish((mark,), (Verdict.COMMIT,), part.chunk_count, 0)
        assert await self.ledger.finish(batch_id, self.job, finish)

    def rows(self) -> list[tuple[str, int]]:
        """Read (document, version) of all rows."""
        found = self.client.query(
            self.collection,
            filter="ordinal >= 0",
            output_fields=["document_id", "version"],
            consistency_level="Strong",
        )
        return sorted((row["document_id"], row["version"]) for row in found)

    async def state(self) -> Job:
        """Read the job."""
        job = await Jobs(self.redis, self.collection).get(self.job)
        assert job is not None
        return job

    async def graves(self) -> int:
        """Count the versions in quarantine."""
        return await Graves(self.redis, self.collection).count()


@contextlib.asynccontextmanager
async def open_house(settings: Settings, redis: Redis, collection: str) -> AsyncIterator[House]:
    """Make an empty collection, and drop it at the end."""
    client = await asyncio.to_thread(connect, settings)
    await ensure_collection(client, redis, settings, collection, ModelIdentity("mill", "", 2))
    yield House(settings, redis, client, collection)
    drop(client, collection)
    client.close()
