"""Timers in real Redis: they go off, survive, and one scheduler at a time holds them."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from redbeat.schedulers import get_redis
from redis.asyncio import Redis

from contract.settings import Settings
from headrace.schedules import timers as timers_module
from headrace.schedules.timers import LOCK_SECONDS, Timers
from headrace.schedules.timetable import Timetable

SECONDLY = Timetable(every_seconds=1)
HOURLY = Timetable(every_seconds=3600)


class Scheduler:
    """Timers that run in a thread, and what they told."""

    def __init__(self, settings: Settings) -> None:
        """Start."""
        self.timers = Timers(settings)
        self.told: list[str] = []
        self._thread = threading.Thread(
            target=self.timers.keep_going, args=[self.told.append], daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End in order."""
        self.timers.stop()
        self._thread.join(15)
        assert not self._thread.is_alive()


@pytest.fixture
def start(settings: Settings, redis: Redis) -> Iterator[Callable[[], Scheduler]]:
    """Give a function that starts a scheduler on an empty Redis."""
    started = []

    def one() -> Scheduler:
        started.append(Scheduler(settings))
        return started[-1]

    yield one
    for scheduler in started:
        scheduler.stop()


def until(done: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for something."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def test_a_timer_goes_off_again_and_again(start: Callable[[], Scheduler]) -> None:
    """One that is set while the scheduler runs is found; one that is taken away is silent."""
    scheduler = start()
    scheduler.timers.set_all({"second": SECONDLY, "hour": HOURLY})
    until(lambda: scheduler.told.count("second") >= 3)
    assert set(scheduler.told) == {"second"}
    scheduler.timers.set_all({"hour": HOURLY, "another": SECONDLY})
    number = scheduler.told.count("second")
    until(lambda: scheduler.told.count("another") >= 3)
    assert scheduler.told.count("second") <= number + 1


def test_a_timer_that_is_set_again_keeps_its_time(
    start: Callable[[], Scheduler], settings: Settings
) -> None:
    """So what was due while no scheduler ran goes off once when one comes."""
    soon = round(time.time() * 1000) + 1_000
    late = {"hour": Timetable(every_seconds=3600, anchor_ms=soon)}
    Timers(settings).set_all(late)
    until(lambda: time.time() * 1000 > soon)
    Timers(settings).set_all(late)
    scheduler = start()
    until(lambda: scheduler.told == ["hour"])


def test_whoever_fails_to_deal_with_it_is_told_again(settings: Settings, redis: Redis) -> None:
    """A slot is dealt with before its timer moves on."""
    told: list[str] = []

    def on_due(name: str) -> None:
        told.append(name)
        if name == "hour" and told.count("hour") < 3:
            raise OSError("trouble")

    timers = Timers(settings)
    soon = round(time.time() * 1000) + 500
    timers.set_all({"hour": Timetable(every_seconds=3600, anchor_ms=soon), "second": SECONDLY})
    thread = threading.Thread(target=timers.keep_going, args=[on_due], daemon=True)
    thread.start()
    until(lambda: told.count("hour") >= 3)
    number = told.count("second")
    until(lambda: told.count("second") >= number + 3)
    timers.stop()
    thread.join(15)
    assert told.count("hour") == 3


def test_one_scheduler_at_a_time(start: Callable[[], Scheduler]) -> None:
    """The second stands by, and goes on soon after the first has ended."""
    first = start()
    first.timers.set_all({"second": SECONDLY})
    until(lambda: bool(first.told))
    second = start()
    until(lambda: len(first.told) >= 4)
    assert second.told == []
    first.stop()
    until(lambda: bool(second.told), LOCK_SECONDS + 5)
    assert len(first.told) >= 4


def test_a_lock_that_is_lost_is_taken_again(
    start: Callable[[], Scheduler], monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    """Timers begin again after whatever went wrong."""
    monkeypatch.setattr(timers_module, "AGAIN_SECONDS", 0.1)
    scheduler = start()
    scheduler.timers.set_all({"second": SECONDLY})
    until(lambda: bool(scheduler.told))
    client = get_redis(timers_module.timer_app(settings))
    client.delete(timers_module.timer_app(settings).redbeat_conf.lock_key)
    number = len(scheduler.told)
    until(lambda: len(scheduler.told) >= number + 2)
