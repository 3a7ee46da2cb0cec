"""Upkeep: a collection is kept equal to a folder, by workers of its own if need be."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from redis.asyncio import Redis

from contract.ledger.promises import Promises
from contract.ledger.records import Outcome
from headrace.budgets import budgets_of
from headrace.checks import flush_collection
from headrace.importing import Import, ImportOptions
from headrace.namesakes import refuse_namesakes
from headrace.progress import Progress
from headrace.session import Session
from headrace.summary import left_lines, left_of
from producers.sources.files import FileSource
from producers.tally import Tally
from producers.vigil.vigil import Brought, Vigil

NAMED_KEYS = 3
"""Of what a round was about, as many are named."""
FLUSH_CHUNKS = 2_000
"""Embedded Milvus searches faster what is written out; a small rest does not matter."""


class Upkeep:
    """Runs a vigil until cancelled, and tells what it brings once that can be found."""

    def __init__(
        self,
        session: Session,
        options: ImportOptions,
        *,
        on_progress: Callable[[Progress], None],
        say: Callable[[str], None],
    ) -> None:
        """Prepare.

        Args:
            session: the servers.
            options: what to do.
            on_progress: told several times a second how far it is, and each time it is through.
            say: takes lines for a person.
        """
        self._session = session
        self._options = options
        self._on_progress = on_progress
        self._say = say
        self._vigil: Vigil | None = None
        self._untold: list[Brought] = []
        self._rounds = 0
        self._rescanned = 0
        self._is_through = False
        self._flushed_chunks = 0
        self._flushing: asyncio.Task[None] | None = None

    @property
    def is_up_to_date(self) -> bool:
        """Tell whether all that was noticed could be found when that was last looked at."""
        return self._vigil is not None and self._vigil.is_caught_up and self._is_through

    async def run(self, source: FileSource) -> None:
        """Watch until cancelled.

        Raises:
            CancelledJobError: the job was cancelled from elsewhere.
            UnreachableError: a server does not answer.
            UsageError: configuration, collection or source do not fit.
        """
        options = self._options

        async def vigils(redis: Redis) -> list[Vigil]:
            if not options.named_source:
                await refuse_namesakes(Promises(redis, options.collection), [source])
            self._vigil = Vigil(
                redis,
                self._session.settings,
                source,
                options.collection,
                deletions=options.deletions,
                say=self._say,
                on_brought=self._note,
                budgets=budgets_of(self._session.settings),
            )
            return [self._vigil]

        importing = Import(self._session, options, on_progress=self._look, say=self._say)
        await importing.produce(vigils)

    def as_dict(self) -> dict[str, Any]:
        """Give what it did, for JSON."""
        tally = self._vigil.tally if self._vigil else Tally()
        return {
            "source": self._vigil.source_name if self._vigil else "",
            "collection": self._options.collection,
            "job": self._vigil.job if self._vigil else "",
            "up_to_date": self.is_up_to_date,
            "rounds": self._rounds,
            "new": tally.outcomes[Outcome.NEW],
            "changed": tally.outcomes[Outcome.CHANGED],
            "deleted": tally.outcomes[Outcome.DELETED],
            "unchanged": tally.outcomes[Outcome.UNCHANGED],
            "skipped": tally.skipped,
            "failed": tally.failed,
            "kept": tally.kept,
        }

    def _note(self, brought: Brought) -> None:
        """Keep what was published until it can be found."""
        self._rounds += bool(brought.keys)
        if self._vigil is not None and not brought.keys and brought.tally is not self._vigil.tally:
            self._rescanned += brought.tally.promised
        self._untold.append(brought)
        self._is_through = False

    def _look(self, progress: Progress) -> None:
        self._on_progress(progress)
        # Counters that were read before the last round was published say nothing of it.
        knows_all = progress.documents >= self._promised
        self._is_through = knows_all and progress.documents_done >= progress.documents
        if self._is_through:
            untold, self._untold = self._untold, []
            for brought in untold:
                self._tell(brought)
            self._flush(progress.chunks_done)

    @property
    def _promised(self) -> int:
        """Documents that were given a version so far."""
        return self._rescanned + (self._vigil.tally.promised if self._vigil else 0)

    def _tell(self, brought: Brought) -> None:
        seconds = time.monotonic() - brought.begun
        self._say(f"{self._about(brought)}: {_counts(brought.tally)}; found after {seconds:.1f} s")
        for line in left_lines(left_of(brought.tally)):
            self._say(line)
        if not brought.keys and self._vigil is not None and brought.tally is self._vigil.tally:
            self._say("watching; Ctrl-C ends it")

    def _about(self, brought: Brought) -> str:
        if not brought.keys:
            source = self._vigil.source_name if self._vigil else ""
            return f"{source} -> {self._options.collection}"
        more = len(brought.keys) - NAMED_KEYS
        named = ", ".join(brought.keys[:NAMED_KEYS])
        return f"{named} and {more} more" if more > 0 else named

    def _flush(self, chunks: int) -> None:
        """Have embedded Milvus write out what has come, beside everything else."""
        idle = self._flushing is None or self._flushing.done()
        if self._session.is_local and idle and chunks - self._flushed_chunks >= FLUSH_CHUNKS:
            self._flushed_chunks = chunks
            flushing = flush_collection(self._session.settings, self._options.collection)
            self._flushing = asyncio.create_task(flushing)


def _counts(tally: Tally) -> str:
    counted = {
        "new": tally.outcomes[Outcome.NEW],
        "changed": tally.outcomes[Outcome.CHANGED],
        "deleted": tally.outcomes[Outcome.DELETED],
        "unchanged": tally.outcomes[Outcome.UNCHANGED],
        "resumed": tally.outcomes[Outcome.PENDING],
        "failed": tally.failed,
        "kept though gone": tally.kept,
    }
    told = ", ".join(f"{number} {what}" for what, number in counted.items() if number)
    return told or "nothing"
