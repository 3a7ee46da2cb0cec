"""What a collection holds, what the ledger says it holds, and what it should hold."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from redis import Redis

from contract.errors import DocumentError
from contract.ids import chunk_ids, document_id
from contract.names import Keys
from contract.settings import Settings, load_settings
from producers.document import Entry, Piece
from producers.sources.files import open_source
from producers.splitting import SplitOptions, split
from worker.milvus import connect

Pieces: TypeAlias = tuple[Piece, ...]

_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Servers:
    """Where a collection's rows and its ledger are."""

    redis_url: str
    milvus_uri: str

    def rows(self, collection: str) -> list[str]:
        """Read the ids of all rows."""
        return [row["chunk_id"] for row in self._read(collection, "chunk_id")]

    def metadata(self, collection: str, field: str) -> dict[str, Any]:
        """Read one field of each document's rows, of which one is as good as the other."""
        rows = self._read(collection, "document_id", field)
        return {row["document_id"]: row[field] for row in rows}

    def _read(self, collection: str, *fields: str) -> list[dict[str, Any]]:
        client = connect(Settings.model_validate({"milvus_uri": self.milvus_uri}))
        try:
            client.load_collection(collection)  # Milvus Lite forgets that at a restart
            pages = client.query_iterator(
                collection,
                batch_size=_PAGE,
                output_fields=list(fields),
                consistency_level="Strong",
            )
            rows: list[dict[str, Any]] = []
            while page := pages.next():
                rows += page
            pages.close()
            found = client.query(collection, output_fields=["count(*)"], consistency_level="Strong")
            assert found[0]["count(*)"] == len(rows)
            return rows
        finally:
            client.close()

    def documents(self, collection: str) -> dict[str, dict[str, str]]:
        """Read what the ledger knows of each document."""
        with Redis.from_url(
            self.redis_url, decode_responses=True, encoding_errors="surrogateescape"
        ) as redis:
            prefix = Keys(collection).document("")
            keys = redis.scan_iter(match=prefix.replace("{", "[{]") + "*", count=1_000)
            return {key.removeprefix(prefix): redis.hgetall(key) for key in keys}

    def committed(self, collection: str) -> set[str]:
        """Name the rows that the ledger says are there."""
        return {
            chunk_id
            for document, fields in self.documents(collection).items()
            if "committed" in fields
            for chunk_id in chunk_ids(
                document, int(fields["committed"]), range(int(fields["committed_count"]))
            )
        }

    def assert_holds(self, collection: str, chunks: dict[str, int]) -> None:
        """Fail unless the rows are exactly those of these documents, each once.

        Args:
            collection: its name.
            chunks: document id -> number of chunks.
        """
        rows = self.rows(collection)
        twice = [row for row, times in Counter(rows).items() if times > 1]
        assert not twice, f"rows that are there twice: {twice[:5]}"
        assert Counter(row.partition(":")[0] for row in rows) == Counter(chunks)
        assert set(rows) == self.committed(collection)


def pieces_of(folder: Path, settings: Settings | None = None) -> Iterator[tuple[str, Pieces]]:
    """Read, parse and split a folder here: id and pieces of each document that has some."""
    settings = settings or load_settings({}, folder)
    options = SplitOptions.of(settings)
    source = open_source(str(folder))
    for entry in source.listing():
        if not isinstance(entry, Entry) or entry.size_bytes > settings.max_document_bytes:
            continue
        try:
            document = source.parse(entry, Path(str(entry.path)).read_bytes())
        except DocumentError:
            continue
        if pieces := split(document, options):
            yield document_id(source.name, entry.key_bytes), pieces


def chunks_of(folder: Path, settings: Settings | None = None) -> dict[str, int]:
    """Read, parse and split a folder here: document id -> number of chunks."""
    return {document: len(pieces) for document, pieces in pieces_of(folder, settings)}
