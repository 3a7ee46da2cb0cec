"""Measures what a row costs the client that writes it: the plain class beside columns.

``python benchmarks/columns.py`` starts Milvus Lite, and the real server where its wheel runs, and
prints the CPU time of ``aupsert`` a row, medians of rounds in which both stores take turns.
Vectors are there as a NumPy array; the plain class is given its rows.
"""

import argparse
import asyncio
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_milvus import Milvus
from numpy.typing import NDArray
from pymilvus import DataType, MilvusClient

from tests.servers.milvus import NoServerHereError, milvus_lite, milvus_server
from worker.columnar.milvus import ColumnarMilvus

ROWS = 256
"""In one write."""
WRITES = 4
"""In one measurement."""
DIMENSIONS = (384, 1536)
CHARACTERS = (600, 2_000)


class Given(Embeddings):
    """Vectors that are there already."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self._rows: Any = list(vectors)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:  # noqa: ARG002
        """Give them."""
        found: list[list[float]] = self._rows
        return found

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Give them, without a thread."""
        return self.embed_documents(texts)

    def embed_query(self, text: str) -> list[float]:
        """Give the first."""
        return self.embed_documents([text])[0]


def main() -> int:
    """Measure everything, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, prog="benchmarks/columns.py")
    parser.add_argument("--rounds", type=int, default=9, help="measurements of each store")
    rounds = parser.parse_args().rounds
    print("CPU us a row (client): median (lowest - highest)")
    print(f"{'server':8}{'dim':>6}{'chars':>7}{'plain':>22}{'columns':>22}{'ratio':>7}")
    for name, uri in _servers():
        for dimension in DIMENSIONS:
            for characters in CHARACTERS:
                plain, columns = asyncio.run(_measure(uri, dimension, characters, rounds))
                ratio = statistics.median(plain) / statistics.median(columns)
                print(
                    f"{name:8}{dimension:6}{characters:7}{_told(plain):>22}{_told(columns):>22}"
                    f"{ratio:7.1f}",
                    flush=True,
                )
    return 0


def _servers() -> Iterator[tuple[str, str]]:
    with tempfile.TemporaryDirectory(prefix="headrace-columns-") as folder:
        with milvus_lite(Path(folder) / "lite") as lite:
            yield "Lite", lite.uri
        with contextlib.ExitStack() as stack:
            (Path(folder) / "server").mkdir()
            try:
                uri = stack.enter_context(milvus_server(Path(folder) / "server"))
            except NoServerHereError as error:
                print(f"no real server here: {error}", file=sys.stderr)
            else:
                yield "2.3.5", uri


async def _measure(
    uri: str, dimension: int, characters: int, rounds: int
) -> tuple[list[float], list[float]]:
    """Give the microseconds a row of each round, of the plain store and of columns."""
    vectors = np.random.default_rng(0).random((ROWS, dimension), np.float32)
    documents = [_document(at, characters) for at in range(ROWS)]
    ids = [f"{at:032}" for at in range(ROWS)]
    found: tuple[list[float], list[float]] = ([], [])
    with contextlib.closing(MilvusClient(uri, dedicated=True)) as client:
        stores = [
            _store(kind, client, uri, vectors) for kind in (Milvus, ColumnarMilvus)
        ]  # fmt: skip
        given: Sequence[dict[str, Any]] = ({}, {"embeddings": vectors})
        for turn in range(rounds + 1):
            for store, options, seconds in zip(stores, given, found, strict=True):
                begun = time.process_time()
                for _ in range(WRITES):
                    await store.aupsert(ids, documents, ROWS, **options)
                if turn:  # the first one reads the schema, and warms up
                    seconds.append((time.process_time() - begun) / (ROWS * WRITES) * 1e6)
        for store in stores:
            await store.aclient.close()
            store.client.close()
            client.drop_collection(store.collection_name)
    return found


def _document(at: int, characters: int) -> Document:
    metadata = {
        "document_id": f"{at // 8:032}",
        "version": 1_700_000_000_000,
        "ordinal": at % 8,
        "path": f"handbook/chapter-{at}.md",
        "headings": ["The mill", "Its wheel"],
    }
    return Document(page_content=("grain " * characters)[:characters], metadata=metadata)


def _store(
    kind: type[Milvus], client: MilvusClient, uri: str, vectors: NDArray[np.float32]
) -> Milvus:
    name = f"bench_{kind.__name__}"
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=True)
    schema.add_field("pk", DataType.VARCHAR, is_primary=True, max_length=64)
    schema.add_field("text", DataType.VARCHAR, max_length=65_535)
    schema.add_field("document_id", DataType.VARCHAR, max_length=64)
    schema.add_field("version", DataType.INT64)
    schema.add_field("ordinal", DataType.INT64)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=vectors.shape[1])
    index = MilvusClient.prepare_index_params()
    index.add_index("vector", index_type="FLAT", metric_type="L2")
    client.create_collection(name, schema=schema, index_params=index)
    return kind(
        embedding_function=Given(vectors),
        collection_name=name,
        connection_args={"uri": uri, "dedicated": True},
        enable_dynamic_field=True,
    )


def _told(figures: list[float]) -> str:
    return f"{statistics.median(figures):.1f} ({min(figures):.1f} - {max(figures):.1f})"


if __name__ == "__main__":
    sys.exit(main())
