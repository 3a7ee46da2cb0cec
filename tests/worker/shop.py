"""Documents on their way into one collection: a producer's side and what came out."""

from typing import Any

import msgspec
from pymilvus import MilvusClient
from redis.asyncio import Redis

from contract.batch import Batch, Chunk, Part
from contract.ids import chunk_keys
from contract.lane import Lane
from contract.ledger.jobs import Job, Jobs
from contract.ledger.ledger import Ledger
from contract.ledger.records import DeadLetter, Promise

SOURCE = "books"


class Shop:
    """Promises and publishes documents, and looks at the ledger and at Milvus."""

    def __init__(self, redis: Redis, client: MilvusClient, collection: str) -> None:
        """Use clients that the caller closes."""
        self.redis = redis
        self.client = client
        self.collection = collection
        self.ledger = Ledger(redis, collection)
        self.jobs = Jobs(redis, collection)
        self.job = ""
        self.knows_all = True
        """Whether the ledger knows all that Milvus holds."""

    async def parts(self, **documents: str) -> list[Part]:
        """Promise documents, each a line of words, a chunk for each word; none deletes it."""
        self.job = self.job or await self.jobs.create(SOURCE)
        await self.redis.hset(self.ledger.keys.meta, "built", str(int(self.knows_all)))
        promises = [
            Promise(
                document_id=name,
                source=SOURCE,
                key_bytes=f"{name}.md".encode(),
                content_hash=f"hash of {text}",
                chunk_count=len(text.split()),
            )
            for name, text in documents.items()
        ]
        found = await self.ledger.promises.register(self.job, promises)
        return [
            Part(
                document_id=promise.document_id,
                source=SOURCE,
                version=registered.version,
                content_hash=promise.content_hash,
                chunk_count=promise.chunk_count,
                first=0,
                chunks=_chunks(promise.document_id, text.split()),
                twin=registered.twin,
                metadata={"path": promise.key_bytes.decode()},
            )
            for promise, registered, text in zip(promises, found, documents.values(), strict=True)
        ]

    async def publish(self, *parts: Part, lane: Lane = Lane.BULK) -> str:
        """Publish one batch of these parts; gives its id."""
        batch = Batch(collection=self.collection, job=self.job, parts=parts, lane=lane)
        (batch_id,) = await self.ledger.publish([batch])
        return batch_id

    async def order(self, **documents: str) -> str:
        """Promise documents and publish them as one batch; gives its id."""
        return await self.publish(*await self.parts(**documents))

    async def pieces(self, size: int, **documents: str) -> list[str]:
        """Promise documents and publish each in batches of so many chunks; gives their ids."""
        return [
            await self.publish(msgspec.structs.replace(part, chunks=chunks, first=first))
            for part in await self.parts(**documents)
            for first in range(0, len(part.chunks), size)
            for chunks in [part.chunks[first : first + size]]
        ]

    async def letters(self) -> list[DeadLetter]:
        """Read all dead letters, in the order of their documents."""
        found = [letter async for letter in self.ledger.letters.scan()]
        return sorted(found, key=lambda letter: letter.document_id)

    def rows(self) -> dict[str, list[str]]:
        """Read the texts of each document, in their order."""
        found: list[dict[str, Any]] = self.client.query(
            self.collection,
            filter="ordinal >= 0",
            output_fields=["document_id", "ordinal", "text"],
            limit=10_000,
            consistency_level="Strong",
        )
        texts: dict[str, list[str]] = {}
        for row in sorted(found, key=lambda row: (row["document_id"], row["ordinal"])):
            texts.setdefault(row["document_id"], []).append(row["text"])
        return texts

    async def finished(self) -> bool:
        """Tell whether nothing is left to do."""
        return (await self.ledger.totals()).batches == 0

    async def count(self, name: str) -> int:
        """Read a counter of the job."""
        return (await self.state()).count(name)

    async def state(self) -> Job:
        """Read the job."""
        job = await self.jobs.get(self.job)
        assert job is not None
        return job


def _chunks(document_id: str, words: list[str]) -> tuple[Chunk, ...]:
    keys = chunk_keys(document_id, words)
    return tuple(Chunk(key=key, text=word) for key, word in zip(keys, words, strict=True))
