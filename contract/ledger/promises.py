"""The producers' side of a ledger: what was listed, promised, and not seen any more."""

from collections.abc import AsyncIterator, Sequence

from redis.asyncio import Redis

from contract.ledger.connection import text
from contract.ledger.records import Gone, Outcome, Promise, Registered, Standing
from contract.ledger.scripts import script
from contract.names import COLLECTIONS_KEY, Keys, cutting_field, listing_field, reading_field

PAGE = 500
"""Documents that are looked up together."""


class Promises:
    """The documents of one collection, as producers deal with them; each step is atomic."""

    def __init__(self, redis: Redis, collection: str) -> None:
        """Use a client that the caller closes; nothing is sent yet."""
        self.redis = redis
        self.collection = collection
        self.keys = Keys(collection)
        self._begin_listing = script(redis, "begin_listing")
        self._lookup = script(redis, "lookup")
        self._glance = script(redis, "glance")
        self._register = script(redis, "register")
        self._seen = script(redis, "seen")

    async def begin_listing(self, source: str, origin: str) -> int:
        """Number a new listing of a source, and note where it is read from.

        The number is the time in ms since 1970, or one more than that of the last one.
        """
        pipe = self.redis.pipeline(transaction=False)
        pipe.sadd(COLLECTIONS_KEY, self.collection)
        await self._begin_listing(
            keys=[self.keys.sources], args=[source, origin, listing_field(source)], client=pipe
        )
        *_, number = await pipe.execute()
        return int(number)

    async def begin_reading(self, source: str) -> int:
        """Give a number, to be taken before documents are read.

        What two producers read at once may differ; a promise made of an earlier reading does
        not replace one of a later reading (``Outcome.OUTDATED``).
        """
        return int(await self.redis.hincrby(self.keys.sources, reading_field(source), 1))

    async def origin(self, source: str) -> str | None:
        """Tell where a source was last read from, or None when it is not known here."""
        found = await self.redis.hget(self.keys.sources, source)
        return text(found) if found is not None else None

    async def cutting(self, source: str) -> str | None:
        """Tell how all of a source was cut by its last complete listing; None where not known."""
        found = await self.redis.hget(self.keys.sources, cutting_field(source))
        return text(found) if found is not None else None

    async def set_cutting(self, source: str, cutting: str) -> None:
        """Note how all of a source is cut from now on."""
        await self.redis.hset(self.keys.sources, cutting_field(source), cutting)

    async def sources(self) -> dict[str, str]:
        """Give all sources, with where each was last read from."""
        found = await self.redis.hgetall(self.keys.sources)
        return {text(k): text(v) for k, v in found.items() if "\0" not in text(k)}

    async def lookup(
        self,
        promises: Sequence[tuple[str, str]],
        *,
        reading: int = 0,
        stamps: Sequence[str] = (),
        positions: Sequence[str] = (),
    ) -> list[Registered | None]:
        """Find documents whose content needs no work, in one atomic step.

        One that is unchanged loses its dead letter, if it has one: it could not be read for a
        while. What was read earlier than ``reading`` does not replace what is found here.

        Args:
            promises: (document_id, content_hash) each.
            reading: when the contents were read (``begin_reading``); 0: not compared.
            stamps: by which ``glance`` is to know those contents again, "" where there is none.
            positions: of each, where it stands in a stream (``Promise.position``); none: not
                compared.

        Returns:
            For each UNCHANGED or PENDING, or None when it has to be split and registered.
        """
        if not promises:
            return []
        none = [""] * len(promises)
        asked = zip(promises, stamps or none, positions or none, strict=True)
        found = await self._lookup(
            keys=[self.keys.dead, *(self.keys.document(document) for document, _ in promises)],
            args=[
                self.keys.job(""), reading,
                *(
                    item
                    for promise, stamp, position in asked
                    for item in (*promise, stamp, position)
                ),
            ],
        )  # fmt: skip
        return [_found(state) for state in found]

    async def glance(self, documents: Sequence[tuple[str, str]]) -> list[Registered | None]:
        """Find documents that need not be read, in one atomic step that changes nothing.

        Args:
            documents: (document_id, stamp) each, as the stamps are now.

        Returns:
            For each UNCHANGED or PENDING, or None when it has to be read and looked up.
        """
        if not documents:
            return []
        found = await self._glance(
            keys=[self.keys.document(document) for document, _ in documents],
            args=[self.keys.job(""), *(stamp for _, stamp in documents)],
        )
        return [_found(state) for state in found]

    async def mark_seen(self, source: str, documents: Sequence[str]) -> None:
        """Note that these were listed, whatever becomes of them: what is listed is not gone.

        They count as seen by the newest listing that has begun, so that no other producer that
        walked past before they came takes them for gone. Those that are not known are left out.
        """
        if documents:
            await self._seen(
                keys=[self.keys.source(source), self.keys.sources],
                args=[listing_field(source), *documents],
            )

    async def register(self, job: str, promises: Sequence[Promise]) -> list[Registered]:
        """Promise contents: each gets a version, unless it is promised already."""
        pipe = self.redis.pipeline(transaction=False)
        keys = self.keys
        for promise in promises:
            await self._register(
                keys=[
                    keys.document(promise.document_id), keys.source(promise.source),
                    keys.job(job), keys.open(job), keys.sources, keys.meta, keys.twins, keys.dead,
                ],
                args=[
                    promise.document_id, promise.source, promise.key_bytes, promise.content_hash,
                    promise.chunk_count, job, listing_field(promise.source), keys.job(""),
                    keys.open(""), promise.reading, promise.unseen_since,
                    int(promise.only_wanted), promise.missing, promise.stamp, promise.position,
                ],
                client=pipe,
            )  # fmt: skip
        return [
            Registered(Outcome(outcome.decode()), int(version), by.decode(), twin.decode())
            for outcome, version, by, twin in await pipe.execute()
        ]

    async def standing(self, documents: Sequence[str]) -> list[Standing]:
        """Tell what is wanted of documents."""
        pipe = self.redis.pipeline(transaction=False)
        fields = ["wanted", "committed", "committed_count", "withdrawn"]
        for document in documents:
            pipe.hmget(self.keys.document(document), fields)
        return [Standing(*(int(value or 0) for value in state)) for state in await pipe.execute()]

    async def key_bytes(self, document_id: str) -> bytes:
        """Give a document's key in its source; empty when the document is not known."""
        found: bytes | None = await self.redis.hget(self.keys.document(document_id), "key")  # type: ignore[assignment]
        return found or b""

    async def count(self, source: str) -> int:
        """Count the documents of a source that are not deleted."""
        return int(await self.redis.zcard(self.keys.source(source)))

    async def count_unseen(self, source: str, listing: int) -> int:
        """Count the documents that neither this listing nor a later one has seen."""
        return int(await self.redis.zcount(self.keys.source(source), "-inf", f"({listing}"))

    async def unseen_among(
        self, source: str, listing: int, documents: Sequence[str]
    ) -> AsyncIterator[list[Gone]]:
        """Give those of these documents that ``unseen`` would give, at a cost of their number."""
        for start in range(0, len(documents), PAGE):
            page = list(documents[start : start + PAGE])
            scores = await self.redis.zmscore(self.keys.source(source), page)
            gone = [
                document
                for document, score in zip(page, scores, strict=True)
                if score is not None and float(score) < listing
            ]
            if gone:
                yield await self._with_keys(gone)

    async def _with_keys(self, documents: Sequence[str]) -> list[Gone]:
        pipe = self.redis.pipeline(transaction=False)
        for document in documents:
            pipe.hget(self.keys.document(document), "key")
        keys = await pipe.execute()
        return [Gone(d, key or b"") for d, key in zip(documents, keys, strict=True)]

    async def unseen(self, source: str, listing: int) -> AsyncIterator[list[Gone]]:
        """Give documents that neither this listing nor a later one has seen, in pages.

        They come in no order, and one may come twice; the caller may delete them meanwhile.
        """
        if not await self.count_unseen(source, listing):
            return
        cursor = 0
        while True:
            cursor, page = await self.redis.zscan(self.keys.source(source), cursor, count=PAGE)
            gone = [text(document) for document, score in page if float(score) < listing]
            if gone:
                yield await self._with_keys(gone)
            if not cursor:
                return


def _found(state: Sequence[bytes]) -> Registered | None:
    if not state:
        return None
    outcome, version, job = state
    return Registered(Outcome(outcome.decode()), int(version), job.decode())
