"""Promises of the retrying layer, on virtual time."""

import asyncio
from collections.abc import Callable

import pytest

from contract.errors import (
    CollectionGoneError,
    EmbeddingDeniedError,
    EmbeddingRefusedError,
    LeaseLostError,
    ThrottledError,
    TransientError,
    UnreachableError,
)
from tests.worker.virtual_time import on_virtual_time
from worker.breaker import QUICK_SECONDS, Breaker, Dependency
from worker.outcome import Stage, Stopwatch
from worker.retrier import Retrier
from worker.retry import RetryPolicy

POLICY = RetryPolicy(attempts=5)


class House:
    """Two servers, their breakers, and a retrier."""

    def __init__(self) -> None:
        """Have both there."""
        self.away: dict[Dependency, Exception] = {}
        self.canaries = 0
        self.breakers = {
            dependency: Breaker(dependency, self._probe(dependency)) for dependency in Dependency
        }
        self.retrier = Retrier(POLICY, self.breakers)
        self.watch = Stopwatch(now)
        self.calls = 0

    def _probe(self, dependency: Dependency) -> Callable[[], asyncio.Future[None]]:
        async def probe() -> None:
            self.canaries += 1
            if dependency in self.away:
                raise self.away[dependency]

        return lambda: asyncio.ensure_future(probe())

    async def ask(self, dependency: Dependency) -> str:
        """Make a call that needs a server."""
        self.calls += 1
        await asyncio.sleep(0.1)
        if dependency in self.away:
            raise self.away[dependency]
        return "answer"

    async def embed(self) -> str:
        """Make such a call through the retrier."""
        return await self.retrier.call(
            Stage.EMBED, lambda: self.ask(Dependency.EMBEDDING), self.watch
        )


def now() -> float:
    """Tell the time."""
    return asyncio.get_running_loop().time()


class Failing:
    """A call that always fails by its own fault."""

    def __init__(self, error: Exception) -> None:
        """Fail with this."""
        self.error = error
        self.times = 0

    async def __call__(self) -> None:
        """Fail."""
        self.times += 1
        raise self.error


@on_virtual_time
async def test_a_call_that_succeeds_is_made_once() -> None:
    """Nothing is asked of a canary; the time of the call is measured."""
    house = House()
    assert await house.embed() == "answer"
    assert (house.calls, house.canaries) == (1, 0)
    assert house.watch.seconds == {Stage.EMBED: pytest.approx(0.1)}
    assert not house.watch.retries


@pytest.mark.parametrize("error", [EmbeddingRefusedError("poison"), LeaseLostError("lost")])
def test_what_is_not_transient_is_not_repeated(error: Exception) -> None:
    """Refusals and lost leases go straight to the caller."""

    @on_virtual_time
    async def fail() -> None:
        house, call = House(), Failing(error)
        with pytest.raises(type(error)):
            await house.retrier.call(Stage.WRITE, call, house.watch)
        assert (call.times, house.canaries) == (1, 0)

    fail()


@on_virtual_time
async def test_waits_that_the_endpoint_asks_for_are_told() -> None:
    """Those of an embedding alone, and of no other failure."""
    house = House()
    for stage, error in (
        (Stage.EMBED, ThrottledError("slow down", 2.0)),
        (Stage.WRITE, ThrottledError("slow down", 2.0)),
        (Stage.EMBED, TransientError("503", 2.0)),
    ):
        with pytest.raises(TransientError):
            await house.retrier.call(stage, Failing(error), house.watch)
        assert 8.0 <= house.watch.throttled_seconds <= 8.8, stage


@on_virtual_time
async def test_a_batchs_own_fault_is_raised() -> None:
    """With all servers there, a call that failed five times is to blame; each try is counted."""
    house, call = House(), Failing(TransientError("500"))
    with pytest.raises(TransientError, match="500"):
        await house.retrier.call(Stage.WRITE, call, house.watch)
    assert call.times == POLICY.attempts
    assert house.watch.retries == {(Stage.WRITE, "TransientError"): POLICY.attempts}
    assert house.canaries == 2, "Milvus, and what else a write may need"


@on_virtual_time
async def test_an_outage_is_waited_out() -> None:
    """Two minutes without the endpoint: no error, few calls, and all go on at once."""
    house = House()
    house.away[Dependency.EMBEDDING] = UnreachableError("endpoint away")
    calls = [asyncio.create_task(house.embed()) for _ in range(8)]
    await asyncio.sleep(60)
    assert house.retrier.outage == "endpoint away"
    made = house.calls
    assert made <= 8 * POLICY.attempts
    await asyncio.sleep(60)
    assert house.calls == made, "while it is open, only canaries fly"
    house.away.clear()
    back = now()
    assert await asyncio.gather(*calls) == ["answer"] * 8
    assert now() - back < 4
    assert house.retrier.outage == ""


@on_virtual_time
async def test_a_refused_key_is_an_outage() -> None:
    """Nothing is lost to a wrong key: after one try everything waits for another."""
    house = House()
    house.away[Dependency.EMBEDDING] = EmbeddingDeniedError("wrong key")
    embedding = asyncio.create_task(house.embed())
    await asyncio.sleep(3600)
    assert not embedding.done()
    assert house.calls == 1
    house.away.clear()
    assert await embedding == "answer"


@on_virtual_time
async def test_ready_waits_for_all_servers() -> None:
    """Nothing is claimed while one of them is away; writing goes on without the endpoint."""
    house = House()
    await house.retrier.ready()
    house.away[Dependency.EMBEDDING] = UnreachableError("endpoint away")
    embedding = asyncio.create_task(house.embed())
    await asyncio.sleep(60)
    ready = asyncio.create_task(house.retrier.ready())
    writing = house.retrier.call(Stage.WRITE, lambda: house.ask(Dependency.MILVUS), house.watch)
    assert await asyncio.wait_for(writing, 1) == "answer"
    await asyncio.sleep(60)
    assert not ready.done()
    house.away.clear()
    await asyncio.wait_for(ready, 4)
    assert await embedding == "answer"


@on_virtual_time
async def test_throttling_is_neither_fault_nor_outage() -> None:
    """A throttled call is repeated, then rests; nobody asks a canary."""
    house, call = House(), Failing(ThrottledError("slow down", 1.0))
    with pytest.raises(ThrottledError):
        await house.retrier.call(Stage.EMBED, call, house.watch)
    assert (call.times, house.canaries) == (POLICY.attempts, 0)
    assert house.retrier.outage == ""


@on_virtual_time
async def test_a_collection_that_is_gone_is_told_at_once() -> None:
    """It is to be opened anew, by the caller."""
    house, call = House(), Failing(CollectionGoneError("dropped"))
    with pytest.raises(CollectionGoneError):
        await house.retrier.call(Stage.WRITE, call, house.watch)
    assert (call.times, house.canaries) == (1, 0)


@on_virtual_time
async def test_failures_of_another_server_are_no_fault_either() -> None:
    """Opening a store needs the endpoint as well: its outage is found, whatever the stage."""
    house = House()
    house.away[Dependency.EMBEDDING] = UnreachableError("endpoint away")
    opening = asyncio.create_task(
        house.retrier.call(Stage.WRITE, lambda: house.ask(Dependency.EMBEDDING), house.watch)
    )
    await asyncio.sleep(120)
    assert not opening.done()
    house.away.clear()
    assert await opening == "answer"


@on_virtual_time
async def test_an_outage_wipes_out_what_failed_before() -> None:
    """Failures of which an outage was the reason are not held against the call later."""
    house = House()
    failures = iter([TransientError(str(number)) for number in range(7)])

    async def call() -> str:
        for error in failures:
            if str(error) == "3":
                house.away[Dependency.MILVUS] = UnreachableError("away")
                assert not await house.breakers[Dependency.MILVUS].is_healthy()
                house.away.clear()
            raise error
        return "answer"

    assert await house.retrier.call(Stage.WRITE, call, house.watch) == "answer"
    assert house.watch.retries.total() == 7


@on_virtual_time
async def test_a_call_that_hung_through_an_outage_is_made_again() -> None:
    """The request is lost with the server that took it; the batch goes on within seconds."""
    house = House()
    hangs = [True]

    async def call() -> str:
        if hangs[0]:
            await asyncio.sleep(10_000)
        return "answer"

    writing = asyncio.create_task(house.retrier.call(Stage.WRITE, call, house.watch))
    await asyncio.sleep(1)
    house.away[Dependency.MILVUS] = UnreachableError("away")
    await asyncio.sleep(120)
    assert house.retrier.outage
    house.away.clear()
    hangs[0] = False
    assert await asyncio.wait_for(writing, 10) == "answer"
    assert house.watch.retries == {(Stage.WRITE, "AbandonedError"): 1}


@on_virtual_time
async def test_slowness_alone_stops_nothing() -> None:
    """A call that is slower than everybody's patience gets its time in the end."""
    house = House()

    async def probe_now_and_then() -> None:
        while True:
            house.away[Dependency.MILVUS] = UnreachableError("busy")
            await asyncio.sleep(30)
            house.away.clear()
            await asyncio.sleep(30)

    async def call() -> str:
        await asyncio.sleep(300)
        return "answer"

    flapping = asyncio.create_task(probe_now_and_then())
    async with asyncio.timeout(600):
        assert await house.retrier.call(Stage.WRITE, call, house.watch) == "answer"
    flapping.cancel()


@on_virtual_time
async def test_a_server_without_a_breaker_is_not_judged() -> None:
    """The local model has none: its failures are those of the batch."""
    breaker = House().breakers[Dependency.MILVUS]
    retrier, call = Retrier(POLICY, {Dependency.MILVUS: breaker}), Failing(TransientError("x"))
    with pytest.raises(TransientError):
        await retrier.call(Stage.EMBED, call, Stopwatch(now))
    assert call.times == POLICY.attempts


@on_virtual_time
async def test_cancelling_ends_the_wait() -> None:
    """A worker that drains does not wait for the end of an outage."""
    house = House()
    house.away[Dependency.EMBEDDING] = UnreachableError("away")
    waiting = [asyncio.create_task(house.embed()), asyncio.create_task(house.retrier.ready())]
    await asyncio.sleep(60 + QUICK_SECONDS)
    waiting.append(asyncio.create_task(house.retrier.ready()))
    for task in waiting:
        task.cancel()
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(ended[0], asyncio.CancelledError)
    assert isinstance(ended[2], asyncio.CancelledError)
