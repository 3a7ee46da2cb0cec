"""Rows in Milvus: written by LangChain's ``aupsert``, read and deleted by primary key."""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray
from pymilvus import MilvusClient

from contract.batch import Part
from contract.errors import CollectionGoneError
from contract.ids import chunk_ids
from contract.settings import Settings
from worker.collections import (
    DYNAMIC_FIELD,
    INTEGER_FIELDS,
    PRIMARY_FIELD,
    RESERVED_FIELDS,
    STRONG,
    TEXT_FIELD,
    VARCHAR_FIELDS,
    VECTOR_FIELD,
)
from worker.columnar.milvus import ColumnarMilvus
from worker.milvus import GRACE_SECONDS, connection_arguments, translated
from worker.renewable import Renewable
from worker.store_metrics import Operation, ignore

IDS_IN_ONE_DELETE = 1_000
IDS_IN_ONE_READ = 500


@dataclass(frozen=True, slots=True)
class Row:
    """One chunk on its way to Milvus."""

    chunk_id: str
    document: Document


@dataclass(frozen=True, slots=True, eq=False)
class StoredRow:
    """One chunk as Milvus has it."""

    text: str
    metadata: dict[str, Any]
    """Our own fields: chunk_key, headings, start, version, ordinal and so on."""
    vector: NDArray[np.float32] | None
    """The same bits that were written."""


class Store(Protocol):
    """Where the rows of one collection go, as batches see it."""

    async def upsert(
        self,
        rows: Sequence[Row],
        vectors: NDArray[np.float32],
        *,
        check: Callable[[], None],
        urgent: bool,
    ) -> None:
        """Write rows, replacing those with the same ids, unless ``check`` raises right before."""

    async def read(self, ids: Sequence[str], *, vectors: bool) -> dict[str, StoredRow]:
        """Read rows by id."""

    async def delete(self, ids: Sequence[str]) -> None:
        """Delete rows by id."""

    async def delete_older(self, document_id: str, version: int) -> None:
        """Delete all rows of a document's older versions."""


GIVEN = "vector_given"
"""Metadata of a row whose vector came with the document."""
_READ_FIELDS = [*VARCHAR_FIELDS, *INTEGER_FIELDS, "headings", "start", "chunk_count", GIVEN]


def rows_of(part: Part) -> list[Row]:
    """Make the rows of a part: our own fields always win over metadata of the same name."""
    rows = []
    ids = chunk_ids(part.document_id, part.version, part.ordinals)
    reserved = RESERVED_FIELDS | {DYNAMIC_FIELD}
    own_metadata = {k: v for k, v in part.metadata.items() if k not in reserved}
    for chunk_id, ordinal, chunk in zip(ids, part.ordinals, part.chunks, strict=True):
        metadata = {
            **own_metadata,
            "headings": list(chunk.headings),
            "start": chunk.start,
            "chunk_count": part.chunk_count,
            "chunk_key": chunk.key,
            "document_id": part.document_id,
            "source": part.source,
            "version": part.version,
            "ordinal": ordinal,
            "content_hash": part.content_hash,
        }
        if chunk.vector:
            metadata[GIVEN] = True
        rows.append(Row(chunk_id, Document(page_content=chunk.text, metadata=metadata)))
    return rows


class _Elsewhere(Embeddings):
    """What embeds for a store that is given its vectors: nothing."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:  # noqa: ARG002
        raise AssertionError("vectors come with each write")

    def embed_query(self, text: str) -> list[float]:  # noqa: ARG002
        raise AssertionError("this store is only written to")


class _Writer(ColumnarMilvus):
    """A LangChain store of a collection that is there, loaded, and only written to."""

    def _init(self, *_: Any, **__: Any) -> None:
        """Ask the server nothing: what is found out here has no time-out, and serves searches."""


class MilvusStore:
    """One collection, written to by its physical name; one object a process and loop."""

    def __init__(
        self,
        connection: Renewable[MilvusClient],
        physical: str,
        settings: Settings,
        observe: Callable[[Operation, float], None] = ignore,
    ) -> None:
        """Open nothing yet; ``close`` it in the event loop in which it was used.

        Args:
            connection: for deletions and reads; the caller closes it.
            physical: name of a collection that exists, not its alias.
            settings: address and time-outs.
            observe: told the seconds of each request.
        """
        self._observe = observe
        self._connection = connection
        self._physical = physical
        self._settings = settings
        self._writer: Renewable[_Writer] = Renewable(
            self._open_writer, _close, settings.store_timeout_seconds + GRACE_SECONDS
        )
        self.is_gone = False
        """Whether the collection turned out to be dropped: open it anew."""

    async def _open_writer(self) -> _Writer:
        def build() -> _Writer:
            return _Writer(
                embedding_function=_Elsewhere(),
                collection_name=self._physical,
                connection_args=connection_arguments(self._settings),
                primary_field=PRIMARY_FIELD,
                text_field=TEXT_FIELD,
                vector_field=VECTOR_FIELD,
                auto_id=False,
                enable_dynamic_field=True,
            )

        with translated(self._settings):
            async with asyncio.timeout(self._settings.connect_timeout_seconds):
                return await asyncio.to_thread(build)

    async def upsert(self, rows: Sequence[Row], vectors: NDArray[np.float32]) -> None:
        """Write rows, replacing those with the same ids; safe to repeat.

        Args:
            rows: each id once.
            vectors: shape (len(rows), dimension), in the order of the rows.

        Raises:
            StoreRejectedError: Milvus refuses a row.
            CollectionGoneError: the collection was dropped; see ``is_gone``.
            TransientError: Milvus does not answer; whether it wrote is unknown.
        """
        async with self._writer.used() as writer:
            # With a time-out of its own pymilvus would retry until that; retrying is the caller's.
            with self._watched(Operation.UPSERT):
                async with asyncio.timeout(self._settings.store_timeout_seconds):
                    await writer.aupsert(
                        ids=[row.chunk_id for row in rows],
                        documents=[row.document for row in rows],
                        batch_size=len(rows),
                        embeddings=vectors,
                        retry_times=0,
                        retry_on_rate_limit=False,
                    )

    async def delete(self, ids: Sequence[str]) -> None:
        """Delete rows by primary key; rows that are not there are no error.

        By the synchronous client: the asynchronous one reports success when the server
        refused.

        Raises:
            CollectionGoneError: the collection was dropped; see ``is_gone``.
            TransientError: Milvus does not answer.
        """
        for at in range(0, len(ids), IDS_IN_ONE_DELETE):
            some = list(ids[at : at + IDS_IN_ONE_DELETE])
            await self._delete(ids=some)

    async def _delete(self, **which: Any) -> None:
        async with self._connection.used() as client:
            with self._watched(Operation.DELETE):
                await asyncio.to_thread(
                    client.delete,
                    self._physical,
                    **which,
                    timeout=self._settings.store_timeout_seconds,
                    retry_on_rate_limit=False,
                )

    async def delete_older(self, document_id: str, version: int) -> None:
        """Delete all rows of a document's older versions, whichever they are.

        By expression, which is slow: only for where the ledger does not know them.

        Raises:
            CollectionGoneError: the collection was dropped; see ``is_gone``.
            TransientError: Milvus does not answer.
        """
        older = f"document_id == {json.dumps(document_id)} and version < {version:d}"
        await self._delete(filter=older, consistency_level=STRONG)

    async def read(self, ids: Sequence[str], *, vectors: bool) -> dict[str, StoredRow]:
        """Read rows by primary key; rows that are not there are left out.

        Args:
            ids: in slices of ``IDS_IN_ONE_READ``, one after the other.
            vectors: whether vectors are wanted as well.

        Raises:
            CollectionGoneError: the collection was dropped; see ``is_gone``.
            TransientError: Milvus does not answer.
        """
        found: dict[str, StoredRow] = {}
        for at in range(0, len(ids), IDS_IN_ONE_READ):
            some = list(ids[at : at + IDS_IN_ONE_READ])
            async with self._connection.used() as client:
                with self._watched(Operation.QUERY):
                    found |= await asyncio.to_thread(self._read, client, some, vectors=vectors)
        return found

    def _read(self, client: MilvusClient, ids: list[str], *, vectors: bool) -> dict[str, StoredRow]:
        rows = client.query(
            self._physical,
            ids=ids,
            output_fields=[*_READ_FIELDS, VECTOR_FIELD] if vectors else _READ_FIELDS,
            timeout=self._settings.store_timeout_seconds,
            retry_on_rate_limit=False,
            consistency_level=STRONG,
        )
        return {str(row[PRIMARY_FIELD]): _stored(row) for row in rows}

    @contextlib.contextmanager
    def _watched(self, operation: Operation) -> Iterator[None]:
        begun = time.monotonic()
        try:
            with translated(self._settings):
                yield
        except CollectionGoneError:
            self.is_gone = True
            raise
        finally:
            self._observe(operation, time.monotonic() - begun)

    async def close(self) -> None:
        """Let go of the connections of this event loop, but the one that was handed in."""
        await self._writer.aclose()


async def _close(writer: ColumnarMilvus) -> None:
    """Do what langchain-milvus has no method for."""
    await asyncio.to_thread(writer.client.close)
    if writer._async_milvus_client is not None:  # noqa: SLF001 - making one to close it helps nobody
        await writer.aclient.close()


def _stored(row: Any) -> StoredRow:
    fields = dict(row)
    del fields[PRIMARY_FIELD]
    vector = fields.pop(VECTOR_FIELD, None)
    return StoredRow(
        text=fields.pop(TEXT_FIELD),
        metadata=fields,
        vector=None if vector is None else np.asarray(vector, np.float32),
    )
