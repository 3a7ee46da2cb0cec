"""The batch: chunks that travel together, and its form on the wire.

On the wire a batch is ``b"HRB"``, one byte with the format's version, and a msgpack map
compressed by zstd. Fields are only ever added, with a default; a change that an older
reader can't follow gets a new version. ``tests/golden/batch-v1.bin`` never changes.
"""

import sys
from typing import Any

import msgspec

from contract.errors import BatchDecodeError
from contract.ids import batch_id
from contract.lane import Lane

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAGIC = b"HRB"
FORMAT_VERSION = 1
COMPRESSION_LEVEL = 3
MAX_DECODED_BYTES = 256 * 1024 * 1024
"""A payload that unpacks to more is refused: no producer makes one (see BatchLimits)."""


class Chunk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """A piece of a document that gets one vector."""

    key: str
    """Names the text across versions (``ids.chunk_keys``)."""
    text: str
    start: int = 0
    """Offset of the text in the document, in characters."""
    headings: tuple[str, ...] = ()
    """Titles of the enclosing headings, outermost first."""
    vector: bytes = b""
    """The source's own vector, as little-endian float32; empty: the text is to be embedded."""


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """The share of one document in one batch; without chunks it deletes the document."""

    document_id: str
    source: str
    version: int
    content_hash: str
    chunk_count: int
    """How many chunks this version has in all its parts."""
    first: int
    """Ordinal of this part's first chunk; the others follow without a gap."""
    chunks: tuple[Chunk, ...]
    twin: str = ""
    """A document that has, or had, committed rows of the same content (the file was moved):
    vectors may be read from there, if they still are."""
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)
    """What is stored with each row besides our own fields (JSON values)."""

    @property
    def units(self) -> int:
        """What the ledger counts: chunks, and one for a part that only deletes."""
        return len(self.chunks) or 1

    @property
    def brings_vectors(self) -> bool:
        """Tell whether its chunks have vectors already: all of a document's, or none."""
        return bool(self.chunks and self.chunks[0].vector)

    @property
    def ordinals(self) -> range:
        """Ordinals of this part's chunks."""
        return range(self.first, self.first + len(self.chunks))


class Batch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """The unit of work of a worker."""

    collection: str
    job: str
    parts: tuple[Part, ...]
    lane: Lane = Lane.BULK
    """No part of its name: a repeated publication stays in the lane of the first."""
    trace: str = ""
    """The span that published it (W3C ``traceparent``), if that is sampled; no part of its name."""

    @property
    def is_live(self) -> bool:
        """Whether someone waits for it."""
        return self.lane is Lane.LIVE

    @property
    def id(self) -> str:
        """Name of this batch: the same for the same parts of the same job."""
        return batch_id(
            self.job, ((p.document_id, p.version, p.first, len(p.chunks)) for p in self.parts)
        )

    @property
    def chunk_count(self) -> int:
        """Number of chunks in all parts."""
        return sum(len(part.chunks) for part in self.parts)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Batch)


def encode(batch: Batch) -> bytes:
    """Give a batch the form in which it is stored and sent.

    Raises:
        ValueError: the batch has no parts, or two parts that claim the same rows.
    """
    claimed = {(p.document_id, p.version, p.first) for p in batch.parts}
    if not batch.parts or len(claimed) != len(batch.parts):
        raise ValueError("a batch needs parts, each of rows of its own")
    body = zstd.compress(_encoder.encode(batch), COMPRESSION_LEVEL)
    return MAGIC + bytes([FORMAT_VERSION]) + body


def decode(payload: bytes) -> Batch:
    """Read a batch back.

    Raises:
        BatchDecodeError: the payload is broken, of an unknown version, or too large;
            the error keeps the bytes.
    """
    if payload[: len(MAGIC)] != MAGIC or len(payload) <= len(MAGIC):
        raise BatchDecodeError("not a batch", payload)
    version = payload[len(MAGIC)]
    if version != FORMAT_VERSION:
        raise BatchDecodeError(
            f"batch format {version} is unknown here (this program reads {FORMAT_VERSION}); "
            "upgrade the workers first, then the producers",
            payload,
        )
    try:
        decompressor = zstd.ZstdDecompressor()
        body = decompressor.decompress(payload[len(MAGIC) + 1 :], MAX_DECODED_BYTES)
        if not decompressor.eof or decompressor.unused_data:
            raise BatchDecodeError(
                "batch is cut off, too large, or followed by something else", payload
            )
        batch = _decoder.decode(body)
    except (zstd.ZstdError, msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BatchDecodeError(f"broken batch: {error}", payload) from error
    if not batch.parts:
        raise BatchDecodeError("batch has no parts", payload)
    return batch
