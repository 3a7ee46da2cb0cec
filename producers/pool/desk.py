"""A desk: a place of the pool, at which one process after the other works."""

import asyncio
import logging
import signal
from collections.abc import Sequence
from typing import Final, TypeAlias

from contract.errors import DocumentError, TransientError
from producers.document import Omission, Reason
from producers.drafting import Assignment, Draft
from producers.pool.draftsman import Draftsman, EndedError
from producers.pool.process import Commission, Reply

Drafted: TypeAlias = list[Draft | Omission]

ATTEMPTS: Final = 2
"""After so many processes have ended over a document, it is left out."""

logger = logging.getLogger(__name__)


class Desk:
    """Has a draftsman while it is occupied, and takes another one when that has ended."""

    def __init__(self, commission: Commission) -> None:
        """Begin vacant."""
        self._commission = commission
        self._draftsman: Draftsman | None = None

    async def occupy(self) -> Draftsman:
        """Give the process that works here, and start one if there is none.

        Raises:
            TransientError: none can be started.
        """
        if self._draftsman is None:
            try:
                self._draftsman = await Draftsman.hire(self._commission)
            except (OSError, EndedError) as error:
                raise TransientError(
                    f"no process can be started to parse and split in ({error}); "
                    "HEADRACE_PRODUCER_PROCESSES=1 does without"
                ) from error
        return self._draftsman

    def vacate(self) -> None:
        """End the process at once."""
        if self._draftsman is not None:
            self._draftsman.end()
            self._draftsman = None

    async def draft(self, assignments: Sequence[Assignment]) -> Drafted:
        """Draft documents; when the process ends, the next goes on with the one it had in hand.

        Raises:
            TransientError: the process ended, and no other can be started.
        """
        drafted: Drafted = []
        attempts = 0
        while (begun := len(drafted)) < len(assignments):
            draftsman = await self.occupy()
            try:
                async for reply in draftsman.replies(assignments[begun:]):
                    drafted.append(await self._read(reply, assignments[len(drafted)]))
            except EndedError as ended:
                self._draftsman = None
                attempts = 1 if len(drafted) > begun else attempts + 1
                suspect = assignments[len(drafted)]
                logger.warning(
                    "a process ended over a document",
                    extra={
                        "event": "draftsman_ended",
                        "key": suspect.item.entry.key,
                        "returncode": ended.returncode,
                        "attempt": attempts,
                    },
                )
                if attempts == ATTEMPTS:
                    drafted.append(suspect.omitted(self._verdict(ended, suspect)))
                    attempts = 0
        return drafted

    async def _read(self, reply: Reply, assignment: Assignment) -> Draft | Omission:
        if reply.part is not None:
            return Draft(assignment.item.entry, reply.part)
        if reply.refusal is not None:
            return assignment.omitted(DocumentError(*reply.refusal))
        # Done once more here, what was wrong is raised here, with all that belongs to it.
        return await asyncio.to_thread(self._commission.recipe.draft, assignment)

    def _verdict(self, ended: EndedError, assignment: Assignment) -> DocumentError:
        if ended.returncode == -signal.SIGALRM:
            limit = self._commission.limit(assignment.size_bytes)
            return DocumentError(
                Reason.TOO_SLOW, f"to parse and split it takes more than {limit:.0f} s, each time"
            )
        return DocumentError(
            Reason.DEADLY,
            f"the process that parses and splits it ends each time ({ended}): a bug, or it takes "
            "more memory than there is",
        )
