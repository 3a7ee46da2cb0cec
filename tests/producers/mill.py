"""A folder, its ledger, and workers that keep rows in a dict: whole imports, without servers."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from redis.asyncio import Redis

from contract.batch import Batch, Part, decode
from contract.errors import GuardError
from contract.ids import chunk_ids, document_id
from contract.ledger.jobs import Job, Jobs
from contract.ledger.ledger import Ledger
from contract.ledger.records import ClaimState, Finish, PartMark, Verdict
from contract.settings import Settings
from producers.deleting import Deletions
from producers.producer import Producer
from producers.sources.files import open_source
from producers.sources.source import Source

COLLECTION = "mill"
SOURCE = "docs"


@dataclass
class Mill:
    """What an import has around it.

    Attributes:
        rows: chunk id -> text: what Milvus would hold.
    """

    folder: Path
    redis: Redis
    settings: Settings
    rows: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the folder."""
        self.folder.mkdir(exist_ok=True)
        self.ledger = Ledger(self.redis, COLLECTION)
        self.jobs = Jobs(self.redis, COLLECTION)

    def write(self, **texts: str) -> None:
        """Write files: name without .md -> text."""
        for name, text in texts.items():
            (self.folder / f"{name}.md").write_text(text)

    def delete(self, *names: str) -> None:
        """Delete files."""
        for name in names:
            (self.folder / f"{name}.md").unlink()

    def producer(
        self,
        deletions: Deletions = Deletions.ALLOWED,
        *,
        glob: str | None = None,
        source: Source | None = None,
    ) -> Producer:
        """Make a producer of the folder, or of another source."""
        opened = source or open_source(str(self.folder), glob=glob, name=SOURCE)
        return Producer(self.redis, self.settings, opened, COLLECTION, deletions=deletions)

    async def publish(self, producer: Producer) -> list[Batch]:
        """Publish what a producer gives, each batch before the next is asked for."""
        published = []
        async for batch in producer.batches():
            await self.ledger.publish([batch])
            published.append(batch)
        return published

    async def bring(
        self, deletions: Deletions = Deletions.ALLOWED, *, glob: str | None = None
    ) -> Producer:
        """Import to the end; the producer can be asked what it saw."""
        producer = self.producer(deletions, glob=glob)
        await self.work(await self.publish(producer))
        return producer

    async def guarded(self) -> tuple[Producer, str]:
        """Import to the end, and fail unless the guard stops it; give what it says."""
        producer = self.producer(Deletions.GUARDED)
        said = ""
        try:
            async for batch in producer.batches():
                await self.ledger.publish([batch])
                await self.work([batch])
        except GuardError as error:
            said = str(error)
        assert said, "no guard stopped it"
        return producer, said

    async def waiting(self) -> list[Batch]:
        """Read the batches that wait."""
        found = []
        names: list[bytes] = await self.redis.zrange(self.ledger.keys.waiting, 0, -1)  # type: ignore[assignment]
        for name in names:
            payload = await self.redis.hget(self.ledger.keys.batch(name.decode()), "payload")
            if isinstance(payload, bytes):
                found.append(decode(payload))
        return found

    async def work(self, batches: list[Batch], *, tokens: int = 0) -> None:
        """Do what workers do with batches, of which each uses so many tokens."""
        for batch in batches:
            claim = await self.ledger.claim(batch.id, f"w.{batch.id}", 30.0)
            if claim.state is not ClaimState.CLAIMED:
                continue
            standing = await self.ledger.standing([part.document_id for part in batch.parts])
            for part, stands in zip(batch.parts, standing, strict=True):
                if stands.wants(part.version):
                    self.rows |= _rows(part)
            marks = [
                PartMark(part.document_id, part.version, part.first, part.units)
                for part in batch.parts
            ]
            settled = await self.ledger.settle(marks)
            for part, verdict in zip(batch.parts, settled, strict=True):
                if verdict.verdict is Verdict.SUPERSEDED:
                    self._drop(_rows(part))
                for version, count in verdict.versions:
                    self._drop(chunk_ids(part.document_id, version, range(count)))
            verdicts = tuple(item.verdict for item in settled)
            written = sum(len(part.chunks) for part in batch.parts)
            await self.ledger.finish(
                batch.id, batch.job, Finish(tuple(marks), verdicts, written, tokens)
            )

    def _drop(self, ids: object) -> None:
        for row in ids:  # type: ignore[attr-defined]
            self.rows.pop(row, None)

    def texts(self) -> dict[str, str]:
        """Give the rows of each document, by the names of all files that ever were."""
        found: dict[str, dict[int, str]] = {}
        for row, text in self.rows.items():
            document, version, ordinal = row.split(":")
            name = self._names.get(document, document)
            found.setdefault(f"{name}", {})[int(ordinal)] = text
            assert version
        return {name: "|".join(texts[at] for at in sorted(texts)) for name, texts in found.items()}

    @property
    def _names(self) -> dict[str, str]:
        names = "abcdefghijklmnopqrstuvwxyz"
        return {document_id(SOURCE, f"{name}.md".encode()): name for name in names}

    async def job(self, producer: Producer) -> Job:
        """Look at the producer's job."""
        found = await self.jobs.get(producer.job)
        assert found is not None
        return found

    async def index(self) -> AsyncIterator[str]:
        """Name the documents that the ledger counts to the source."""
        async for page in self.ledger.promises.unseen(SOURCE, 2**53):
            for gone in page:
                yield gone.document_id


def _rows(part: Part) -> dict[str, str]:
    ids = chunk_ids(part.document_id, part.version, part.ordinals)
    return dict(zip(ids, (chunk.text for chunk in part.chunks), strict=True))
