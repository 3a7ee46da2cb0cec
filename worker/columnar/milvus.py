"""``langchain_milvus.Milvus`` with asynchronous writes that build each request by columns."""

from collections.abc import Sequence
from typing import Any, cast

from langchain_core.documents import Document
from langchain_milvus import Milvus
from pymilvus import MilvusException

from worker.columnar.columns import FieldNames, Rows, UnfitError, add_columns
from worker.columnar.layout import layout_of
from worker.columnar.vectors import Vectors
from worker.columnar.wire import InsertRequest, UpsertRequest, schema_of, send

MESSAGE_BYTES = 32 * 1024 * 1024
"""A batch that makes a larger message is sent in several; servers take 64 MiB."""

_NO_COLLECTION = 100
_OPTIONS = {
    "client_request_id",
    "log_level",
    "partition_name",
    "retry_on_rate_limit",
    "retry_times",
    "timeout",
}
"""Those of ``AsyncMilvusClient.insert`` and ``upsert`` that are served."""


class ColumnarMilvus(Milvus):
    """A store for any LangChain program: made, asked and deleted from like ``Milvus``.

    ``aadd_documents``, ``aadd_embeddings`` and ``aupsert`` take vectors as a NumPy array, given
    with the call or by the embedding function, and write it without making Python floats of it.
    Rows and errors are those of the plain class, whose way is taken by what columns do not
    serve. Two things differ: whether the collection is there is not asked before each insert
    (it is made when the server says that it is not), and no error is logged with a row's text.
    """

    async def aadd_documents(
        self, documents: list[Document], *, embeddings: Vectors | None = None, **kwargs: Any
    ) -> list[str]:
        """Insert documents.

        Args:
            documents: their own ids do not count.
            embeddings: shape (documents, dimension); None: the embedding function makes them.
            kwargs: of ``aadd_embeddings``, ``ids`` among them.

        Returns:
            The ids.

        Raises:
            MilvusException: refused, or no answer; earlier batches may be written.
        """
        if embeddings is None:
            return await super().aadd_documents(documents, **kwargs)
        if not self.auto_id:
            _check(documents, kwargs.get("ids") or [], embeddings)
        return await self.aadd_embeddings(
            [document.page_content for document in documents],
            embeddings,
            [document.metadata for document in documents],
            **kwargs,
        )

    async def aadd_embeddings(
        self,
        texts: list[str],
        embeddings: Vectors | list[list[list[float]]],
        metadatas: list[dict[str, Any]] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - of the plain class
        batch_size: int = 1000,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Insert texts whose vectors are there.

        Args:
            texts: what is stored as text.
            embeddings: shape (texts, dimension).
            metadatas: one for each text; None: no text has any.
            timeout: seconds for each batch.
            batch_size: rows.
            ids: primary keys, one for each text.
            kwargs: of ``AsyncMilvusClient.insert``.

        Returns:
            The ids.

        Raises:
            MilvusException: refused, or no answer; earlier batches may be written.
        """
        told = [{} for _ in texts] if metadatas is None else metadatas
        rows = Rows(ids or [], texts, told, cast("Vectors", embeddings))
        # No fields: the collection was not there, and is to be made without an error in the log.
        if self._is_columnar and self.fields and rows.are_even:
            try:
                return await self._write_all(
                    InsertRequest, rows, batch_size, timeout=self.timeout or timeout, **kwargs
                )
            except MilvusException as error:
                if error.code != _NO_COLLECTION:
                    raise
        return await super().aadd_embeddings(
            texts, list(embeddings), metadatas, timeout, batch_size, ids=ids, **kwargs
        )

    async def aupsert(
        self,
        ids: list[str] | None = None,
        documents: list[Document] | None = None,
        batch_size: int = 1000,
        timeout: float | None = None,  # noqa: ASYNC109 - of the plain class
        *,
        embeddings: Vectors | None = None,
        **kwargs: Any,
    ) -> None:
        """Write documents, each in place of the row that has its id; without ids: insert them.

        Args:
            ids: primary keys, one for each document.
            documents: their own ids do not count.
            batch_size: rows.
            timeout: seconds for each batch.
            embeddings: shape (documents, dimension); None: the embedding function makes them.
            kwargs: of ``AsyncMilvusClient.upsert``.

        Raises:
            MilvusException: refused, or no answer; earlier batches may be written.
        """
        if not documents or (embeddings is None and not (ids and self._is_columnar)):
            await super().aupsert(ids, documents, batch_size, timeout, **kwargs)
        elif not ids:
            await self.aadd_documents(documents, embeddings=embeddings, **kwargs)
        else:
            texts = [document.page_content for document in documents]
            if embeddings is None:
                embeddings = await self._embedded(texts)
            _check(documents, ids, embeddings)
            rows = Rows(ids, texts, [document.metadata for document in documents], embeddings)
            await self._write_all(
                UpsertRequest, rows, batch_size, timeout=self.timeout or timeout, **kwargs
            )

    @property
    def _is_columnar(self) -> bool:
        """Whether rows are what documents have, and one vector each from the outside."""
        return not (
            self.auto_id
            or self.builtin_func
            or self._is_multi_vector
            or (self._metadata_field and not self.enable_dynamic_field)
        )

    async def _embedded(self, texts: list[str]) -> Any:
        function: Any = self.embedding_func
        try:
            return await function.aembed_documents(texts)
        except NotImplementedError:
            return [await function.aembed_query(text) for text in texts]

    async def _write_all(
        self,
        kind: type[InsertRequest | UpsertRequest],
        rows: Rows,
        batch_size: int,
        **kwargs: Any,
    ) -> list[Any]:
        keys: list[Any] = []
        for at in range(0, len(rows), batch_size):
            keys += await self._write(kind, rows[at : at + batch_size], **kwargs)
        return keys

    async def _write(
        self, kind: type[InsertRequest | UpsertRequest], rows: Rows, **kwargs: Any
    ) -> list[Any]:
        """Write a batch: as one message, in halves if that is too large, or as plain rows."""
        request = await self._request(kind, rows, **kwargs)
        if request is not None and len(rows) > 1 and request.ByteSize() > MESSAGE_BYTES:
            del request
            middle = len(rows) // 2
            keys = await self._write(kind, rows[:middle], **kwargs)
            return keys + await self._write(kind, rows[middle:], **kwargs)
        sent = None if request is None else await send(self.aclient, request, **kwargs)
        return await self._write_plainly(kind, rows, **kwargs) if sent is None else sent

    async def _request(
        self, kind: type[InsertRequest | UpsertRequest], rows: Rows, **kwargs: Any
    ) -> InsertRequest | UpsertRequest | None:
        """Make the message that writes rows; None where columns do not serve."""
        if not kwargs.keys() <= _OPTIONS:
            return None
        schema = await schema_of(self.aclient, self.collection_name, **kwargs)
        layout = layout_of(schema)
        if layout is None:
            return None
        partition = kwargs.get("partition_name")
        request = kind(
            collection_name=self.collection_name,
            partition_name=partition if isinstance(partition, str) else "",
            num_rows=len(rows),
            schema_timestamp=layout.timestamp,
        )
        names = FieldNames(self._primary_field, self._text_field, str(self._vector_field))
        kept = None if self.enable_dynamic_field else frozenset(self.fields)
        try:
            add_columns(request, rows, layout, names, kept)
        except UnfitError:
            return None
        if self.enable_dynamic_field:
            self._dynamic_fields.update(*rows.metadatas)
        return request

    async def _write_plainly(
        self, kind: type[InsertRequest | UpsertRequest], rows: Rows, **kwargs: Any
    ) -> list[Any]:
        """Write a batch as the plain class does."""
        vectors: Any = (
            zip(*rows.vectors, strict=True) if self._is_multi_embedding else [rows.vectors]
        )
        entities = self._prepare_insert_list(
            list(rows.texts),
            [list(each) for each in vectors],
            [dict(each) for each in rows.metadatas],
            list(rows.ids),
            force_ids=True,
        )
        call = self.aclient.upsert if kind is UpsertRequest else self.aclient.insert
        return list((await call(self.collection_name, entities, **kwargs)).get("ids", ()))


def _check(documents: Sequence[Document], ids: Sequence[str], embeddings: Vectors) -> None:
    """Raise what the plain class raises for lists that do not belong together."""
    if len(set(ids)) != len(documents):
        raise AssertionError("Different lengths of documents and unique ids are provided.")
    if len(embeddings) != len(documents):
        raise AssertionError("Mismatched lengths of texts and embeddings.")
