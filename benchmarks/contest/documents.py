"""The documents of a comparison, and the chunks that they are cut into."""

import json
import shutil
from pathlib import Path

import msgspec

from contract.batch import decode
from worker.store import Row, rows_of

_BOOKKEEPING = frozenset({"version", "content_hash", "chunk_key", "chunk_count"})
"""What rows carry for headrace's ledger: peers need not write it."""


def copy_first(corpus: Path, folder: Path, count: int) -> None:
    """Copy the first files of a corpus, by name; hidden ones do not count."""
    found = sorted(
        path
        for path in corpus.rglob("*")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(corpus).parts)
    )
    for path in found[:count]:
        copy = folder / path.relative_to(corpus)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def write_chunks(batches: Path, chunks: Path) -> None:
    """Write the chunks of encoded batches as a peer's program reads them."""
    payloads = msgspec.msgpack.decode(batches.read_bytes(), type=list[bytes])
    rows = [
        row for payload in payloads for part in decode(payload).parts for row in rows_of(part)
    ]  # fmt: skip
    chunks.write_text(json.dumps([_fields(row) for row in rows]), encoding="utf-8")


def _fields(row: Row) -> dict[str, object]:
    metadata = {k: v for k, v in row.document.metadata.items() if k not in _BOOKKEEPING}
    return {"id": row.chunk_id, "text": row.document.page_content, "metadata": metadata}
