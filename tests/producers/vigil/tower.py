"""A folder, a vigil over it, and a worker that keeps rows in a dict."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from redis.asyncio import Redis

from contract.ledger.jobs import Job, Jobs
from contract.ledger.ledger import Ledger
from contract.queue import make_app
from contract.settings import Settings
from producers.deleting import Deletions
from producers.sources.files import open_source
from producers.vigil.vigil import Brought, Vigil
from tests.producers.simple_worker import SimpleWorker
from tests.servers.contents import pieces_of

COLLECTION = "tower"
DEADLINE_SECONDS = 30.0


@dataclass
class Tower:
    """What a vigil has around it.

    Attributes:
        said: lines for a person.
        brought: what it was told of.
    """

    folder: Path
    redis: Redis
    settings: Settings
    said: list[str] = field(default_factory=list)
    brought: list[Brought] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the folder."""
        self.folder.mkdir(exist_ok=True)
        self.ledger = Ledger(self.redis, COLLECTION)
        self.worker = SimpleWorker(self.redis, COLLECTION)
        self.vigil: Vigil | None = None

    def write(self, **texts: str) -> None:
        """Write files: name without .md -> text; two underscores stand for a slash."""
        for name, text in texts.items():
            path = self.folder / f"{name.replace('__', '/')}.md"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def write_latin(self) -> None:
        """Write a file whose name is not UTF-8."""
        path = os.fsdecode(os.fsencode(self.folder) + b"/na\xefve.txt")
        Path(path).write_text("Latin-1")

    @asynccontextmanager
    async def watching(
        self,
        deletions: Deletions = Deletions.GUARDED,
        *,
        path: str | None = None,
        glob: str | None = None,
        **settings: object,
    ) -> AsyncIterator[Vigil]:
        """Keep a vigil while the block lasts; the first scan is through when it begins."""
        source = open_source(path or str(self.folder), glob=glob, name="docs")
        self.vigil = vigil = Vigil(
            self.redis,
            self.settings.model_copy(update=settings),
            source,
            COLLECTION,
            deletions=deletions,
            say=self.said.append,
            on_brought=self.brought.append,
        )
        with make_app(self.settings) as app:
            running = asyncio.create_task(vigil.run(app))
            try:
                await self.until(lambda: running.done() or bool(self.brought), "the first scan")
                if running.done():
                    running.result()
                yield vigil
            finally:
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await running

    async def rests(self, *, folder: Path | None = None) -> None:
        """Wait until the rows are those of a fresh import of what is there."""
        await self.until_so(lambda: self._is_right(folder or self.folder), "the right rows")

    async def _is_right(self, folder: Path) -> bool:
        assert self.vigil is not None
        await self.worker.drain()
        return self.rows() == self.expected(folder) and self.vigil.is_caught_up

    def rows(self) -> dict[str, list[str]]:
        """Give the texts of each document, whatever their versions."""
        found: dict[str, list[tuple[str, int, str]]] = {}
        for row, text in self.worker.rows.items():
            document, version, ordinal = row.split(":")
            found.setdefault(document, []).append((version, int(ordinal), text))
        return {document: [t for _, _, t in sorted(rows)] for document, rows in found.items()}

    def expected(self, folder: Path) -> dict[str, list[str]]:
        """Give what a fresh import would make of a folder."""
        return {
            document: [piece.text for piece in pieces]
            for document, pieces in pieces_of(folder, self.settings)
        }

    async def job(self) -> Job:
        """Look at the vigil's job."""
        assert self.vigil is not None
        found = await Jobs(self.redis, COLLECTION).get(self.vigil.job)
        assert found is not None
        return found

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait until a condition holds."""

        async def look() -> bool:
            return holds()

        await self.until_so(look, what)

    async def until_so(self, holds: Callable[[], Awaitable[bool]], what: str) -> None:
        """Wait until a condition holds that has to be asked for."""
        deadline = asyncio.get_running_loop().time() + DEADLINE_SECONDS
        while not await holds():
            late = asyncio.get_running_loop().time() > deadline
            assert not late, f"waited in vain for {what}: {self.said}"
            await asyncio.sleep(0.02)
