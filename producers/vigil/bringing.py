"""Bringing: what one round or one scan of a vigil publishes."""

from dataclasses import dataclass
from typing import Final

from celery import Celery
from redis.asyncio import Redis

from contract.errors import GuardError
from contract.settings import Settings
from producers.deleting import Deletions
from producers.producer import Producer
from producers.pulse import Pulse
from producers.share import Share
from producers.sources.changed_files import ChangedFiles
from producers.sources.files import FileSource
from producers.sources.folders import Folders, Identity
from producers.sources.source import Source
from producers.spending import Budgets
from producers.tally import Tally
from producers.vigil.changes import Round
from producers.vigil.recent import RecentLosses, RoundGuard


@dataclass(frozen=True, slots=True)
class Result:
    """What a round or a scan came to."""

    tally: Tally
    restless: tuple[bytes, ...]
    """Files that changed or vanished while they were read."""
    entered: tuple[bytes, ...] = ()
    """Folders that were not known."""
    held_back: str = ""
    """Why a guard kept documents that are gone, or a budget did not bear all that came."""


@dataclass(frozen=True, slots=True)
class Job:
    """The job on whose behalf everything is brought."""

    id: str
    app: Celery
    pulse: Pulse
    """Someone keeps it beating."""


class Bringing:
    """Publishes what has changed in a folder, for one job; rounds and scans may overlap."""

    def __init__(  # noqa: PLR0913 - all but four are named
        self,
        redis: Redis,
        settings: Settings,
        files: FileSource,
        collection: str,
        deletions: Deletions,
        *,
        folders: Folders,
        recent: RecentLosses,
        budgets: Budgets | None = None,
    ) -> None:
        """Prepare; nothing is sent or read yet.

        Args:
            redis: a client that the caller closes.
            settings: how to cut and batch; a scan goes the way of an import's lanes.
            files: the folder.
            collection: where documents go.
            deletions: what becomes of documents that are gone.
            folders: told of all that are entered.
            recent: what the rounds before have deleted.
            budgets: what may be embedded; None: everything.
        """
        self._redis = redis
        self._settings = settings
        # Whatever else is being brought in bulk: what changes now is waited for.
        self._live: Final = settings.model_copy(update={"lane": "live"})
        self._files = files
        self._collection = collection
        self._deletions = deletions
        self._folders = folders
        self._recent = recent
        self._budgets = budgets

    async def round(self, job: Job, taken: Round, root: Identity) -> Result:
        """Bring what stands at some keys now, ahead of what is brought in bulk.

        Args:
            job: whose round it is.
            taken: the keys.
            root: the folder; with another in its place nothing is deleted.
        """
        source = ChangedFiles(
            self._files, taken.keys, root=root, emptied=taken.emptied, folders=self._folders
        )
        tally = Tally(postponed=[])
        share = self._settings.max_delete_share
        guard = RoundGuard(self._deletions, share, recent=self._recent, tally=tally)
        held_back = await self._publish(
            job, source, self._live, Share(job.id, tally, guard, source.candidates)
        )
        self._recent.add(tally)
        return Result(tally, _restless(tally), tuple(source.entered), held_back)

    async def scan(self, job: Job, tally: Tally) -> Result:
        """Bring what a listing of the whole folder shows, as an import would."""
        source = self._files.again(self._folders)
        held_back = await self._publish(job, source, self._settings, Share(job.id, tally))
        return Result(tally, _restless(tally), held_back=held_back)

    async def _publish(self, job: Job, source: Source, settings: Settings, share: Share) -> str:
        producer = Producer(
            self._redis,
            settings,
            source,
            self._collection,
            deletions=self._deletions,
            share=share,
            budgets=self._budgets,
        )
        try:
            await producer.publish_all(job.app, job.pulse)
        except GuardError as error:
            return str(error)
        return share.tally.held


def _restless(tally: Tally) -> tuple[bytes, ...]:
    """Take what is to be looked at again."""
    postponed, tally.postponed = tally.postponed or [], []
    return tuple(omission.key_bytes for omission in postponed)
