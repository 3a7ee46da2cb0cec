"""Replays: documents that became dead letters are tried once more, from the letters themselves."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from celery import Celery
from msgspec.structs import replace
from redis.asyncio import Redis

from contract.batch import Batch, Part
from contract.errors import CancelledJobError
from contract.ledger.control import Halt, JobControl
from contract.ledger.jobs import Jobs
from contract.ledger.ledger import Ledger
from contract.ledger.records import DeadLetter, Outcome, Promise, Registered
from contract.settings import Settings
from producers.batching import Batcher, BatchLimits
from producers.deleting import Deletions
from producers.letters import Unusable, revived
from producers.producer import Producer
from producers.publishing import HighWater, Publisher
from producers.pulse import Pulse
from producers.sources.chosen_files import ChosenFiles

GROUP_LETTERS = 128
"""Letters that are promised together."""
GROUP_BYTES = 8 * 1024 * 1024
"""Likewise, of their payloads."""
KEPT_REFUSALS = 1_000
"""How many are kept by name; all are counted."""

_WORK = frozenset({Outcome.NEW, Outcome.CHANGED, Outcome.DELETED})


@dataclass(frozen=True, slots=True)
class Refusal:
    """A letter that can't be replayed; it stays."""

    key: str
    message: str
    """Why, and what to do."""


class Replay:
    """Tries the dead letters of one source once more, as a new job.

    Each document gets a new version of the same content, with all its chunks (or, accepted,
    without the dead ones), and the commit of that takes its letter away. A letter without
    chunks is read from its source again. Where the source has other content by now, the
    letter is stale and forgotten. Killed anywhere, the same again has the effect of one.

    Attributes:
        tally: what the ledger said of the documents.
        job: the job's id, once ``begin`` was called.
        source_name: name of the source.
        outdated: letters about content that was replaced since; they are gone.
        refusals: letters that can't be replayed and stay, the first ones by name.
        refused: how many these are.
    """

    def __init__(
        self,
        redis: Redis,
        settings: Settings,
        collection: str,
        files: ChosenFiles,
        picks: Callable[[DeadLetter], bool],
        *,
        accept: bool = False,
    ) -> None:
        """Prepare; nothing is sent or read yet.

        Args:
            redis: a client that the caller closes.
            settings: how to batch.
            collection: whose letters.
            files: the source, with its folder, and nothing chosen yet.
            picks: tells of a letter of the source whether it is meant.
            accept: leave the dead chunks out.
        """
        self._reader = Producer(redis, settings, files, collection, deletions=Deletions.NEVER)
        self.tally = self._reader.tally
        self.job = ""
        self.source_name = files.name
        self.outdated = 0
        self.refusals: list[Refusal] = []
        self.refused = 0
        self._accept = accept
        self._collection = collection
        self._files = files
        self._picks = picks
        self._ledger = Ledger(redis, collection)
        self._jobs = Jobs(redis, collection)
        self._control = JobControl(redis, collection)
        self._settings = settings

    async def begin(self) -> None:
        """Create the job, so that it can be watched."""
        if not self.job:
            await self._reader.begin()
            self.job = self._reader.job

    async def run(self, app: Celery) -> None:
        """Promise and publish what the letters hold, read again what they don't, and seal the job.

        Raises:
            CancelledJobError: the job was cancelled from elsewhere.
            UnreachableError: the broker is away; what was published is safe in the ledger.
        """
        await self.begin()
        pulse = Pulse(self._jobs, self.job, self.tally.counters, time.monotonic)
        await pulse.beside(self._publish_all(app, pulse))
        if self._files.count:
            await self._reader.run(app)
        else:
            await self._jobs.seal(self.job, self.tally.counters())

    async def _publish_all(self, app: Celery, pulse: Pulse) -> None:
        settings = self._settings
        publisher = Publisher(self._ledger, app, HighWater.of(settings))
        async for group in self._groups():
            await pulse.going()
            parts = await self._promise(group)
            # All of it before the next group: a letter that comes again is known as pending.
            await publisher.publish(self._batches(parts))

    def _batches(self, parts: Sequence[Part]) -> list[Batch]:
        settings = self._settings
        limits = BatchLimits.of(settings)
        lane = self._reader.lanes.choose  # one job, whoever makes its batches
        batcher = Batcher(self._collection, self.job, limits, time.monotonic, lane)
        full = [batch for part in parts for batch in batcher.add(part)]
        last = batcher.flush()
        return full if last is None else [*full, last]

    async def _letters(self) -> AsyncIterator[DeadLetter]:
        """Give the letters that are meant; one may come twice."""
        async for letter in self._ledger.letters.scan():
            # One of this job is dead again already: not to be tried for ever.
            mine = letter.source == self.source_name and letter.job != self.job
            if mine and self._picks(letter):
                yield letter

    async def _groups(self) -> AsyncIterator[list[DeadLetter]]:
        """Give the letters that hold chunks; put the others aside, to be read again."""
        group: dict[str, DeadLetter] = {}
        size = 0
        async for letter in self._letters():
            if not letter.payload:
                await self._choose(letter)
                continue
            if group and (len(group) >= GROUP_LETTERS or size + len(letter.payload) > GROUP_BYTES):
                yield list(group.values())
                group, size = {}, 0
            group[letter.document_id] = letter
            size += len(letter.payload)
        if group:
            yield list(group.values())

    async def _choose(self, letter: DeadLetter) -> None:
        """Have a document read from its source again, if that can be."""
        if self._accept:
            self._refuse(letter, "it holds no chunks that could be accepted")
            return
        why_not = await asyncio.to_thread(self._files.why_not, letter.key_bytes)
        if why_not:
            self._refuse(letter, f"{why_not}: import the source again")
        else:
            self._files.choose(letter.key_bytes)

    async def _promise(self, letters: Sequence[DeadLetter]) -> list[Part]:
        """Register what letters hold; gives what is to be published, with versions."""
        made = await asyncio.to_thread(lambda: [_revived(x, accept=self._accept) for x in letters])
        usable: list[tuple[DeadLetter, Part]] = []
        for letter, part in zip(letters, made, strict=True):
            if isinstance(part, Part):
                usable.append((letter, part))
            else:
                self._refuse(letter, str(part))
        registered = await self._ledger.promises.register(
            self.job, [_promise(letter, part) for letter, part in usable]
        )
        work = []
        for (letter, part), answer in zip(usable, registered, strict=True):
            if answer.outcome is Outcome.PENDING and answer.job == self.job:
                continue  # the letter came twice
            self.tally.listed += 1
            if answer.outcome is Outcome.OUTDATED:
                await self._drop_outdated(letter)
                continue
            self.tally.count_outcome(answer.outcome, answer.job)
            if answer.outcome in _WORK:
                work.append(_versioned(part, answer))
            elif answer.outcome is Outcome.UNCHANGED:  # another replay was faster
                await self._ledger.letters.purge([letter])
        return work

    async def _drop_outdated(self, letter: DeadLetter) -> None:
        """Forget a letter whose content is not wanted any more, if something better is."""
        if await self._control.halts([self.job]) == [Halt.CANCELLED]:
            raise CancelledJobError(f"job {self.job} was cancelled")  # all is outdated then
        (standing,) = await self._ledger.standing([letter.document_id])
        if standing.withdrawn == standing.wanted:
            self._refuse(letter, "its content has changed since: import the source again")
        else:
            self.outdated += 1
            await self._ledger.letters.purge([letter])

    def _refuse(self, letter: DeadLetter, message: str) -> None:
        self.refused += 1
        if self.refused <= KEPT_REFUSALS:
            self.refusals.append(Refusal(letter.key, message))


def _revived(letter: DeadLetter, *, accept: bool) -> Part | Unusable:
    try:
        return revived(letter, accept=accept)
    except Unusable as unusable:
        return unusable


def _promise(letter: DeadLetter, part: Part) -> Promise:
    return Promise(
        document_id=part.document_id,
        source=part.source,
        key_bytes=letter.key_bytes,
        content_hash=part.content_hash,
        chunk_count=part.chunk_count,
        only_wanted=True,
        missing=letter.chunk_count - part.chunk_count,
    )


def _versioned(part: Part, registered: Registered) -> Part:
    return replace(part, version=registered.version, twin=registered.twin)
