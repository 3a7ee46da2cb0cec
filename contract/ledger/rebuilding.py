"""Rebuilding: what the ledger knows of its documents beside what Milvus has of them.

Each step may be repeated, and changes nothing that has changed since the caller looked.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from redis.asyncio import Redis

from contract.ledger.connection import text
from contract.ledger.records import Rows
from contract.ledger.scripts import script
from contract.names import COLLECTIONS_KEY, Keys

PAGE = 200
"""Documents that are looked at together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What the ledger knows of one document; versions are 0 where there is none."""

    document_id: str
    source: str = ""
    """Empty when the document is not known at all."""
    key_bytes: bytes = b""
    wanted: int = 0
    committed: int = 0
    committed_count: int = 0
    withdrawn: int = 0
    is_valid: bool = True
    """False when it is to be read again."""

    @property
    def is_known(self) -> bool:
        """Tell whether any version was ever promised, as far as the ledger remembers."""
        return self.wanted > 0

    @property
    def awaits_reading(self) -> bool:
        """Tell whether the next import of the source is to bring it again."""
        return bool(self.source) and (not self.is_known or not self.is_valid)

    @property
    def in_progress(self) -> bool:
        """Tell whether a version is promised that is neither committed nor given up."""
        return self.wanted not in {self.committed, self.withdrawn}


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """A document that Milvus holds and the ledger does not know."""

    document_id: str
    source: str
    key_bytes: bytes
    content_hash: str = ""
    version: int = 0
    """The newest whole version; 0 when none is whole, so that it has to be read again."""
    chunk_count: int = 0
    has_others: bool = False
    """Whether there are rows of other versions: the next commit deletes them."""


_FIELDS = ("source", "key", "wanted", "committed", "committed_count", "withdrawn", "hash")


class Rebuilding:
    """The documents of one collection, as those deal with them who compare and mend."""

    def __init__(self, redis: Redis, collection: str) -> None:
        """Use a client that the caller closes; nothing is sent yet."""
        self.redis = redis
        self.collection = collection
        self.keys = Keys(collection)
        self._adopt = script(redis, "adopt")
        self._invalidate = script(redis, "invalidate")
        self._forget = script(redis, "forget_document")

    # --- which collection in Milvus this ledger is about

    async def is_built(self) -> bool:
        """Tell whether the ledger is known to know all that Milvus holds."""
        return await self.redis.hget(self.keys.meta, "built") == b"1"

    async def mark_built(self) -> None:
        """Note that the ledger knows all that Milvus holds."""
        pipe = self.redis.pipeline(transaction=True)
        pipe.sadd(COLLECTIONS_KEY, self.collection)
        pipe.hset(self.keys.meta, "built", 1)
        await pipe.execute()

    async def counterpart(self) -> str | None:
        """Name the collection in Milvus that this ledger was last used with."""
        found = await self.redis.hget(self.keys.meta, "counterpart")
        return None if found is None else text(found)

    async def set_counterpart(self, identity: str) -> None:
        """Note which collection in Milvus this ledger is used with."""
        await self.redis.hset(self.keys.meta, "counterpart", identity)

    # --- documents

    async def sources(self) -> list[str]:
        """Name all sources, also those of which nothing but documents is known."""
        names = {
            text(field).partition("\0")[0] for field in await self.redis.hkeys(self.keys.sources)
        }
        return sorted(names)

    async def pages(self, source: str) -> AsyncIterator[list[State]]:
        """Give the documents of a source that are not deleted, in no order.

        One that is there all the time comes at least once.
        """
        cursor = 0
        while True:
            cursor, page = await self.redis.zscan(self.keys.source(source), cursor, count=PAGE)
            if page:
                yield await self.states([text(document) for document, _ in page])
            if not cursor:
                return

    async def states(self, documents: Sequence[str]) -> list[State]:
        """Look documents up, in one round trip."""
        pipe = self.redis.pipeline(transaction=False)
        for document in documents:
            pipe.hmget(self.keys.document(document), list(_FIELDS))
        found = await pipe.execute()
        return [_state(*pair) for pair in zip(documents, found, strict=True)]

    async def in_quarantine(self, rows: Sequence[Rows]) -> list[bool]:
        """Tell of versions whether their rows are to be deleted once more by a janitor."""
        pipe = self.redis.pipeline(transaction=False)
        for item in rows:
            pipe.zscore(self.keys.graves, f"{item.document_id} {item.version} {item.count}")
        return [score is not None for score in await pipe.execute()]

    async def adopt(self, adoptions: Sequence[Adoption]) -> list[bool]:
        """Enter documents that are not known; tells which were entered by this call."""
        pipe = self.redis.pipeline(transaction=False)
        keys = self.keys
        for item in adoptions:
            await self._adopt(
                keys=[
                    keys.document(item.document_id), keys.source(item.source), keys.sources,
                    keys.twins,
                ],
                args=[
                    item.document_id, item.source, item.key_bytes, f"{item.source}\0listing",
                    item.content_hash, item.version, item.chunk_count, int(item.has_others),
                ],
                client=pipe,
            )  # fmt: skip
        return [bool(entered) for entered in await pipe.execute()]

    async def invalidate(self, states: Sequence[State]) -> list[bool]:
        """Have documents read again by the next import of their source.

        What they have stays as it is until their next version is committed, which deletes all
        rows of the versions before.

        Returns:
            For each, False when its state is not the given one any more.
        """
        pipe = self.redis.pipeline(transaction=False)
        for state in states:
            await self._invalidate(
                keys=[self.keys.document(state.document_id)],
                args=[state.wanted, state.committed],
                client=pipe,
            )
        return [bool(done) for done in await pipe.execute()]

    async def forget(self, states: Sequence[State]) -> None:
        """Forget documents that were entered without a version, once their rows are gone."""
        pipe = self.redis.pipeline(transaction=False)
        for state in states:
            await self._forget(
                keys=[self.keys.document(state.document_id), self.keys.source(state.source)],
                args=[state.document_id],
                client=pipe,
            )
        await pipe.execute()


def _state(document: str, fields: list[bytes | None]) -> State:
    source, key, wanted, committed, count, withdrawn, content = fields
    return State(
        document_id=document,
        source=(source or b"").decode(),
        key_bytes=key or b"",
        wanted=int(wanted or 0),
        committed=int(committed or 0),
        committed_count=int(count or 0),
        withdrawn=int(withdrawn or 0),
        is_valid=content != b"",
    )
