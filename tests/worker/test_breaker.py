"""Promises of a breaker, on virtual time."""

import asyncio
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import (
    EmbeddingDeniedError,
    EmbeddingRefusedError,
    ThrottledError,
    UnreachableError,
)
from tests.worker.virtual_time import on_virtual_time
from worker.breaker import (
    GRACE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    QUICK_SECONDS,
    SLOW_SECONDS,
    AbandonedError,
    Breaker,
    Circuit,
    Dependency,
    pause_seconds,
)


class Server:
    """A server that can be away, hang, or be slow."""

    def __init__(self) -> None:
        """Be there."""
        self.error: Exception | None = None
        self.seconds = 0.0
        self.asked = 0
        self.changes: list[tuple[Dependency, bool, str]] = []
        self.breaker = Breaker(
            Dependency.MILVUS,
            self.probe,
            now=lambda: asyncio.get_running_loop().time(),
            on_change=lambda *change: self.changes.append(change),
        )

    async def probe(self) -> None:
        """Answer a canary."""
        self.asked += 1
        await asyncio.sleep(self.seconds)
        if self.error is not None:
            raise self.error


def now() -> float:
    """Tell the time."""
    return asyncio.get_running_loop().time()


@given(failures=st.integers(1, 10_000))
def test_pauses_grow_to_three_seconds(failures: int) -> None:
    """Canaries begin half a second apart, and are never more than three apart."""
    assert 0.5 <= pause_seconds(failures) <= 3.0
    assert pause_seconds(1) == 0.5
    assert pause_seconds(failures + 1) >= pause_seconds(failures)


def test_a_circuit_counts_outages_once() -> None:
    """Many may find the same outage; it is one, and its length is known."""
    circuit = Circuit()
    assert circuit.opened("away", 10.0)
    assert not circuit.opened("away as well", 11.0)
    assert (circuit.is_open, circuit.trouble, circuit.outages) == (True, "away", 1)
    assert circuit.closed(15.0) == 5.0
    assert circuit.closed(16.0) is None
    assert (circuit.is_open, circuit.trouble, circuit.outages) == (False, "", 1)


@on_virtual_time
async def test_a_healthy_server_changes_nothing() -> None:
    """The canary comes back: the breaker stays closed."""
    server = Server()
    assert await server.breaker.is_healthy()
    assert not server.breaker.is_open
    await server.breaker.closed()
    assert server.changes == []


@on_virtual_time
async def test_many_share_one_canary() -> None:
    """Callers that fail at the same time send one canary between them."""
    server = Server()
    server.seconds = 1.0
    answers = await asyncio.gather(*(server.breaker.is_healthy() for _ in range(20)))
    assert answers == [True] * 20
    assert server.asked == 1


@on_virtual_time
async def test_who_gives_up_waiting_does_not_take_the_canary_along() -> None:
    """A cancelled caller leaves the canary to the others."""
    server = Server()
    server.seconds = 1.0
    first = asyncio.create_task(server.breaker.is_healthy())
    second = asyncio.create_task(server.breaker.is_healthy())
    await asyncio.sleep(0.5)
    first.cancel()
    assert await second
    assert server.asked == 1


@on_virtual_time
async def test_an_outage_opens_and_its_end_closes(caplog: pytest.LogCaptureFixture) -> None:
    """It opens at once, closes within seconds of the return, and tells of both once."""
    caplog.set_level(logging.INFO)
    server = Server()
    server.error = UnreachableError("milvus at mill:1 can't be reached")
    assert not any(await asyncio.gather(*(server.breaker.is_healthy() for _ in range(5))))
    assert server.breaker.is_open
    assert server.breaker.trouble == "milvus at mill:1 can't be reached"
    waiting = [asyncio.create_task(server.breaker.closed()) for _ in range(8)]
    await asyncio.sleep(120)
    assert not any(task.done() for task in waiting)
    assert server.asked < 2 * 130 / LONGEST_PAUSE_SECONDS, "canaries are no hammer"
    server.error = None
    back = now()
    await asyncio.gather(*waiting)
    assert now() - back <= LONGEST_PAUSE_SECONDS
    assert not server.breaker.is_open
    assert server.breaker.trouble == ""
    assert [change[:2] for change in server.changes] == [
        (Dependency.MILVUS, True),
        (Dependency.MILVUS, False),
    ]
    events = [getattr(record, "event", "") for record in caplog.records]
    assert events == ["breaker_opened", "breaker_closed"]
    opened = caplog.records[0].__dict__
    assert (opened["dependency"], opened["reason"]) == ("milvus", server.changes[0][2])
    asked = server.asked
    await asyncio.sleep(60)
    assert server.asked == asked, "after an outage there are no canaries"


@on_virtual_time
async def test_it_opens_again_and_again() -> None:
    """Nothing needs to be reset after an outage."""
    server = Server()
    for outage in range(1, 4):
        server.error = UnreachableError("away")
        assert not await server.breaker.is_healthy()
        assert server.breaker.outages == outage
        server.error = None
        await server.breaker.closed()
    assert await server.breaker.is_healthy()


@pytest.mark.parametrize(
    ("error", "healthy"),
    [
        (ThrottledError("slow down"), True),
        (EmbeddingDeniedError("wrong key"), False),
        (EmbeddingRefusedError("no such dimension"), False),
        (RuntimeError("a bug in a client"), False),
        (TimeoutError(), False),
    ],
)
def test_what_a_canary_may_say(error: Exception, *, healthy: bool) -> None:
    """A throttled canary lives; one that is refused, in whatever way, does not."""

    @on_virtual_time
    async def ask() -> None:
        server = Server()
        server.error = error
        assert await server.breaker.is_healthy() is healthy
        await asyncio.sleep(60)
        assert server.breaker.is_open is not healthy
        await server.breaker.aclose()

    ask()


@on_virtual_time
async def test_a_server_that_is_only_slow_is_let_in_again() -> None:
    """A canary that needs longer than the quick ones are given still comes back."""
    server = Server()
    server.seconds = 3 * QUICK_SECONDS
    assert not await server.breaker.is_healthy()
    begun = now()
    await server.breaker.closed()
    assert now() - begun == pytest.approx(3 * QUICK_SECONDS)


@on_virtual_time
async def test_a_call_that_hangs_raises_suspicion() -> None:
    """After a while a canary is sent; if it fails, the breaker opens while the call goes on."""
    server = Server()
    server.error = UnreachableError("away")
    async with server.breaker.watched():
        await asyncio.sleep(SLOW_SECONDS - 1)
        assert server.asked == 0
        await asyncio.sleep(2)
        assert server.breaker.is_open
    assert not server.breaker.is_open, "a call that succeeds ends the outage"
    assert server.changes[-1] == (Dependency.MILVUS, False, "a call succeeded")


@on_virtual_time
async def test_suspicion_comes_back() -> None:
    """A server that goes away in the middle of a long call is found out as well."""
    server = Server()
    async with server.breaker.watched():
        await asyncio.sleep(3.5 * SLOW_SECONDS)
        assert not server.breaker.is_open
        server.error = UnreachableError("away")
        await asyncio.sleep(SLOW_SECONDS)
        assert server.breaker.is_open


@on_virtual_time
async def test_a_call_that_is_only_slow_is_left_alone() -> None:
    """While canaries come back, a call may take as long as it likes."""
    server = Server()
    async with server.breaker.watched():
        await asyncio.sleep(20 * SLOW_SECONDS)
    assert server.changes == []


@on_virtual_time
async def test_a_call_that_outlasts_the_outage_is_ended() -> None:
    """The server is back, but has forgotten the request: waiting on would be in vain."""
    server = Server()
    server.seconds = 10_000.0  # hangs
    back = 0.0

    async def come_back() -> None:
        nonlocal back
        await asyncio.sleep(120)
        server.seconds, back = 0.0, now()

    returning = asyncio.create_task(come_back())
    with pytest.raises(AbandonedError):
        async with server.breaker.watched():
            await asyncio.sleep(100_000)
    assert now() - back <= QUICK_SECONDS + LONGEST_PAUSE_SECONDS + GRACE_SECONDS
    assert not server.breaker.is_open
    await returning


@on_virtual_time
async def test_a_calls_own_time_out_is_its_own() -> None:
    """A TimeoutError from inside is passed on as it is."""
    with pytest.raises(TimeoutError, match="mine"):
        async with Server().breaker.watched():
            raise TimeoutError("mine")


@on_virtual_time
async def test_closing_ends_everything() -> None:
    """A breaker that is closed down in an outage sends nothing more."""
    server = Server()
    server.error = UnreachableError("away")
    assert not await server.breaker.is_healthy()
    await server.breaker.aclose()
    asked = server.asked
    await asyncio.sleep(60)
    assert server.asked == asked
