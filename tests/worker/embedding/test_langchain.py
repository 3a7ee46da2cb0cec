"""Tests of embedding by a class of the user's own."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from contract.errors import (
    EmbeddingRefusedError,
    EmbeddingReplyError,
    TimedOutError,
    TransientError,
    UsageError,
)
from headrace.bench.vectors import HashedWords
from tests.servers.endpoint import FakeEndpoint
from worker.embedding.langchain import LangChainEmbedder

MODULE = "embeddings_of_a_user"
SOURCE = '''
import asyncio
import langchain_core.embeddings as base
from contract.errors import EmbeddingRefusedError

class Lengths(base.Embeddings):
    """Text to [its length, its number of blanks]; some texts are orders."""

    def __init__(self, factor=1):
        self.factor = factor

    def embed_documents(self, texts):
        if "fail" in texts:
            raise RuntimeError("the model is out of order")
        if "refuse" in texts:
            raise EmbeddingRefusedError("not this one")
        if "short" in texts:
            return [[1.0, 2.0]]
        if "nan" in texts:
            return [[float("nan"), 0.0] for _ in texts]
        if "wide" in texts:
            return [[0.0] * 3 for _ in texts]
        return [[len(text) * self.factor, text.count(" ")] for text in texts]

    def embed_query(self, text):
        raise NotImplementedError

    async def aembed_documents(self, texts):
        if "hang" in texts:
            await asyncio.Event().wait()
        return self.embed_documents(texts)

class Picky(Lengths):
    def __init__(self, key):
        self.key = key

triple = Lengths(3)
number = 7

def factory():
    return Lengths()
'''


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A user's module on the path."""
    (tmp_path / f"{MODULE}.py").write_text(SOURCE)
    (tmp_path / "broken_module.py").write_text("1 / 0")
    (tmp_path / "needy_module.py").write_text("import package_that_is_not_there")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop(MODULE, None)


def embedder(name: str = "Lengths", dimensions: int | None = None) -> LangChainEmbedder:
    """An embedder of the user's module."""
    return LangChainEmbedder(f"{MODULE}:{name}", dimensions=dimensions, timeout_seconds=5)


async def test_class_is_made_and_used() -> None:
    """A class is called without arguments, and its vectors come in order, without tokens."""
    ours = embedder()
    embedded = await ours.embed(("a b", "four"))
    assert embedded.vectors.tolist() == [[3, 1], [4, 0]]
    assert embedded.tokens is None
    assert ours.dimensions == 2
    await ours.aclose()


async def test_instance_is_used_as_it_is() -> None:
    """An instance keeps the arguments that the user gave it."""
    assert (await embedder("triple").embed(["ab"])).vectors.tolist() == [[6, 0]]


async def test_no_texts() -> None:
    """No texts give no vectors, and fix no dimension."""
    ours = embedder()
    assert (await ours.embed([])).vectors.shape[0] == 0
    assert ours.dimensions is None


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("Lengths", "package.module:Name"),
        (f"{MODULE}.Lengths", "package.module:Name"),
        (f"{MODULE}:", "package.module:Name"),
        (":Lengths", "package.module:Name"),
        ("../x:Lengths", "package.module:Name"),
        (f"{MODULE}:Missing", "'Missing'"),
        ("no_such_module:Name", "no module 'no_such_module'.*PYTHONPATH"),
        ("needy_module:Name", "no module 'package_that_is_not_there'"),
        ("broken_module:Name", "ZeroDivisionError"),
        (f"{MODULE}:Picky", "without arguments"),
        (f"{MODULE}:number", "is a int, not a LangChain Embeddings"),
        (f"{MODULE}:factory", "is a function, not a LangChain Embeddings"),
    ],
)
def test_wrong_path_says_what_to_type(path: str, words: str) -> None:
    """A path to nothing usable is an error of use, with advice."""
    with pytest.raises(UsageError, match=words):
        LangChainEmbedder(path, dimensions=None, timeout_seconds=1)


@pytest.mark.parametrize("text", ["short", "nan", "wide"])
async def test_bad_vectors_are_refused(text: str) -> None:
    """Count, values and dimension are checked; the first dimension seen holds."""
    ours = embedder()
    await ours.embed(["good"])
    with pytest.raises(EmbeddingReplyError):
        await ours.embed([text, "other"])


async def test_configured_dimension_holds_from_the_start() -> None:
    """A model of another dimension than configured is found out at the first call."""
    with pytest.raises(EmbeddingReplyError, match="2 dimensions where 3"):
        await embedder(dimensions=3).embed(["a"])


async def test_exceptions_of_the_class_are_transient() -> None:
    """An exception of the user's class becomes one of ours, with the cause in its chain."""
    with pytest.raises(TransientError, match="RuntimeError: the model is out of order") as caught:
        await embedder().embed(["fail"])
    assert isinstance(caught.value.__cause__, RuntimeError)


async def test_our_own_errors_pass() -> None:
    """A class that knows our errors is taken at its word."""
    with pytest.raises(EmbeddingRefusedError):
        await embedder().embed(["refuse"])


async def test_time_out() -> None:
    """A call that takes too long ends, and a cancelled one stays cancelled."""
    ours = LangChainEmbedder(f"{MODULE}:Lengths", dimensions=None, timeout_seconds=0.05)
    with pytest.raises(TimedOutError):
        await ours.embed(["hang"])
    task = asyncio.create_task(embedder().embed(["hang"]))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_langchains_own_client_of_openai_works(
    tmp_path: Path, endpoint: FakeEndpoint
) -> None:
    """Whoever needs what only that class has names an instance of it."""
    (tmp_path / f"{MODULE}.py").write_text(
        "import openai\n"
        "from langchain_openai import OpenAIEmbeddings\n"
        "client = openai.DefaultAsyncHttpxClient()\n"
        f"plain = OpenAIEmbeddings(model='m', base_url={endpoint.url!r}, api_key='none',\n"
        "  check_embedding_ctx_length=False, http_async_client=client)\n"
    )
    texts = ["grain", "flour"]
    embedded = await embedder("plain").embed(texts)
    await sys.modules[MODULE].client.aclose()
    assert np.allclose(embedded.vectors, HashedWords(384).embed(texts), atol=1e-6)
