"""Dead letters: what can't be ingested, with the reason and what a replay needs."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from contract.batch import Batch, Chunk, Part, decode, encode
from contract.errors import HeadraceError
from contract.ids import chunk_id
from contract.ledger.records import Claim, DeadLetter, DeadPart
from worker.outcome import Stage
from worker.store import GIVEN, IDS_IN_ONE_READ, StoredRow

LONGEST_MESSAGE = 1_000
"""Characters kept of an error's message."""
LARGEST_TEXT_BYTES = 32 * 1024 * 1024
"""A document with more text (UTF-8), or vectors of its own, is not kept in its letter."""
TOO_LARGE = "too large to be kept here: a replay reads its source again"
NOT_THERE = "other chunks of it can't be read back: a replay reads its source again"

Read = Callable[[Sequence[str]], Awaitable[Mapping[str, StoredRow]]]

_deaths = msgspec.msgpack.Decoder(DeadPart)


@dataclass(slots=True)
class Death:
    """Why a part can't be ingested."""

    stage: Stage
    error: HeadraceError
    ordinals: set[int] = field(default_factory=set)
    """The chunks that are to blame."""


def said(error: BaseException) -> str:
    """Give an error's message, as it may be kept: a stranger's might hold anything."""
    message = str(error) if isinstance(error, HeadraceError) else ""
    return (message or type(error).__name__)[:LONGEST_MESSAGE]


def encoded_death(batch: Batch, part: Part, death: Death, claim: Claim) -> bytes:
    """Write down why a part died, with a batch of that part alone."""
    message = said(death.error)
    return msgspec.msgpack.encode(
        DeadPart(
            stage=death.stage.value,
            reason=type(death.error).__name__,
            message=message,
            first_error=claim.first_error[:LONGEST_MESSAGE] or message,
            attempts=claim.attempts + 1,
            at_ms=round(time.time() * 1000),
            ordinals=tuple(sorted(death.ordinals)),
            payload=encode(msgspec.structs.replace(batch, parts=(part,))),
        )
    )


def dead_parts(deaths: Sequence[bytes]) -> list[DeadPart]:
    """Read the dead parts of a document, in the order in which they died."""
    return sorted(map(_deaths.decode, deaths), key=lambda dead: dead.at_ms)


async def all_chunks(parts: Sequence[Part], read: Read) -> tuple[Chunk, ...] | str:
    """Bring all chunks of a version together.

    Args:
        parts: parts of one version of a document.
        read: reads rows of the other parts, which were written; at most ``IDS_IN_ONE_READ``.

    Returns:
        The chunks in their order, or why that can't be.
    """
    chunks = {
        ordinal: chunk
        for part in parts
        for ordinal, chunk in zip(part.ordinals, part.chunks, strict=True)
    }
    size = sum(map(_size, chunks.values()))
    part = parts[0]
    others = [ordinal for ordinal in range(part.chunk_count) if ordinal not in chunks]
    for at in range(0, len(others), IDS_IN_ONE_READ):
        if size > LARGEST_TEXT_BYTES:
            break
        ids = {
            chunk_id(part.document_id, part.version, ordinal): ordinal
            for ordinal in others[at : at + IDS_IN_ONE_READ]
        }
        rows = await read(list(ids))
        if len(rows) < len(ids):
            return NOT_THERE
        for name, row in rows.items():
            chunks[ids[name]] = _chunk(row)
            size += _size(chunks[ids[name]])
    if size > LARGEST_TEXT_BYTES:
        return TOO_LARGE
    return tuple(chunks[ordinal] for ordinal in range(part.chunk_count))


def _size(chunk: Chunk) -> int:
    return len(chunk.text.encode(errors="replace")) + len(chunk.vector)


def _chunk(row: StoredRow) -> Chunk:
    vector = row.vector if row.metadata.get(GIVEN) else None
    return Chunk(
        key=str(row.metadata["chunk_key"]),
        text=row.text,
        start=int(row.metadata["start"]),
        headings=tuple(map(str, row.metadata["headings"])),
        vector=b"" if vector is None else vector.astype("<f4").tobytes(),
    )


def dead_letter(
    batch: Batch,
    part: Part,
    dead: Sequence[DeadPart],
    chunks: tuple[Chunk, ...] | str,
    key_bytes: bytes,
) -> DeadLetter:
    """Make the dead letter of a document's version.

    Args:
        batch: the batch with which the last part of the version was through.
        part: one of the version's parts.
        dead: the version's dead parts, at least one; the first gives the reason.
        chunks: all chunks of the version, or why they can't be kept.
        key_bytes: the document's key in its source.
    """
    first, last = dead[0], dead[-1]
    message, payload = last.message, b""
    if isinstance(chunks, str):
        message = f"{message} ({chunks})"
    else:
        whole = msgspec.structs.replace(part, first=0, chunks=chunks)
        payload = encode(msgspec.structs.replace(batch, parts=(whole,)))
    return DeadLetter(
        document_id=part.document_id,
        version=part.version,
        source=part.source,
        key=str(part.metadata.get("path", "")) or key_bytes.decode(errors="replace"),
        key_bytes=key_bytes,
        job=batch.job,
        stage=first.stage,
        reason=first.reason,
        message=message,
        first_error=first.first_error,
        at_ms=last.at_ms,
        attempts=max(one.attempts for one in dead),
        chunk_count=part.chunk_count,
        ordinals=tuple(sorted({ordinal for one in dead for ordinal in one.ordinals})),
        payload=payload,
    )


def parts_of(dead: Sequence[DeadPart]) -> list[Part]:
    """Read the parts that died."""
    return [part for one in dead for part in decode(one.payload).parts]
