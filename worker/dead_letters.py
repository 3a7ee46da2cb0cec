"""Dead letters: what can't be ingested, with the reason and what a replay needs."""

import time

from contract.batch import Batch, Part, encode
from contract.errors import EmbeddingRefusedError, EmbeddingReplyError, PermanentError
from contract.ledger.records import DeadLetter

LONGEST_MESSAGE = 1_000
"""Characters kept of an error's message."""


def dead_letter(batch: Batch, part: Part, error: PermanentError, attempts: int) -> DeadLetter:
    """Make the dead letter of one part: its payload is a batch of that part alone."""
    embedding = isinstance(error, EmbeddingRefusedError | EmbeddingReplyError)
    return DeadLetter(
        id=f"{part.document_id}:{part.version}:{part.first}",
        document_id=part.document_id,
        source=part.source,
        key=str(part.metadata.get("path", "")),
        job=batch.job,
        stage="embed" if embedding else "write",
        reason=type(error).__name__,
        message=str(error)[:LONGEST_MESSAGE],
        at_ms=round(time.time() * 1000),
        attempts=attempts + 1,
        payload=encode(Batch(collection=batch.collection, job=batch.job, parts=(part,))),
    )
