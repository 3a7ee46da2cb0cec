"""Dead letters for people and for programs: what is shown of one."""

from dataclasses import dataclass
from typing import Any

from contract.batch import decode
from contract.errors import BatchDecodeError
from contract.ledger.records import DeadLetter


@dataclass(frozen=True, slots=True)
class DeadChunk:
    """A chunk that is to blame."""

    ordinal: int
    text: str


def letter_as_dict(collection: str, letter: DeadLetter) -> dict[str, Any]:
    """Give a letter's fields without its chunks, for JSON."""
    return {
        "collection": collection,
        "document_id": letter.document_id,
        "source": letter.source,
        "key": letter.key,
        "stage": letter.stage,
        "reason": letter.reason,
        "message": letter.message,
        "first_error": letter.first_error,
        "attempts": letter.attempts,
        "at_ms": letter.at_ms,
        "job": letter.job,
        "version": letter.version,
        "chunks": letter.chunk_count,
        "dead_ordinals": list(letter.ordinals),
        "payload_bytes": len(letter.payload),
    }


def dead_chunks(letter: DeadLetter) -> list[DeadChunk]:
    """Give the chunks that are to blame; none where the letter holds none that can be read."""
    if not letter.payload:
        return []
    try:
        batch = decode(letter.payload)
    except BatchDecodeError:
        return []
    return sorted(
        (
            DeadChunk(ordinal, chunk.text)
            for part in batch.parts
            for ordinal, chunk in zip(part.ordinals, part.chunks, strict=True)
            if ordinal in letter.ordinals
        ),
        key=lambda chunk: chunk.ordinal,
    )
