"""Dead letters of what could not be read."""

import time
from collections.abc import Iterable

from contract.ids import document_id
from contract.ledger.letters import Letters
from contract.ledger.records import DeadLetter
from producers.document import Omission


async def bury(letters: Letters, source: str, job: str, failures: Iterable[Omission]) -> None:
    """Write down what of a source could not be had, so that it can be found later.

    A letter goes when its file can be read again, or is gone from a complete listing.
    """
    at_ms = round(time.time() * 1000)
    await letters.bury(
        DeadLetter(
            document_id=document_id(source, failure.key_bytes),
            source=source,
            key=failure.key,
            key_bytes=failure.key_bytes,
            job=job,
            stage="read",
            reason=failure.reason,
            message=failure.message,
            at_ms=at_ms,
        )
        for failure in failures
    )
