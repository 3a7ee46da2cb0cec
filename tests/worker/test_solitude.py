"""Being alone in a process."""

import asyncio
import contextlib

import pytest

from worker.solitude import Solitude


class Room:
    """Notes who is in, and refuses whoever breaks the rule."""

    def __init__(self) -> None:
        """Be empty."""
        self.solitude = Solitude()
        self.inside: list[str] = []
        self.visits: list[str] = []

    async def visit(self, name: str, leave: asyncio.Event, *, alone: bool = False) -> None:
        """Go in, stay until it is time to leave."""
        async with self.solitude.alone() if alone else self.solitude.shared():
            assert not (alone and self.inside)
            assert "alone" not in self.inside
            self.inside.append("alone" if alone else name)
            self.visits.append(name)
            try:
                await leave.wait()
            finally:
                self.inside.remove("alone" if alone else name)


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_many_share() -> None:
    """Nobody waits as long as nobody wants to be alone."""
    room, leave = Room(), asyncio.Event()
    visits = [asyncio.create_task(room.visit(name, leave)) for name in "abc"]
    await settle()
    assert room.inside == ["a", "b", "c"]
    leave.set()
    await asyncio.gather(*visits)


async def test_one_alone_waits_for_the_others_and_keeps_new_ones_out() -> None:
    """It gets its turn before whoever came after it."""
    room, leave, leave_alone = Room(), asyncio.Event(), asyncio.Event()
    visits = [asyncio.create_task(room.visit("a", leave))]
    await settle()
    visits.append(asyncio.create_task(room.visit("s", leave_alone, alone=True)))
    await settle()
    visits.append(asyncio.create_task(room.visit("b", leave)))
    await settle()
    assert room.inside == ["a"]
    leave.set()
    await settle()
    assert room.inside == ["alone"]
    leave_alone.set()
    await asyncio.gather(*visits)
    assert room.visits == ["a", "s", "b"]


async def test_several_that_want_to_be_alone_take_turns() -> None:
    """They do not wait for each other for ever, nor go in together."""
    room, leave = Room(), asyncio.Event()
    leave.set()
    async with asyncio.timeout(5):
        await asyncio.gather(
            *(room.visit(f"s{at}", leave, alone=True) for at in range(5)),
            *(room.visit(f"a{at}", leave) for at in range(5)),
        )
    assert len(room.visits) == 10


@pytest.mark.parametrize("steps", range(6))
async def test_who_is_cancelled_leaves_no_trace(steps: int) -> None:
    """At whatever moment: inside, or on the way in."""
    room, leave = Room(), asyncio.Event()
    first = asyncio.create_task(room.visit("a", leave))
    tasks = [
        first,
        asyncio.create_task(room.visit("s", leave, alone=True)),
        asyncio.create_task(room.visit("t", leave, alone=True)),
        asyncio.create_task(room.visit("b", leave)),
    ]
    for at, task in enumerate(tasks):
        for _ in range(steps):
            await asyncio.sleep(0)
        if at % 2 == steps % 2:
            task.cancel()
    leave.set()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task
    async with asyncio.timeout(5):
        await room.visit("after", leave, alone=True)
        await room.visit("after that", leave)
