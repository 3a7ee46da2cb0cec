"""Batches of chunks, by count, bytes and age. Pure: the clock is passed in."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

from msgspec.structs import replace

from contract.batch import Batch, Part
from contract.lane import Lane
from contract.settings import Settings


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """When a batch is full."""

    chunks: int
    text_bytes: int
    """Of UTF-8, with the vectors that came along."""
    age_seconds: float
    """Since the batch's first part came, whatever came after it."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Give what settings say."""
        return cls(
            settings.batch_max_chunks, settings.batch_max_bytes, settings.batch_max_age_seconds
        )


class Batcher:
    """Fills batches with parts of documents, in order; a large document is cut into parts."""

    def __init__(
        self,
        collection: str,
        job: str,
        limits: BatchLimits,
        now: Callable[[], float],
        lane: Callable[[], Lane],
    ) -> None:
        """Begin with an empty batch.

        Args:
            collection: where the chunks go.
            job: on whose behalf.
            limits: when a batch is full.
            now: a clock that does not jump, in seconds.
            lane: gives the lane of the next batch.
        """
        self._collection = collection
        self._job = job
        self._limits = limits
        self._now = now
        self._lane = lane
        self._parts: list[Part] = []
        self._chunks = 0
        self._bytes = 0
        self._began = 0.0

    def add(self, whole: Part) -> Iterator[Batch]:
        """Take a whole document, and give the batches that it fills."""
        if not whole.chunks:
            self._append(whole, 0)
            if len(self._parts) >= self._limits.chunks:
                yield self._emptied()
            return
        begin, size = 0, 0
        for end, chunk in enumerate(whole.chunks):
            length = len(chunk.text.encode()) + len(chunk.vector)
            count = self._chunks + end - begin
            full = count >= self._limits.chunks or (
                count > 0 and self._bytes + size + length > self._limits.text_bytes
            )
            if full:
                if end > begin:
                    self._append(_cut(whole, begin, end), size)
                yield self._emptied()
                begin, size = end, 0
            size += length
        self._append(_cut(whole, begin, len(whole.chunks)), size)
        if self._chunks >= self._limits.chunks:
            yield self._emptied()

    def due(self) -> Batch | None:
        """Give the batch that is too old to wait for more, if there is one."""
        if self._parts and self._now() - self._began >= self._limits.age_seconds:
            return self._emptied()
        return None

    def flush(self) -> Batch | None:
        """Give what is left, if anything is."""
        return self._emptied() if self._parts else None

    def _append(self, part: Part, size: int) -> None:
        if not self._parts:
            self._began = self._now()
        self._parts.append(part)
        self._chunks += len(part.chunks)
        self._bytes += size

    def _emptied(self) -> Batch:
        batch = Batch(
            collection=self._collection,
            job=self._job,
            parts=tuple(self._parts),
            lane=self._lane(),
        )
        self._parts, self._chunks, self._bytes = [], 0, 0
        return batch


def _cut(whole: Part, begin: int, end: int) -> Part:
    if begin == 0 and end == len(whole.chunks):
        return whole
    return replace(whole, first=whole.first + begin, chunks=whole.chunks[begin:end])
