"""Coalescing: what several batches ask of a server at the same time travels in one request.

Nobody waits for company that is not there: with nothing under way a request leaves at once, with
what the same turn of the event loop brought. Otherwise it leaves when it is full, or after a few
milliseconds; and while requests wait at the gate, what comes meanwhile still gets on.
"""

import asyncio
import copy
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, Self, TypeVar

from contract.errors import HeadraceError, PermanentError, TransientError
from worker.concurrency import Gate


class Sliceable(Protocol):
    """Results of some items, in order."""

    def __getitem__(self, which: slice, /) -> Self:
        """Give those of some of the items."""


T = TypeVar("T")
R = TypeVar("R", bound=Sliceable)


@dataclass(frozen=True, slots=True)
class Joining:
    """How far calls are joined; a call that is larger by itself travels alone, and whole."""

    items: int
    """Most items of a joined request; as many fill it."""
    weight: int
    """Most weight of a joined request: bytes, say."""
    wait_seconds: float
    """Longest wait for others while a request is under way."""


@dataclass(frozen=True, slots=True)
class Departure:
    """A request that leaves, for the metrics."""

    items: int
    calls: int
    fill: float
    """Of the items that fill it; above 1 for a call that is larger by itself."""
    wait_seconds: float
    """How long its oldest call waited."""


@dataclass(eq=False, slots=True)
class _Call(Generic[T, R]):
    items: Sequence[T]
    weight: int
    check: Callable[[], None]
    begun: float
    answer: asyncio.Future[R] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Coalescer(Generic[T, R]):
    """Joins concurrent calls; for one event loop and one kind of request.

    Args:
        send: sends a request; gives one result for each item, in order, and raises the errors
            of ``contract.errors``.
        joining: how far calls are joined.
        gate: where requests wait for their turn; may be shared with another coalescer.
        urgent: whether its requests go first at the gate.
        observe: told of each request that leaves.
        now: a clock that does not jump.
    """

    def __init__(
        self,
        send: Callable[[Sequence[T]], Awaitable[R]],
        joining: Joining,
        gate: Gate,
        *,
        urgent: bool = False,
        observe: Callable[[Departure], None] = lambda _: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._send = send
        self._joining = joining
        self._gate = gate
        self._urgent = urgent
        self._observe = observe
        self._now = now
        self._pending: deque[_Call[T, R]] = deque()
        self._flights: dict[asyncio.Task[None], list[_Call[T, R]]] = {}
        self._is_leaving = False
        """Whether a request waits at the gate; it takes what is there when it is let through."""
        self._timer: asyncio.TimerHandle | None = None

    async def call(
        self, items: Sequence[T], weight: int = 0, check: Callable[[], None] = lambda: None
    ) -> R:
        """Send items, alone or with those of others, and give their results, in order.

        Cancelled, they stay if they have not left; a request that nobody waits for any more is
        cancelled as well.

        Args:
            items: at least one.
            weight: of all of them.
            check: called right before they leave; what it raises is raised here, and they stay.

        Raises:
            PermanentError: these items are refused, sent alone: a request that is refused is
                taken apart, since it may be the others' fault.
            TransientError: the request failed.
        """
        call: _Call[T, R] = _Call(items, weight, check, self._now())
        self._pending.append(call)
        if len(self._pending) == 1:
            asyncio.get_running_loop().call_soon(self._pump)
        elif self._is_full():
            self._pump()
        try:
            return await call.answer
        finally:
            self._forget(call)

    def _pump(self) -> None:
        """Let a request leave, if it is time."""
        if not self._pending or self._is_leaving:
            return
        patience = self._pending[0].begun + self._joining.wait_seconds - self._now()
        if self._gate.is_idle or self._is_full() or patience <= 0:
            self._is_leaving = True
            flight = asyncio.create_task(self._fly(), name="joined request")
            self._flights[flight] = []
            flight.add_done_callback(self._landed)
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(patience, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._pump()

    def _is_full(self) -> bool:
        return (
            sum(len(call.items) for call in self._pending) >= self._joining.items
            or sum(call.weight for call in self._pending) >= self._joining.weight
        )

    async def _fly(self) -> None:
        """Wait for a turn, take what is there by then, and send it."""
        try:
            await self._gate.enter(urgent=self._urgent)
        finally:
            self._is_leaving = False
        begun = self._now()
        try:
            calls = self._taken(begun)
            self._flights[asyncio.current_task()] = calls  # type: ignore[index]
            self._pump()
            if calls:
                await self._deliver(calls)
        except TransientError:
            self._gate.limit.refused(begun, self._now())
            raise
        finally:
            self._gate.leave()

    def _taken(self, now: float) -> list[_Call[T, R]]:
        """Take the oldest calls that fit together, and whose check holds."""
        calls: list[_Call[T, R]] = []
        items = weight = 0
        while self._pending:
            call = self._pending[0]
            if call.answer.done():  # cancelled in this very turn
                self._pending.popleft()
                continue
            items, weight = items + len(call.items), weight + call.weight
            if calls and (items > self._joining.items or weight > self._joining.weight):
                break
            self._pending.popleft()
            if _may_leave(call):
                calls.append(call)
            else:
                items, weight = items - len(call.items), weight - call.weight
        if calls:
            count = sum(len(call.items) for call in calls)
            fill = count / self._joining.items
            self._observe(Departure(count, len(calls), fill, now - calls[0].begun))
        return calls

    async def _deliver(self, calls: Sequence[_Call[T, R]]) -> None:
        """Send calls together; refused together, each alone."""
        begun = self._now()
        try:
            results = await self._send([item for call in calls for item in call.items])
        except PermanentError as error:
            if len(calls) == 1:
                _fail(calls[0], error)
                return
            for call in calls:
                if not call.answer.done() and _may_leave(call):
                    await self._deliver([call])
            return
        self._gate.limit.succeeded(self._now() - begun, self._gate.in_flight)
        at = 0
        for call in calls:
            if not call.answer.done():
                call.answer.set_result(results[at : at + len(call.items)])
            at += len(call.items)

    def _landed(self, flight: asyncio.Task[None]) -> None:
        for call in self._flights.pop(flight):
            if flight.cancelled():
                call.answer.cancel()
            elif (error := flight.exception()) is not None:
                _fail(call, error)
        self._pump()

    def _forget(self, call: _Call[T, R]) -> None:
        """Take back what has not left; end a request that nobody waits for any more."""
        if call in self._pending:
            self._pending.remove(call)
            return
        for flight, calls in self._flights.items():
            if call in calls and all(each.answer.done() for each in calls):
                flight.cancel()


def _may_leave(call: _Call[T, R]) -> bool:
    try:
        call.check()
    except HeadraceError as error:
        call.answer.set_exception(error)
        return False
    return True


def _fail(call: _Call[T, R], error: BaseException) -> None:
    """Raise an error in a call: a copy, since tasks write tracebacks into what they raise."""
    if not call.answer.done():
        own = copy.copy(error)
        own.__cause__ = error
        call.answer.set_exception(own)
