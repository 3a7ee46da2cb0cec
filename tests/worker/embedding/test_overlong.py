"""Promises of texts that a model reads only in part, and of counting tokens without network."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import EmbeddingRefusedError
from worker.embedding.overlong import Overlong
from worker.embedding.tokens import ByBytes, Cl100k

SENTENCE = "The miller's weir — 40 ells long — held the stream. "


def test_openai_models_are_counted_by_their_vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without network; the counts are those of OpenAI's tokenizer."""

    def refuse(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    count = Cl100k().count
    assert [count(text) for text in ("", "hello world", "tiktoken is great!")] == [0, 2, 6]
    assert count("<|endoftext|>") > 1, "nothing in a text is special"


def test_other_models_are_counted_by_bytes() -> None:
    """Rather too many than too few."""
    assert [ByBytes().count(text) for text in ("", "abc", "abcd", "ß")] == [0, 1, 2, 1]


def test_a_long_text_is_refused_or_cut() -> None:
    """As the user chose; and one that fits stays as it is."""
    whole = SENTENCE * 20
    tokens = Cl100k().count(whole)
    assert Overlong(tokens, "refuse", Cl100k()).fitted([whole, "short"]) == [whole, "short"]
    with pytest.raises(EmbeddingRefusedError, match=f"{tokens} tokens.* reads {tokens - 1}:"):
        Overlong(tokens - 1, "refuse", Cl100k()).fitted(["short", whole])
    short, cut = Overlong(50, "cut", Cl100k()).fitted(["short", whole])
    assert short == "short"
    assert whole.startswith(cut)
    assert Cl100k().count(cut) == 50


def test_without_a_limit_nothing_is_looked_at() -> None:
    """An endpoint whose limit nobody knows says itself what it refuses."""
    texts = ["x" * 1_000_000]
    assert Overlong(None, "refuse", ByBytes()).fitted(texts) is texts


def test_half_a_surrogate_pair_is_counted_and_cut() -> None:
    """It is the endpoint's client that refuses it, not the cutting."""
    assert ByBytes().count("\ud800" * 2) == 2
    assert ByBytes().cut("grain \ud800" * 9, 2) == "grain "


@given(st.text(max_size=60), st.integers(1, 20))
def test_a_cut_text_is_a_beginning_that_fits(text: str, tokens: int) -> None:
    """Also where a token ends in the middle of a character."""
    for way in (Cl100k(), ByBytes()):
        cut = way.cut(text, tokens)
        assert text.startswith(cut)
        assert way.count(cut) <= tokens or way.count(cut) <= way.count(text)
