"""How things are named: pure functions of documented inputs, no clock, no randomness.

The same inputs give the same id on every machine, so a repeated write lands on the same
row and a repeated publication on the same batch. Digests are BLAKE2b with 128 bits;
inputs are prefixed with their length, so that no two different lists of inputs read alike.
"""

import hashlib
from collections.abc import Iterable, Iterator

DIGEST_BYTES = 16
"""128 bits: a collision among a billion names has a chance of about 1 in 10^21."""


def _digest(kind: str, *inputs: bytes) -> str:
    state = hashlib.blake2b(digest_size=DIGEST_BYTES, person=kind.encode())
    for item in inputs:
        state.update(len(item).to_bytes(8, "big"))
        state.update(item)
    return state.hexdigest()


def document_id(source: str, key: bytes) -> str:
    """Name a document by its source's name and its key there: 32 hex digits.

    Args:
        source: the source's name.
        key: the document's key in its source, as exact bytes (for a file: the path
            relative to the source's root, as the file system spells it).
    """
    return _digest("document", source.encode(), key)


def content_hash(content: bytes, fingerprint: str) -> str:
    """Name a document's content together with the way it is cut: 32 hex digits.

    Args:
        content: the bytes as the source has them.
        fingerprint: parser, splitter and their options; another one makes another version.
    """
    return _digest("content", fingerprint.encode(), content)


def content_stamp(state: str, fingerprint: str) -> str:
    """Name what shows, without a look at it, that a content is the same: 32 hex digits.

    Args:
        state: what a source tells of the content: another one whenever the content changes.
        fingerprint: as for ``content_hash``.
    """
    return _digest("stamp", fingerprint.encode(), state.encode("utf-8", "surrogateescape"))


def chunk_id(document_id: str, version: int, ordinal: int) -> str:
    """Name a row: it belongs to one version of one document for ever."""
    return f"{document_id}:{version}:{ordinal}"


def chunk_ids(document_id: str, version: int, ordinals: Iterable[int]) -> Iterator[str]:
    """Name the rows of one version; with ``range(count)`` all that it can ever have."""
    return (chunk_id(document_id, version, ordinal) for ordinal in ordinals)


def chunk_keys(document_id: str, texts: Iterable[str]) -> Iterator[str]:
    """Name each text of a document, the same across versions: 32 hex digits each.

    A text that occurs again in the document gets another key for each occurrence.
    """
    seen: dict[str, int] = {}
    for text in texts:
        occurrence = seen.get(text, 0)
        seen[text] = occurrence + 1
        yield _digest("chunk", document_id.encode(), text.encode(), str(occurrence).encode())


def batch_id(job: str, parts: Iterable[tuple[str, int, int, int]]) -> str:
    """Name a batch by its job and its parts: 32 hex digits.

    Args:
        job: the job that publishes it.
        parts: (document_id, version, first ordinal, number of chunks), in order.
    """
    return _digest("batch", job.encode(), repr(list(parts)).encode())
