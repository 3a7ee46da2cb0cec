"""The local model embeds by meaning, in order, beside the event loop."""

import asyncio
import hashlib
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contract.errors import EmbeddingRefusedError
from worker.embedding.fused import fused_model_path
from worker.embedding.graph import WEIGHTS_SHA256
from worker.embedding.local import (
    DIMENSIONS,
    MAX_TOKENS,
    REVISION,
    LocalEmbeddings,
    default_model_folder,
)

QUESTION = "How can I restart a worker without losing messages?"
PARAPHRASE = "Bringing a queue consumer down and up again so that no message is lost."
UNRELATED = "Bake the bread for forty minutes in a hot oven."


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder for the fused graph."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def local(folder: Path) -> Iterator[LocalEmbeddings]:
    """Load the model once for all tests."""
    embeddings = LocalEmbeddings(model_folder=folder)
    embeddings.warm_up()
    yield embeddings
    embeddings.close()


def too_long(count: int) -> list[str]:
    """Give different texts that are counted when they are embedded, because they are cut."""
    return [f"{number} " + "water " * MAX_TOKENS for number in range(count)]


def test_the_revision_is_the_digest_of_the_weights() -> None:
    """Rows say by which weights they were made, whichever graph ran."""
    assert WEIGHTS_SHA256[:12] == REVISION


async def test_a_paraphrase_is_nearer_than_another_subject(local: LocalEmbeddings) -> None:
    """Nearness is by meaning, not by words."""
    question, paraphrase, unrelated = await local.aembed_array([QUESTION, PARAPHRASE, UNRELATED])
    assert question @ paraphrase > question @ unrelated + 0.3


async def test_vectors_have_length_1_and_keep_the_order(local: LocalEmbeddings) -> None:
    """Each text gets its own vector, in the place of the text; equal texts get equal ones."""
    texts = [f"text number {number % 7}" for number in range(20)]
    vectors = await local.aembed_array(texts)
    assert vectors.shape == (20, DIMENSIONS)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    singles = [(await local.aembed_array([text]))[0] for text in texts]
    np.testing.assert_array_equal(vectors, singles)
    assert len(np.unique(vectors, axis=0)) == 7


async def test_nothing_gives_nothing(local: LocalEmbeddings) -> None:
    """No texts: an empty array of the right width, an empty list."""
    assert (await local.aembed_array([])).shape == (0, DIMENSIONS)
    assert await local.aembed_documents([]) == []
    assert local.embed_documents([]) == []


async def test_all_ways_give_the_same(local: LocalEmbeddings) -> None:
    """LangChain's four methods give what ``aembed_array`` gives, as lists of floats."""
    expected = (await local.aembed_array([QUESTION, UNRELATED])).tolist()
    assert await local.aembed_documents([QUESTION, UNRELATED]) == expected
    assert await asyncio.to_thread(local.embed_documents, [QUESTION, UNRELATED]) == expected
    assert await local.aembed_query(QUESTION) == expected[0]
    assert await asyncio.to_thread(local.embed_query, QUESTION) == expected[0]


async def test_a_long_text_is_cut_and_counted(local: LocalEmbeddings) -> None:
    """What exceeds MAX_TOKENS changes nothing but the count of cut texts."""
    fits = "wheel " * (MAX_TOKENS - 2)
    before = local.truncated_texts
    whole = await local.aembed_array([fits])
    assert local.truncated_texts == before
    cut = await local.aembed_array([fits + "and bread", fits + "and bread"])
    assert local.truncated_texts == before + 1
    np.testing.assert_array_equal(cut, np.concatenate([whole, whole]))


@pytest.mark.parametrize("text", ["", "\x00" * 1000, "\ud800", "x" * 1_000_000, "。" * 10_000])
async def test_hostile_texts_get_a_vector(local: LocalEmbeddings, text: str) -> None:
    """No string breaks the model."""
    vectors = await local.aembed_array([text])
    assert np.isfinite(vectors).all()


async def test_the_event_loop_turns_meanwhile(local: LocalEmbeddings) -> None:
    """Texts are embedded on threads of their own; the loop's is free."""
    embedding = asyncio.create_task(local.aembed_array([f"{UNRELATED} {n}" for n in range(40)]))
    turns = 0
    while not embedding.done():
        turns += 1
        await asyncio.sleep(0)
    assert len(await embedding) == 40
    assert turns > 40


async def test_cancelled_work_stops(local: LocalEmbeddings) -> None:
    """After a cancellation, the texts that waited are never embedded."""
    before = local.truncated_texts
    call = asyncio.create_task(local.aembed_array(too_long(2000)))
    await asyncio.sleep(0)  # the call begins
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await local.aembed_query(QUESTION)  # waits behind whatever is still queued
    assert local.truncated_texts - before < 100


async def test_a_failure_stops_the_rest(folder: Path) -> None:
    """A text that can't be embedded ends the call, and what waits behind it is dropped."""
    embeddings = LocalEmbeddings(threads=1, model_folder=folder)
    no_text: list[Any] = [None]
    try:
        with pytest.raises(TypeError):
            await embeddings.aembed_array(no_text + too_long(2000))
        await embeddings.aembed_query(QUESTION)
        assert embeddings.truncated_texts < 100
    finally:
        embeddings.close()


async def test_a_broken_fused_graph_falls_back_to_the_shipped_one(
    folder: Path,
    local: LocalEmbeddings,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A file that is whole but can't be loaded costs speed and one warning, no more."""
    path = fused_model_path(folder)
    assert path is not None
    stem = path.name.rsplit("-", 1)[0]
    content = b"no graph"
    digest = hashlib.sha256(content).hexdigest()[:16]
    (tmp_path / f"{stem}-{digest}.onnx").write_bytes(content)
    embeddings = LocalEmbeddings(threads=1, model_folder=tmp_path)
    try:
        with caplog.at_level(logging.INFO):
            shipped = await embeddings.aembed_array([QUESTION])
    finally:
        embeddings.close()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert float(shipped[0] @ (await local.aembed_array([QUESTION]))[0]) > 0.97


def test_closing_ends_the_threads(folder: Path) -> None:
    """A closed object leaves no thread behind and takes no more texts."""
    before = set(threading.enumerate())
    embeddings = LocalEmbeddings(threads=2, model_folder=folder)
    embeddings.embed_documents([QUESTION, UNRELATED])
    threads = set(threading.enumerate()) - before
    assert threads
    embeddings.close()
    assert not threads & set(threading.enumerate())
    with pytest.raises(RuntimeError, match="shutdown"):
        embeddings.embed_query(QUESTION)


async def test_an_overlong_text_is_refused_where_it_is_not_to_be_cut(folder: Path) -> None:
    """Nobody finds the end of a text that was cut without a word."""
    embeddings = LocalEmbeddings(threads=1, model_folder=folder, cuts=False)
    try:
        await embeddings.aembed_array(["word " * 254])
        with pytest.raises(EmbeddingRefusedError, match="254 tokens"):
            await embeddings.aembed_array(["word " * 255])
    finally:
        embeddings.close()


def test_the_default_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """XDG_CACHE_HOME is obeyed where it is absolute; else the folder is below ~/.cache."""
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache/someone")
    assert default_model_folder() == Path("/var/cache/someone/headrace")
    for relative in ("", "cache"):
        monkeypatch.setenv("XDG_CACHE_HOME", relative)
        assert default_model_folder() == Path("/home/someone/.cache/headrace")
