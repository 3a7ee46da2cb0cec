"""Producers that do one step at a time; each may be killed after any of them."""

from collections.abc import AsyncIterator, Mapping, Sequence

import msgspec

from contract.batch import Batch, Part
from contract.ledger.control import Halt, JobControl
from contract.ledger.jobs import Jobs
from contract.ledger.ledger import Ledger
from contract.ledger.records import DeadLetter, Outcome, Promise, Registered
from tests.contract.ledger.worker_model import letter
from tests.contract.ledger.world import CONTENTS, GONE, SOURCE, Version, World, parts_of

READINGS = 3
DONE = {Outcome.UNCHANGED, Outcome.PENDING}


def stamp_of(content: str) -> str:
    """Give what a listing shows of a content."""
    return f"stamp of {content}"


class Producer:
    """One import of the whole source."""

    def __init__(
        self, ledger: Ledger, world: World, *, batch_parts: int = 2, calls: int = 1
    ) -> None:
        """Be ready for the first step.

        Args:
            ledger: of the collection.
            world: holds the files.
            batch_parts: how many parts travel together.
            calls: 2 for one whose first answers are lost, so that it calls again.
        """
        self.ledger = ledger
        self.promises = ledger.promises
        self.jobs = Jobs(ledger.redis, ledger.collection)
        self.world = world
        self.batch_parts = batch_parts
        self.calls = calls
        self.job = ""
        self._steps = self._procedure()

    async def step(self) -> bool:
        """Do one step; False when it was the last."""
        return await anext(self._steps, self) is None

    async def run(self) -> None:
        """Do all steps that are left."""
        while await self.step():
            pass

    async def _procedure(self) -> AsyncIterator[None]:
        before = await self.promises.begin_reading(SOURCE)
        listing = await self.promises.begin_listing(SOURCE, "/shelf")
        await self._begin_job()
        yield
        listed = sorted(self.world.files)
        yield
        for _ in range(READINGS):
            again: list[str] = []
            async for _ in self._plan(listed, again):
                yield
            listed = again
        async for _ in self._delete(listing, before):
            yield
        await self.jobs.seal(self.job, {})

    async def _begin_job(self) -> None:
        self.job = await self.jobs.create(SOURCE)
        self.world.jobs.append(self.job)

    async def _plan(self, listed: Sequence[str], again: list[str]) -> AsyncIterator[None]:
        reading = await self.promises.begin_reading(SOURCE)
        yield
        files = {d: c for d in listed if (c := self.world.files.get(d)) is not None}
        yield
        glanced = await self.promises.glance([(d, stamp_of(c)) for d, c in files.items()])
        unopened = set()
        for (document, content), known in zip(files.items(), glanced, strict=True):
            if known is not None:
                self._check(document, content, known)
                unopened.add(document)
        yield
        files |= {d: c for d in files if (c := self.world.files.get(d)) and d not in unopened}
        failed = [d for d in files if d in self.world.unreadable and d not in unopened]
        yield
        if failed:
            await self.ledger.letters.bury([letter(d, at_ms=reading) for d in failed])
        await self.promises.mark_seen(SOURCE, sorted(files))
        yield
        read = {d: c for d, c in files.items() if d not in failed and d not in unopened}
        stamps = [stamp_of(c) for c in read.values()]
        found = await self.promises.lookup(list(read.items()), reading=reading, stamps=stamps)
        for (document, content), known in zip(read.items(), found, strict=True):
            if known is not None:
                self._check(document, content, known)
                self.world.note(document, reading, content)
        yield
        new = {d: c for (d, c), known in zip(read.items(), found, strict=True) if known is None}
        parts = await self._register(new, again, reading=reading)
        yield
        async for _ in self._publish(parts):
            yield

    async def _delete(self, listing: int, before: int) -> AsyncIterator[None]:
        gone = [g.document_id async for page in self.promises.unseen(SOURCE, listing) for g in page]
        yield
        wishes = dict.fromkeys(sorted(set(gone)), GONE)
        parts = await self._register(wishes, [], reading=before, unseen_since=listing)
        yield
        async for _ in self._publish(parts):
            yield

    async def _register(
        self,
        wishes: Mapping[str, str],
        again: list[str],
        *,
        reading: int,
        unseen_since: int = 0,
    ) -> list[Part]:
        promises = [
            Promise(
                document_id=document,
                source=SOURCE,
                key_bytes=document.encode(),
                content_hash=content,
                chunk_count=len(CONTENTS[content]),
                reading=reading,
                unseen_since=unseen_since,
                stamp="" if content == GONE else stamp_of(content),
            )
            for document, content in wishes.items()
        ]
        for _ in range(self.calls):
            found = await self.promises.register(self.job, promises)
        parts: list[Part] = []
        for promise, made in zip(promises, found, strict=True):
            document, content = promise.document_id, promise.content_hash
            if made.outcome is Outcome.OUTDATED:
                again.append(document)
                continue
            self.world.note(document, reading, content)
            if made.outcome in DONE:
                self._check(document, content, made)
            else:
                self._promise(document, content, made.version, CONTENTS[content])
                parts += parts_of(document, made.version, content)
        return parts

    def _promise(self, document: str, content: str, number: int, texts: tuple[str, ...]) -> None:
        before = self.world.wanted.get(document)
        assert before is None or number > before.number
        self.world.promise(document, Version(number, content, self.job, texts))

    def _check(self, document: str, content: str, known: Registered) -> None:
        """Compare the ledger's word that there is nothing to do with the model's."""
        wanted = self.world.wanted[document]
        assert (wanted.number, wanted.content) == (known.version, content)
        assert wanted.is_published
        assert not wanted.is_dead
        assert not wanted.given_up
        assert wanted.is_done or known.outcome is Outcome.PENDING
        assert wanted.is_done or wanted.job not in self.world.cancelled

    async def _publish(self, parts: Sequence[Part]) -> AsyncIterator[None]:
        control = JobControl(self.ledger.redis, self.ledger.collection)
        batches = [
            Batch(collection="books", job=self.job, parts=tuple(parts[at : at + self.batch_parts]))
            for at in range(0, len(parts), self.batch_parts)
        ]
        self.world.batches += batches
        for batch in batches:
            if await control.halts([self.job]) == [Halt.CANCELLED]:
                return
            yield
            self.world.publish(batch)
            for _ in range(self.calls):
                await self.ledger.publish([batch])
            yield


class Replay(Producer):
    """Brings a dead letter in once more, whole or without the chunks that are to blame."""

    def __init__(
        self, ledger: Ledger, world: World, dead: DeadLetter, *, accept: bool, calls: int = 1
    ) -> None:
        """Be ready for the first step."""
        super().__init__(ledger, world, calls=calls)
        self.letter = dead
        self.accept = accept

    async def _procedure(self) -> AsyncIterator[None]:
        await self._begin_job()
        document = self.letter.document_id
        content, texts = msgspec.msgpack.decode(self.letter.payload, type=tuple[str, list[str]])
        left = tuple(
            text
            for at, text in enumerate(texts)
            if not (self.accept and at in self.letter.ordinals)
        )
        yield
        promise = Promise(
            document_id=document,
            source=SOURCE,
            key_bytes=document.encode(),
            content_hash=content,
            chunk_count=len(left),
            only_wanted=True,
            missing=len(texts) - len(left),
        )
        for _ in range(self.calls):
            (made,) = await self.promises.register(self.job, [promise])
        if made.outcome in DONE:
            self._check(document, content, made)
        elif made.outcome is not Outcome.OUTDATED:
            assert self.world.wanted[document].content == content
            self._promise(document, content, made.version, left)
            yield
            async for _ in self._publish(parts_of(document, made.version, content, left)):
                yield
        else:
            assert self.world.wanted[document].content != content or (
                self.job in self.world.cancelled
            )
        await self.jobs.seal(self.job, {})
