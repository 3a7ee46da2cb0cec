"""Reading: listed items in groups, each group read at once and under a number of its own."""

import asyncio
import dataclasses
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from contract.errors import DocumentError
from contract.ledger.records import Registered
from contract.tracing import begun_trace, carried
from producers.document import Entry, Omission, Reason
from producers.sources.remote import remote_of
from producers.sources.source import Source

GROUP_DOCUMENTS = 256
"""Documents that are read and looked up together."""
GROUP_BYTES = 8 * 1024 * 1024

Known: TypeAlias = Callable[[Sequence[Entry]], Awaitable[Sequence[tuple[Entry, Registered]]]]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A document's bytes, read."""

    entry: Entry
    data: bytes


@dataclass(frozen=True, slots=True)
class Group:
    """Listed items that were read together."""

    reading: int
    """A number taken before the first of them was read (``Promises.begin_reading``)."""
    loaded: Sequence[Loaded]
    omitted: Sequence[Omission]
    """What could not be read, or was listed as something that is not."""
    known: Sequence[tuple[Entry, Registered]] = ()
    """What need not be read, with what the ledger says of it."""
    trace: str = ""
    """The span that read it (``tracing.carried``)."""

    @property
    def listed(self) -> int:
        """Count the items."""
        return len(self.loaded) + len(self.omitted) + len(self.known)

    @property
    def size_bytes(self) -> int:
        """Add up what was read, or need not be."""
        read = sum(len(item.data) for item in self.loaded)
        return read + sum(entry.size_bytes for entry, _ in self.known)


class Reader:
    """Reads what a source lists."""

    def __init__(
        self,
        source: Source,
        max_bytes: int,
        begin_reading: Callable[[], Awaitable[int]],
        known: Known | None = None,
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            source: lists and reads.
            max_bytes: most bytes of one document.
            begin_reading: gives a number, before each group is read.
            known: tells what need not be read; None: everything is.
        """
        self._source = source
        self._max_bytes = max_bytes
        self._begin_reading = begin_reading
        self._known = known

    async def groups(self) -> AsyncGenerator[Group]:
        """List the source once, and read one group while the caller has the one before."""
        listed = iter(grouped(self._source.listing(), GROUP_DOCUMENTS, GROUP_BYTES))

        async def load() -> Group | None:
            items = await asyncio.to_thread(next, listed, None)
            if items is None:
                return None
            with begun_trace("read", source=self._source.name, items=len(items)) as span:
                return dataclasses.replace(await self._group(items), trace=carried(span))

        ahead = asyncio.create_task(load())
        try:
            while (group := await ahead) is not None:
                ahead = asyncio.create_task(load())
                yield group
        finally:
            ahead.cancel()
            await asyncio.wait([ahead])

    async def _group(self, items: Sequence[Entry | Omission]) -> Group:
        """Read what is not known to be unchanged."""
        entries = [item for item in items if isinstance(item, Entry)]
        known = [] if self._known is None else await self._known(entries)
        if not known:
            return await self.read(items)
        keys = {entry.key_bytes for entry, _ in known}
        group = await self.read(item for item in items if item.key_bytes not in keys)
        return dataclasses.replace(group, known=known)

    async def read(self, items: Iterable[Entry | Omission]) -> Group:
        """Read some files at once; what can't be read is left out, and the others go on."""
        items = list(items)
        entries = [item for item in items if isinstance(item, Entry)]
        omitted = [item for item in items if isinstance(item, Omission)]
        reading = await self._begin_reading() if entries else 0
        read = await asyncio.gather(
            *(self._load(entry) for entry in entries),
            return_exceptions=True,
        )
        loaded = []
        for entry, found in zip(entries, read, strict=True):
            if isinstance(found, Loaded):
                loaded.append(found)
            elif isinstance(found, DocumentError):
                omitted.append(Omission.of(entry.key, entry.key_bytes, found))
            else:
                raise found
        return Group(reading, loaded, omitted)

    async def _load(self, entry: Entry) -> Loaded:
        remote = remote_of(self._source)
        if remote is None:
            return Loaded(entry, await self._source.read(entry, self._max_bytes))
        data, stamp = await remote.read_stamped(entry, self._max_bytes)
        return Loaded(dataclasses.replace(entry, stamp=stamp), data)

    async def again(self, items: Sequence[Loaded]) -> Group:
        """Read some once more, under a new number.

        What a program handed over can't be read again: it stays what it was, and is the newest.
        """
        before = {item.entry.key_bytes: item for item in items}
        group = await self.read(item.entry for item in items)
        kept = [before[o.key_bytes] for o in group.omitted if o.reason == Reason.REPEATED]
        omitted = [o for o in group.omitted if o.reason != Reason.REPEATED]
        return Group(group.reading, [*group.loaded, *kept], omitted)


def grouped(
    items: Iterable[Entry | Omission], count: int, size_bytes: int
) -> Iterable[list[Entry | Omission]]:
    """Put listed items into groups that are read and planned together.

    Args:
        items: what is listed.
        count: most items in a group.
        size_bytes: most bytes in a group, unless one item alone has more.
    """
    group: list[Entry | Omission] = []
    size = 0
    for item in items:
        more = item.size_bytes if isinstance(item, Entry) else 0
        if group and (len(group) >= count or size + more > size_bytes):
            yield group
            group, size = [], 0
        group.append(item)
        size += more
    if group:
        yield group
