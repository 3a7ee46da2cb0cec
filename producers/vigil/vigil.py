"""A vigil: brings in what a folder has, and then what changes in it, until somebody ends it."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from celery import Celery
from redis.asyncio import Redis
from redis.exceptions import RedisError

from contract.ledger.jobs import Jobs
from contract.settings import Settings
from contract.tasks import first_of
from producers.deleting import Deletions
from producers.document import printable
from producers.pulse import Pulse
from producers.sources.changed_files import identity
from producers.sources.files import FileSource
from producers.sources.folders import Folders, Identity
from producers.spending import Budgets
from producers.tally import Tally
from producers.vigil.bringing import Bringing, Job
from producers.vigil.changes import Changes
from producers.vigil.notices import NO_NOTICES, Notices, PolledNotices, SystemNotices
from producers.vigil.recent import RecentLosses

LOOK_SECONDS: Final = 0.25
"""Between two looks at whether the folder is the same one, and what is due."""
STALL_SECONDS: Final = 2.0
"""Who was stopped for so long may have missed what the system could not keep for it."""
MOST_CHANGES: Final = 50_000
"""Of more at once a list is not worth its memory: everything is looked at."""
FALLBACK_POLL_SECONDS: Final = 10.0
SEAL_SECONDS: Final = 5.0
"""For the last word about a job that ends."""


@dataclass(frozen=True, slots=True)
class Brought:
    """What one scan or one round has published."""

    tally: Tally
    keys: tuple[str, ...]
    """For people, what a round was about; empty: all of the source was looked at."""
    begun: float
    """By ``time.monotonic``."""


class Vigil:
    """Keeps a collection equal to a folder.

    First the folder is watched, then scanned, so that nothing is lost between the two. What
    changes goes in rounds, each at a cost of what has changed; rounds do not wait for a scan,
    and whoever reads later wins, as between two producers. A scan also follows whenever
    something may have been missed: the folder was away, the system's queue was full, this
    process was stopped, or a while has passed. Killed anywhere, the next one's scan does the rest.

    Attributes:
        tally: what the first scan and the rounds have seen.
        job: the job's id, once ``begin`` was called. It stays unsealed until the vigil ends.
        source_name: name of the source.
    """

    def __init__(  # noqa: PLR0913 - all but four are named
        self,
        redis: Redis,
        settings: Settings,
        source: FileSource,
        collection: str,
        *,
        deletions: Deletions,
        say: Callable[[str], None],
        on_brought: Callable[[Brought], None],
        budgets: Budgets | None = None,
    ) -> None:
        """Prepare; nothing is sent, read or watched yet.

        Args:
            redis: a client that the caller closes.
            settings: how to cut, batch and watch.
            source: the folder.
            collection: where documents go.
            deletions: what becomes of documents that are gone.
            say: takes lines for a person.
            on_brought: told of the first scan, and of whatever finds something to do.
            budgets: what may be embedded; what they don't bear waits for a later scan.
        """
        self.tally = Tally(postponed=[])
        self.job = ""
        self.source_name = source.name
        self._settings = settings
        self._files = source
        self._say = say
        self._on_brought = on_brought
        self._jobs = Jobs(redis, collection)
        folders, recent = Folders(), RecentLosses(time.monotonic)
        self._changes = Changes(folders, source.only, time.monotonic)
        self._bringing = Bringing(
            redis,
            settings,
            source,
            collection,
            deletions,
            folders=folders,
            recent=recent,
            budgets=budgets,
        )
        self._poll_seconds = settings.watch_poll_seconds
        self._noticed = asyncio.Event()
        self._unscanned = asyncio.Event()
        self._scanned_at = time.monotonic()
        self._has_scanned = False
        self._busy = 0
        self._trouble = ""

    @property
    def is_caught_up(self) -> bool:
        """Tell whether all that was noticed is published."""
        changes = self._changes
        todo = self._busy + len(changes) + changes.restless + self._unscanned.is_set()
        return self._has_scanned and not todo

    async def begin(self) -> None:
        """Create the job, so that it can be watched."""
        if not self.job:
            self.job = await self._jobs.create(self.source_name)

    async def run(self, app: Celery) -> None:
        """Watch and bring until cancelled; then seal the job.

        Raises:
            CancelledJobError: someone cancelled the job.
            RedisError: the ledger is away for longer than its client waits.
        """
        await self.begin()
        pulse = Pulse(self._jobs, self.job, self.tally.counters, time.monotonic)
        try:
            await first_of(pulse.keep_beating(), self._watch(Job(self.job, app, pulse)))
        finally:
            await self._seal()

    async def _seal(self) -> None:
        try:
            async with asyncio.timeout(SEAL_SECONDS):
                await self._jobs.seal(self.job, self.tally.counters())
        except (RedisError, TimeoutError):
            pass  # It counts as interrupted then, which is near enough.

    async def _watch(self, job: Job) -> None:
        """Watch the folder, anew whenever another one is in its place."""
        while True:
            root = await self._arrival()
            notices = await self._notices()
            if notices is None:
                continue
            self._unscanned.set()
            await first_of(
                self._take_notice(notices),
                self._look_after(notices, root),
                self._bring_rounds(job, root),
                self._bring_scans(job),
            )

    async def _arrival(self) -> Identity:
        """Wait until the folder is there."""
        is_told = False
        while (root := await asyncio.to_thread(identity, self._files.root)) is None:
            if not is_told:
                is_told = True
                await self._tell(
                    f"{self._files.origin} is not there: nothing is deleted; waiting for it"
                )
            await asyncio.sleep(LOOK_SECONDS)
        if is_told:
            await self._tell("")
            self._say(f"{self._files.origin} is there again: looking at all of it")
        return root

    async def _notices(self) -> Notices | None:
        """Begin to watch; None when that is to be tried once more."""
        files = self._files.again()
        try:
            if self._poll_seconds is not None:
                return await asyncio.to_thread(PolledNotices, files, self._poll_seconds)
            settle_seconds = self._settings.watch_settle_seconds
            return await asyncio.to_thread(SystemNotices, files, settle_seconds)
        except FileNotFoundError:
            await asyncio.sleep(LOOK_SECONDS)  # It, or a folder in it, went meanwhile.
        except NO_NOTICES as error:
            self._fall_back(error)
        return None

    def _fall_back(self, error: BaseException) -> None:
        """Look by oneself where the system does not tell.

        Raises:
            BaseException: what went wrong, where one looks by oneself already.
        """
        if self._poll_seconds is not None:
            raise error
        self._poll_seconds = FALLBACK_POLL_SECONDS
        advice = "what may not be read, or has a name that is not UTF-8, can't be watched"
        if "limit" in str(error):
            advice = "to have more folders watched: sysctl fs.inotify.max_user_watches=1048576"
        self._say(
            f"the system does not tell of all changes ({error}); all files are looked at every "
            f"{FALLBACK_POLL_SECONDS:g} s instead (--poll SECONDS); {advice}"
        )

    async def _tell(self, trouble: str) -> None:
        """Tell a person, and all who look at the job, what is wrong; nothing: it is over."""
        if trouble:
            self._say(trouble)
        if trouble != self._trouble:
            self._trouble = trouble
            await self._jobs.note_trouble(self.job, trouble)

    async def _take_notice(self, notices: Notices) -> None:
        try:
            async for burst in notices.bursts():
                for change, key in burst:
                    self._changes.note(change, key)
                if len(self._changes) > MOST_CHANGES:
                    self._changes.clear()
                    self._want_scan(f"more than {MOST_CHANGES} changes at once")
                if self._changes:
                    self._noticed.set()
        except NO_NOTICES as error:
            self._fall_back(error)

    async def _look_after(self, notices: Notices, root: Identity) -> None:
        """Return once another folder, or none, is in the folder's place."""
        looked = time.monotonic()
        while await asyncio.to_thread(identity, self._files.root) == root:
            await asyncio.sleep(LOOK_SECONDS)
            self._changes.ripen()
            if self._changes:
                self._noticed.set()
            before, looked = looked, time.monotonic()
            if looked - before > STALL_SECONDS + LOOK_SECONDS:
                self._want_scan(f"this process stood still for {looked - before:.0f} s")
            elif notices.may_have_lost_some():
                self._want_scan("more changes at once than the system keeps")
            rescan_seconds = self._settings.watch_rescan_seconds
            if rescan_seconds and looked - self._scanned_at > rescan_seconds:
                self._unscanned.set()

    def _want_scan(self, reason: str) -> None:
        if not self._unscanned.is_set():
            self._say(f"{reason}: looking at all of {self._files.origin}")
            self._unscanned.set()

    async def _bring_rounds(self, job: Job, root: Identity) -> None:
        while True:
            await self._noticed.wait()
            self._noticed.clear()
            begun, taken = time.monotonic(), self._changes.take()
            with self._being_busy():
                result = await self._bringing.round(job, taken, root)
                tally = result.tally
                self.tally.add(tally)
                self._changes.done(taken, result.restless)
                self._changes.look_again(result.entered)
                if tally.incomplete:  # The folder went for a moment, and its notices with it.
                    self._unscanned.set()
                if result.held_back:
                    await self._tell(result.held_back)
            if tally.promised or tally.failed or tally.kept:
                keys = tuple(printable(key) for key in sorted(taken.keys | taken.emptied))
                self._on_brought(Brought(tally, keys, begun))

    async def _bring_scans(self, job: Job) -> None:
        while True:
            await self._unscanned.wait()
            self._unscanned.clear()
            is_first, begun = not self._has_scanned, time.monotonic()
            with self._being_busy():
                tally = self.tally if is_first else Tally(postponed=[])
                result = await self._bringing.scan(job, tally)
                self._changes.postpone(result.restless)
                self._scanned_at = time.monotonic()
                await self._tell(result.held_back)
                if is_first:
                    self._has_scanned = True
                    await self._jobs.mark_watching(job.id)
            if is_first or tally.promised or tally.kept:
                self._on_brought(Brought(tally, (), begun))

    @contextmanager
    def _being_busy(self) -> Iterator[None]:
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1
