"""A Redis Stream, read by a consumer group: each entry is a document."""

import asyncio
import logging
import os
import secrets
import socket
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib import resources
from typing import Any, Final, TypeAlias

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from contract.errors import DocumentError, UsageError
from contract.ledger.connection import text, translated
from contract.settings import Settings
from contract.tasks import end
from producers.document import Omission, Reason
from producers.sources.record import Read, RecordReader
from producers.sources.stream import Haul, Item, Net

CONSUMER: Final = "headrace:"
"""Begins the names of our consumers."""
BLOCK_SECONDS: Final = 0.5
"""For one call that waits for entries: far below every time-out."""
CLAIMS_IN_IDLE_TIME: Final = 3
"""So often pending entries are claimed, or kept, before they count as a dead consumer's."""
FORGOTTEN_SECONDS: Final = 3600.0
"""A consumer of ours that has nothing pending is forgotten after so long a silence."""

_RETIRE: Final = (resources.files(__package__) / "retire.lua").read_text(encoding="utf-8")

_Entry: TypeAlias = tuple[bytes, Mapping[bytes, bytes] | None]

logger = logging.getLogger(__name__)


class RedisStream:
    """Documents as entries of a stream in Redis, by one consumer of a group.

    An entry is acknowledged once the ledger has its document, or its dead letter. Entries that
    a consumer has read and not acknowledged, and does not keep any more, are claimed by another.
    So an older entry may come after a newer one of the same document; each carries its id as a
    position, by which the ledger refuses it then.

    Attributes:
        name: the source's name.
        origin: where it is, for people.
    """

    def __init__(  # noqa: PLR0913 - all named, for the composition
        self,
        name: str,
        redis: Redis,
        settings: Settings,
        key: str,
        *,
        group: str,
        dimension: int,
        origin: str = "",
        once: bool = False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Send nothing yet.

        Args:
            name: the source's name.
            redis: a client of the stream's Redis, which the caller closes.
            settings: name that Redis as ``redis_url``; how long a lease is, and how old a batch.
            key: of the stream; it need not be there yet.
            group: of consumers; made when it is not there, to begin with the first entry.
            dimension: of the vectors that entries may bring.
            origin: where the stream is, for people; by default the ledger's Redis is meant.
            once: end when everything that is there has been acknowledged.
            now: a clock that does not jump.
        """
        self.name = name
        self.origin = origin or f"Redis stream {key}"
        self._redis = redis
        self._settings = settings
        self._key = key
        self._group = group
        self._consumer = f"{CONSUMER}{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._reader = RecordReader(dimension, settings.max_document_bytes)
        self._once = once
        self._now = now
        self._in_hand: set[bytes] = set()
        self._claimed_at = -settings.lease_seconds
        self._claim_from = "0-0"

    async def hauls(self) -> AsyncGenerator[Haul]:
        """Give entries as they come.

        Raises:
            UsageError: the key holds something else than a stream.
            TransientError: the stream's Redis does not answer for too long.
        """
        with translated(self._settings):
            await self._make_group()
            keeping = asyncio.create_task(self._keep())
            try:
                net = Net(self._settings.batch_max_age_seconds, self._now)
                while True:
                    entries = await self._entries(net)
                    for entry_id, fields in entries:
                        self._in_hand.add(entry_id)
                        net.add(self._item(entry_id, fields))
                    if net.is_ripe or (self._once and not entries and not net.is_empty):
                        haul = net.emptied()
                        # What was claimed may be older than what came before it.
                        yield replace(haul, items=sorted(haul.items, key=_place))
                    elif self._once and not entries and await self._is_drained():
                        return
            finally:
                await end(keeping)
                await self._retire()

    async def acknowledge(self, haul: Haul) -> None:
        """Acknowledge all entries of a haul.

        Raises:
            TransientError: the stream's Redis does not answer for too long.
        """
        ids = [item.position.encode() for item in haul.items]
        with translated(self._settings):
            await self._redis.xack(self._key, self._group, *ids)
        self._in_hand.difference_update(ids)

    async def _entries(self, net: Net) -> list[_Entry]:
        """Give entries of dead consumers, else new ones, for which it may wait a little."""
        interval = self._settings.lease_seconds / CLAIMS_IN_IDLE_TIME
        try:
            if self._now() - self._claimed_at >= interval:
                claimed = await self._claim(net.room)
                if claimed:
                    return claimed
            return await self._new(net)
        except ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise
            await self._make_group()  # somebody deleted the stream, or the group
            return []

    async def _claim(self, count: int) -> list[_Entry]:
        """Claim entries that nobody keeps; page by page, the next time from where this ended."""
        following, claimed, trimmed = await self._redis.xautoclaim(
            self._key,
            self._group,
            self._consumer,
            round(self._settings.lease_seconds * 1000),
            start_id=self._claim_from,
            count=count,
        )
        self._claim_from = text(following)
        if self._claim_from == "0-0":
            self._claimed_at = self._now()
        gone: list[_Entry] = [(entry_id, None) for entry_id in trimmed]
        return [entry for entry in (*claimed, *gone) if entry[0] not in self._in_hand]

    async def _new(self, net: Net) -> list[_Entry]:
        left = net.seconds_left
        seconds = BLOCK_SECONDS if left is None else min(BLOCK_SECONDS, left)
        found: Any = await self._redis.xreadgroup(
            self._group,
            self._consumer,
            {self._key: ">"},
            count=net.room,
            block=max(round(seconds * 1000), 1),  # 0 would wait for ever
        )
        streams: Sequence[Any] = list(found.items()) if isinstance(found, dict) else found or []
        return [entry for _, entries in streams for entry in _flat(entries)]

    def _item(self, entry_id: bytes, fields: Mapping[bytes, bytes] | None) -> Item:
        position = entry_id.decode()
        place = f"entry {position}"
        read: Read
        if fields is None:
            message = f"{place}: was trimmed from the stream before it was read"
            error = DocumentError(Reason.VANISHED, message)
            read = Omission.of(place, b"", error)
        else:
            read = self._reader.fields(fields, place)
        if isinstance(read, Omission) and not read.key_bytes:
            # Its letter is known by the entry; no document has a key with a zero.
            read = replace(read, key_bytes=b"\0" + place.encode())
        return Item(place, read, position)

    async def _make_group(self) -> None:
        try:
            await self._redis.xgroup_create(self._key, self._group, id="0", mkstream=True)
        except ResponseError as error:
            if str(error).startswith("WRONGTYPE"):
                raise UsageError(f"key {self._key!r} holds something else than a stream") from error
            if not str(error).startswith("BUSYGROUP"):
                raise

    async def _keep(self) -> None:
        """Keep what is in hand from being claimed, however long workers let it wait."""
        while True:
            await asyncio.sleep(self._settings.lease_seconds / CLAIMS_IN_IDLE_TIME)
            if self._in_hand:
                with suppress(RedisError):  # else it is read twice, which is harmless
                    await self._redis.xclaim(
                        self._key,
                        self._group,
                        self._consumer,
                        0,
                        list(self._in_hand),
                        justid=True,
                    )

    async def _is_drained(self) -> bool:
        pending = await self._redis.xpending(self._key, self._group)
        return not pending["pending"]

    async def _retire(self) -> None:
        """Forget this consumer, and others of ours that are silent, if nothing is pending."""
        with suppress(RedisError):
            await self._redis.eval(
                _RETIRE,
                1,
                self._key,
                self._group,
                self._consumer,
                CONSUMER,
                str(round(FORGOTTEN_SECONDS * 1000)),
            )


def _place(item: Item) -> tuple[int, ...]:
    return tuple(map(int, item.position.split("-")))


def _flat(entries: Sequence[Any]) -> list[_Entry]:
    """Give entries, of whichever protocol the answer was."""
    nested = bool(entries) and isinstance(entries[0], list)
    return list(entries[0] if nested else entries)
