"""Tests of reading a reply in OpenAI's form."""

import base64

import numpy as np
import orjson
import pytest

from contract.errors import EmbeddingReplyError
from worker.embedding.openai_reply import read_reply


def packed(*values: float) -> str:
    """Pack a vector as the API does."""
    return base64.b64encode(np.array(values, dtype="<f4").tobytes()).decode()


def reply(*vectors: object, **rest: object) -> bytes:
    """A reply with these vectors in order."""
    data = [{"index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    return orjson.dumps({"data": data, **rest})


@pytest.mark.parametrize(
    "content",
    [reply(packed(1, 2), packed(3, 4)), reply([1, 2], [3, 4.0])],
    ids=["base64", "floats"],
)
def test_both_encodings_give_the_same(content: bytes) -> None:
    """Base64 and lists of numbers give the same array, which can be written to."""
    vectors, tokens = read_reply(content, 2, "http://e")
    assert vectors.tolist() == [[1, 2], [3, 4]]
    assert vectors.dtype == np.float32
    assert vectors.flags.writeable
    assert tokens is None


def test_usage_is_read() -> None:
    """The tokens that the endpoint counted are given back."""
    assert read_reply(reply([1.0], usage={"prompt_tokens": 5}), 1, "http://e")[1] == 5


@pytest.mark.parametrize(
    "content",
    [
        b"<html>",
        b"",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b'{"data": null}',
        b'{"data": [null]}',
        b'{"data": [{"index": 0}]}',
        b'{"data": [{"embedding": [1.0]}]}',
        reply("!!!!"),
        reply("\u00e4\u00e4\u00e4\u00e4"),
        reply(base64.b64encode(b"12345").decode()),
        reply({"a": 1}),
    ],
)
def test_other_replies_are_refused(content: bytes) -> None:
    """Whatever else comes back is refused as a reply that can't be used."""
    with pytest.raises(EmbeddingReplyError):
        read_reply(content, 1, "http://e")


@pytest.mark.parametrize(
    "second",
    [packed(1, 2, 3), [1.0, 2.0]],
    ids=["longer", "not packed"],
)
def test_mixed_vectors_are_refused(second: object) -> None:
    """All vectors of a reply have the same form and length."""
    with pytest.raises(EmbeddingReplyError):
        read_reply(reply(packed(1, 2), second), 2, "http://e")
