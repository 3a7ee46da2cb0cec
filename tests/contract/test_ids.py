"""Names of things: the same for the same inputs, and only for those."""

import itertools
import re

from hypothesis import given
from hypothesis import strategies as st

from contract.ids import batch_id, chunk_id, chunk_ids, chunk_keys, content_hash, document_id

DIGEST = re.compile(r"[0-9a-f]{32}")
BatchParts = list[tuple[str, int, int, int]]
PARTS: st.SearchStrategy[BatchParts] = st.lists(
    st.tuples(st.text(max_size=4), st.integers(0), st.integers(0), st.integers(0)), max_size=3
)


def test_known_names() -> None:
    """Names never change from one release to the next: rows in Milvus carry them."""
    assert document_id("docs", b"a/b.md") == "cc274736ea818203dd54dd1b8c6bb277"
    assert content_hash(b"text", "v1") == "044aa555fb8ba569551e1dbb58ae7005"
    assert list(chunk_keys("d", ["a", "a"])) == [
        "b19a4dd4fe163400c2a516b0e7ee151b",
        "0802b91e8c7ab3a98327bdc27feeb450",
    ]
    assert batch_id("job", [("d", 1, 0, 2)]) == "d53ca21553dca7be4b4d1d2698e7d13e"
    assert chunk_id("d", 12, 3) == "d:12:3"


@given(st.text(), st.binary(), st.text(), st.binary())
def test_document_id(source: str, key: bytes, other_source: str, other_key: bytes) -> None:
    """Two documents have the same id only if source and key are the same."""
    assert DIGEST.fullmatch(document_id(source, key))
    same = (source, key) == (other_source, other_key)
    assert (document_id(source, key) == document_id(other_source, other_key)) is same


@given(st.text(min_size=1), st.binary())
def test_inputs_do_not_run_together(source: str, key: bytes) -> None:
    """Moving a character from one input to the next makes another name."""
    moved = document_id(source[:-1], source[-1].encode() + key)
    assert document_id(source, key) != moved


@given(st.binary(), st.text())
def test_kinds_of_names_differ(content: bytes, text: str) -> None:
    """A content's hash is no document's id, even of the same bytes."""
    assert content_hash(content, text) != document_id(text, content)


@given(st.text(), st.lists(st.sampled_from(["a", "b", "", "ab"])))
def test_chunk_keys(document: str, texts: list[str]) -> None:
    """Each text has a key of its own, also one that occurs again."""
    keys = list(chunk_keys(document, texts))
    assert len(set(keys)) == len(texts)
    assert all(DIGEST.fullmatch(key) for key in keys)


@given(st.text(), st.lists(st.sampled_from(["a", "b", "c"])), st.lists(st.sampled_from("xyz")))
def test_chunk_keys_stay(document: str, texts: list[str], more: list[str]) -> None:
    """A text keeps its key when other texts come, wherever they come."""
    keys = set(chunk_keys(document, texts))
    assert keys <= set(chunk_keys(document, [*more, *texts]))
    assert keys <= set(chunk_keys(document, [*texts, *more]))


@given(st.text(), st.integers(0), st.integers(0, 50))
def test_chunk_ids(document: str, version: int, count: int) -> None:
    """The rows of a version are its ordinals."""
    rows = list(chunk_ids(document, version, range(count)))
    assert rows == [chunk_id(document, version, ordinal) for ordinal in range(count)]
    assert len(set(rows)) == count


@given(PARTS, PARTS)
def test_batch_id(
    parts: list[tuple[str, int, int, int]], others: list[tuple[str, int, int, int]]
) -> None:
    """A batch is named by its job and its parts, in order."""
    assert batch_id("job", parts) == batch_id("job", iter(parts))
    assert batch_id("job", parts) != batch_id("other", parts)
    assert (batch_id("job", parts) == batch_id("job", others)) is (parts == others)
    if len(set(parts)) > 1:
        turned = next(p for p in itertools.permutations(parts) if list(p) != parts)
        assert batch_id("job", parts) != batch_id("job", turned)
