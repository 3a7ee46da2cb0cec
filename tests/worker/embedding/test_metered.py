"""Embedding requests, counted by what was answered."""

import asyncio

import pytest

from contract.errors import (
    EmbeddingDeniedError,
    EmbeddingRefusedError,
    EmbeddingReplyError,
    HeadraceError,
    ThrottledError,
    TimedOutError,
    TransientError,
    UnreachableError,
)
from tests.worker.mill import POISON, Mill
from worker.embedding.metered import Code, MeteredEmbedder, code_of


class Count:
    """Notes what is told of requests."""

    def __init__(self) -> None:
        """Begin with none."""
        self.told: list[tuple[Code, float]] = []

    def __call__(self, code: Code, seconds: float) -> None:
        """Note one."""
        self.told.append((code, seconds))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ThrottledError("slow down"), Code.THROTTLED),
        (EmbeddingDeniedError("401"), Code.REFUSED),
        (EmbeddingRefusedError("400"), Code.REFUSED),
        (TransientError("409", None, 409), Code.REFUSED),
        (TransientError("503", 1.0, 503), Code.BROKEN),
        (TimedOutError("late"), Code.TIMEOUT),
        (UnreachableError("nobody"), Code.ERROR),
        (TransientError("a class of the user's own"), Code.ERROR),
        (EmbeddingReplyError("nonsense"), Code.ERROR),
    ],
)
def test_errors_tell_what_was_answered(error: HeadraceError, code: Code) -> None:
    """A request counts once, under one of a few codes."""
    assert code_of(error) is code


async def test_requests_are_counted_and_timed() -> None:
    """Those that go well and those that don't, but not a call without texts."""
    count, mill = Count(), Mill()
    ticks = iter([1.0, 1.5, 2.0, 4.0])
    embedder = MeteredEmbedder(mill, count, lambda: next(ticks))
    assert len((await embedder.embed(["a", "b"])).vectors) == 2
    with pytest.raises(EmbeddingRefusedError):
        await embedder.embed([POISON])
    await embedder.embed([])
    assert count.told == [(Code.WELL, 0.5), (Code.REFUSED, 2.0)]


async def test_a_request_that_nobody_waits_for_is_not_counted() -> None:
    """Cancelled, it says nothing of the endpoint."""
    count, mill = Count(), Mill()
    mill.gate.clear()
    asking = asyncio.create_task(MeteredEmbedder(mill, count).embed(["a"]))
    await mill.entered.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert count.told == []
