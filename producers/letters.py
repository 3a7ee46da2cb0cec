"""What a dead letter holds: its document, as one part to be tried once more. Pure."""

from msgspec.structs import replace

from contract.batch import Part, decode
from contract.errors import BatchDecodeError, PermanentError
from contract.ledger.records import DeadLetter


class Unusable(PermanentError):  # noqa: N818 - says more than with Error at its end
    """A letter can't be replayed; says why, and what to do."""


def revived(letter: DeadLetter, *, accept: bool) -> Part:
    """Give the whole document of a letter that has a payload, as one part.

    Args:
        letter: the letter.
        accept: leave out the chunks that are to blame.

    Raises:
        Unusable: its payload can't be read, is not whole, or nothing would be left of it.
    """
    whole = _whole(letter)
    if not accept:
        return whole
    if not letter.ordinals:
        raise Unusable("none of its chunks is known to be to blame: replay it")
    dead = set(letter.ordinals)
    alive = tuple(chunk for at, chunk in enumerate(whole.chunks) if at not in dead)
    if not alive:
        raise Unusable("all its chunks are dead, so that nothing would be left of it")
    return replace(whole, chunks=alive, chunk_count=len(alive))


def _whole(letter: DeadLetter) -> Part:
    """Put the parts of a letter together.

    Raises:
        Unusable: they can't be read, or some are missing.
    """
    try:
        batch = decode(letter.payload)
    except BatchDecodeError as error:
        raise Unusable(f"its letter can't be read ({error}): import the source again") from error
    mine = (part for part in batch.parts if part.document_id == letter.document_id)
    parts = sorted(mine, key=lambda part: part.first)
    ordinals = [ordinal for part in parts for ordinal in part.ordinals]
    if not parts or ordinals != list(range(letter.chunk_count)):
        raise Unusable("its letter does not hold all chunks: import the source again")
    chunks = tuple(chunk for part in parts for chunk in part.chunks)
    return replace(parts[0], first=0, chunks=chunks, chunk_count=len(chunks))
