"""The check at rest, from outside: what Milvus and Redis hold against what they should.

Rows are read by a plain client, Redis by its keys; nothing of the product's own bookkeeping
is asked, except for the way it cuts a document.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymilvus import MilvusClient

from benchmarks.rig.expected import Passage
from contract.names import Keys

_PAGE = 1_000
_NAMED = 5
_FIELDS = ["chunk_id", "document_id", "version", "ordinal", "text", "start", "headings", "vector"]
_TOLERANCE = 1e-5

VectorsOf = Callable[[Sequence[str]], NDArray[np.float32]]
"""Embeds texts as the endpoint does."""
_ENDS = ("committed", "failed", "superseded", "cancelled")


@dataclass
class Judgement:
    """What is not as it should be; all zero and empty when nothing is."""

    lost: int = 0
    """Chunks that should be there and are not."""
    duplicates: int = 0
    """Rows beyond the first of a chunk."""
    stale: int = 0
    """Rows of an older version, of another text, or of a document that is gone."""
    differences: list[str] = field(default_factory=list)
    """Each in words: those, wrong counters, work that is left."""
    facts: dict[str, int] = field(default_factory=dict)
    """What was looked at: rows, documents, jobs, and the sums of the jobs' counters."""

    @property
    def good(self) -> bool:
        """Tell whether all is as it should be."""
        return not self.differences


@dataclass(frozen=True, slots=True)
class Expected:
    """What should be there.

    Attributes:
        passages: what each document should be, by its id; without the poison.
        poison: documents that must have a dead letter, and no rows.
        vectors_of: gives the vectors that texts should have.
    """

    passages: Mapping[str, Sequence[Passage]]
    poison: frozenset[str]
    vectors_of: VectorsOf


def judge(redis: Any, milvus_uri: str, collection: str, expected: Expected) -> Judgement:
    """Compare everything; ``redis`` is a client that gives text."""
    found = Judgement()
    rows = list(_rows(milvus_uri, collection))
    _compare_rows(found, rows, expected.passages)
    _compare_vectors(found, rows, expected.vectors_of)
    documents = _hashes(redis, Keys(collection).document(""))
    _compare_documents(found, rows, documents, expected)
    _look_for_rest(found, redis, collection, expected.poison)
    _count_jobs(found, redis, collection)
    found.facts["rows"] = len(rows)
    found.facts["documents"] = len(expected.passages)
    return found


def _rows(uri: str, collection: str) -> Iterator[dict[str, Any]]:
    client = MilvusClient(uri)
    try:
        client.load_collection(collection)
        pages = client.query_iterator(
            collection, batch_size=_PAGE, output_fields=_FIELDS, consistency_level="Strong"
        )
        number = 0
        while page := pages.next():
            number += len(page)
            yield from page
        pages.close()
        counted = client.query(collection, output_fields=["count(*)"], consistency_level="Strong")
        if counted[0]["count(*)"] != number:
            yield {"chunk_id": f"counted {counted[0]['count(*)']}, listed {number}"}
    finally:
        client.close()


def _compare_rows(
    found: Judgement, rows: Sequence[dict[str, Any]], passages: Mapping[str, Sequence[Passage]]
) -> None:
    twice = [row for row, times in Counter(row["chunk_id"] for row in rows).items() if times > 1]
    _note(found, "ids that are there twice", twice)
    newest: dict[str, int] = {}
    for row in rows:
        document = row.get("document_id", "")
        newest[document] = max(newest.get(document, 0), int(row.get("version", 0)))
    held: Counter[tuple[str, int]] = Counter()
    stale = []
    for row in rows:
        document, ordinal = row.get("document_id", ""), int(row.get("ordinal", -1))
        should = passages.get(document, ())
        right = (
            0 <= ordinal < len(should)
            and Passage(row["text"], row["start"], tuple(row["headings"])) == should[ordinal]
            and row["version"] == newest[document]
            and row["chunk_id"] == f"{document}:{row['version']}:{ordinal}"
        )
        if right:
            held[document, ordinal] += 1
        else:
            stale.append(row["chunk_id"])
    wanted = {(d, ordinal) for d, should in passages.items() for ordinal in range(len(should))}
    found.stale = len(stale)
    _note(found, "stale rows", stale)
    lost = sorted(wanted - set(held))
    found.lost = len(lost)
    _note(found, "lost chunks", [f"{document}:?:{ordinal}" for document, ordinal in lost])
    found.duplicates = sum(held.values()) - len(held)
    _note(found, "chunks that are there twice", [str(k) for k, n in held.items() if n > 1])


def _compare_vectors(
    found: Judgement, rows: Sequence[dict[str, Any]], vectors_of: VectorsOf
) -> None:
    listed = [row for row in rows if "vector" in row]
    if listed:
        held = np.array([row["vector"] for row in listed], dtype=np.float32)
        should = vectors_of([row["text"] for row in listed])
        right = np.abs(held - should).max(axis=1) < _TOLERANCE
        wrong = [row["chunk_id"] for row, good in zip(listed, right, strict=True) if not good]
        _note(found, "rows with the vector of another text", wrong)


def _compare_documents(
    found: Judgement,
    rows: Sequence[dict[str, Any]],
    documents: Mapping[str, Mapping[str, str]],
    expected: Expected,
) -> None:
    """Compare what the ledger says is committed with what is there."""
    versions = {row["document_id"]: str(row["version"]) for row in rows if "version" in row}
    wrong = []
    for document, fields in documents.items():
        count = int(fields.get("committed_count", 0)) if "committed" in fields else 0
        open_marks = [name for name in fields if name.startswith(("part:", "death:"))]
        through = fields.get("committed") == fields.get("wanted") and not open_marks
        if document in expected.poison:
            through = fields.get("withdrawn") == fields.get("wanted") and not open_marks
        same = not count or versions.get(document) == fields["committed"]
        if not through or not same or count != len(expected.passages.get(document, ())):
            wrong.append(f"{document} {dict(fields)}")
    _note(found, "documents whose ledger entry is wrong", wrong)
    unknown = [document for document in expected.passages if document not in documents]
    _note(found, "documents that the ledger does not know", unknown)


def _look_for_rest(found: Judgement, redis: Any, collection: str, poison: frozenset[str]) -> None:
    """Find work that is left, dead letters that should not be, and graves."""
    keys = Keys(collection)
    waiting = [*redis.zrange(keys.waiting, 0, -1), *redis.zrange(keys.leased, 0, -1)]
    _note(found, "batches that are unfinished", waiting)
    totals = {name: n for name, n in redis.hgetall(keys.totals).items() if n != "0"}
    _note(found, "totals that are not zero", [f"{name}={n}" for name, n in totals.items()])
    for what, prefix in (
        ("batches whose payload is kept", keys.batch("")),
        ("jobs with open documents", keys.open("")),
        ("jobs with parked batches", keys.parked("")),
    ):
        _note(found, what, list(_keys(redis, prefix)))
    letters = set(redis.hkeys(keys.dead))
    _note(found, "dead letters of documents that are no poison", sorted(letters - poison))
    _note(found, "poison without a dead letter", sorted(poison - letters))
    found.facts["graves"] = int(redis.zcard(keys.graves))


def _count_jobs(found: Judgement, redis: Any, collection: str) -> None:
    """Check each job's counters: what was promised has ended, one way or another."""
    sums: Counter[str] = Counter()
    wrong = []
    jobs = redis.zrange(Keys(collection).jobs, 0, -1)
    for job in jobs:
        fields = redis.hgetall(Keys(collection).job(job))
        count: Counter[str] = Counter({k: int(v) for k, v in fields.items() if v.isdigit()})
        sums.update({k: n for k, n in count.items() if k.startswith(("documents", "chunks", "ba"))})
        promised = sum(count[f"documents_{kind}"] for kind in ("new", "changed", "deleted"))
        ended = sum(count[f"documents_{end}"] for end in _ENDS)
        whole = not any(count[f"documents_{end}"] for end in _ENDS[1:])
        if promised != ended:
            wrong.append(f"{job}: {promised} documents promised, {ended} ended {fields}")
        if count["batches_published"] != count["batches_finished"]:
            wrong.append(f"{job}: batches {fields}")
        if whole and count["chunks"] != count["chunks_written"]:
            wrong.append(f"{job}: chunks {fields}")
    _note(found, "jobs whose counters are wrong", wrong)
    found.facts["jobs"] = len(jobs)
    found.facts |= {name: sums[name] for name in sorted(sums)}


def _hashes(redis: Any, prefix: str) -> dict[str, dict[str, str]]:
    return {key.removeprefix(prefix): redis.hgetall(key) for key in _keys(redis, prefix)}


def _keys(redis: Any, prefix: str) -> Iterator[str]:
    pattern = prefix.replace("{", "[{]") + "*"
    for key in redis.scan_iter(match=pattern, count=1_000):
        yield str(key)


def _note(found: Judgement, what: str, items: Sequence[str]) -> None:
    if items:
        more = f" and {len(items) - _NAMED} more" if len(items) > _NAMED else ""
        found.differences.append(f"{len(items)} {what}: {', '.join(items[:_NAMED])}{more}")
