"""Calls on behalf of one batch."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from contract.errors import (
    CollectionGoneError,
    EmbeddingRefusedError,
    HeadraceError,
    LeaseLostError,
    ThrottledError,
    TimedOutError,
    TransientError,
    UsageError,
)
from worker.calls import Calls
from worker.outcome import Stage, Stopwatch
from worker.retrier import Retrier
from worker.retry import MAX_ATTEMPTS, RetryPolicy

QUICK = RetryPolicy(attempts=2, first_seconds=0.001, longest_seconds=0.001)


def calls(attempts: int = 0, timeout_seconds: float = 10.0) -> Calls:
    """Make the calls of a batch that has failed so often before."""
    return Calls(Retrier(QUICK, {}), Stopwatch(), timeout_seconds, attempts)


def failing(*errors: Exception) -> Callable[[], Awaitable[str]]:
    """Give a call that raises these, one after the other, and then succeeds."""
    left = list(errors)

    async def call() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return call


async def test_a_call_is_repeated() -> None:
    """A failure that passes is counted, and the result comes back."""
    made = calls()
    assert await made.make(Stage.READ, failing(TransientError("away"))) == "done"
    assert made.watch.retries == {(Stage.READ, "TransientError"): 1}


async def test_a_call_that_never_ends_is_cut() -> None:
    """Each attempt has its time; what is said is ours."""

    async def hang() -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimedOutError, match=r"embed took longer than 0\.01 s"):
        await calls(timeout_seconds=0.01).make(Stage.EMBED, hang)


async def test_what_nobody_thought_of_is_transient() -> None:
    """It is tried again; its words, which may be anything, are not passed on."""
    assert await calls().make(Stage.WRITE, failing(KeyError("secret"))) == "done"
    with pytest.raises(TransientError) as raised:
        await calls().make(Stage.WRITE, failing(KeyError("secret"), KeyError("secret")))
    assert str(raised.value) == "write failed: KeyError"


@pytest.mark.parametrize(
    "error", [LeaseLostError("x"), UsageError("x"), EmbeddingRefusedError("x")]
)
async def test_our_own_errors_pass(error: HeadraceError) -> None:
    """What is no passing trouble is not repeated."""
    with pytest.raises(type(error)):
        await calls().make(Stage.WRITE, failing(error))


async def test_the_ledger_s_errors_pass() -> None:
    """An outage of Redis is no failure of the call."""
    with pytest.raises(RedisConnectionError):
        await calls().make(Stage.WRITE, failing(RedisConnectionError("away")))


@pytest.mark.parametrize(
    ("error", "at_first", "worn_out"),
    [
        (EmbeddingRefusedError("no"), True, True),
        (TransientError("500"), False, True),
        (TimedOutError("slow"), False, True),
        (ThrottledError("429"), False, False),
        (CollectionGoneError("dropped"), False, False),
        (UsageError("wrong"), False, False),
        (LeaseLostError("lost"), False, False),
    ],
)
def test_whose_fault_it_is(error: HeadraceError, *, at_first: bool, worn_out: bool) -> None:
    """A refusal is the batch's; what might pass, only when it never does."""
    assert calls(MAX_ATTEMPTS - 1).blames(error) is at_first
    assert calls(MAX_ATTEMPTS).blames(error) is worn_out
