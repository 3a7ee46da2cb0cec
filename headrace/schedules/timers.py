"""Timers: celery-redbeat in front of the book, in a thread of a scheduler.

Of any number of schedulers one holds redbeat's lock and looks for what is due; the others stand
by, and one of them goes on when the lock has run out. A timer only says that it is time to look:
what is run is decided in the book, so a timer that goes off twice, or late, does no harm.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from celery import Celery, beat
from celery.schedules import schedstate
from celery.schedules import schedule as celery_schedule
from redbeat import RedBeatSchedulerEntry
from redbeat.schedulers import RedBeatScheduler, ensure_conf, get_redis

from contract.queue import make_app
from contract.sentinel import Sentinels, is_sentinel
from contract.settings import Settings
from headrace.schedules import names
from headrace.schedules.timetable import Timetable

TICK_SECONDS: Final = 1.0
"""Between two looks; a timer that was set meanwhile goes off so much later at the most."""
LOCK_SECONDS: Final = 6
"""After which a standby takes over from a scheduler that was killed."""
AGAIN_SECONDS: Final = 1.0
LONGEST_SLEEP_SECONDS: Final = 24 * 3600.0

_TASK = "headrace.schedule"
"""No message is ever sent for it."""
_ON_DUE = "headrace_on_due"
"""Name of the app's option: whom to tell."""

logger = logging.getLogger(__name__)


class _Slots(celery_schedule):  # type: ignore[misc]
    """A timetable as Celery asks for it; redbeat writes it down as an interval, and never looks."""

    def __init__(self, name: str, timetable: Timetable, app: Celery) -> None:
        super().__init__(run_every=timedelta(seconds=1), app=app)
        self._name = name
        self._timetable = timetable

    def remaining_estimate(self, last_run_at: datetime) -> timedelta:
        return timedelta(seconds=self._remaining_seconds(last_run_at))

    def is_due(self, last_run_at: datetime) -> schedstate:
        left = self._remaining_seconds(last_run_at)
        return schedstate(is_due=left <= 0, next=min(max(left, 0.0), LONGEST_SLEEP_SECONDS))

    def _remaining_seconds(self, last_run_at: datetime) -> float:
        after = round(last_run_at.timestamp() * 1000)
        due: float = self._timetable.next_due_ms(self._name, after) / 1000
        return due - float(self.now().timestamp())


class Timer(RedBeatSchedulerEntry):  # type: ignore[misc]
    """One schedule's timer in Redis."""

    @classmethod
    def of(cls, app: Celery, name: str, timetable: Timetable) -> "Timer":
        """Make one that has just gone off, not yet written down."""
        return cls(
            name=name,
            task=_TASK,
            schedule=_Slots(name, timetable, app),
            kwargs={"timetable": msgspec.to_builtins(timetable)},
            app=app,
        )

    @classmethod
    def from_key(cls, key: str, app: Celery | None = None) -> "Timer":
        """Read one.

        Raises:
            KeyError: there is none.
        """
        entry: Timer = super().from_key(key, app=app)
        entry.schedule = _Slots(entry.name, entry.timetable, entry.app)
        return entry

    @property
    def timetable(self) -> Timetable:
        """When it goes off."""
        return msgspec.convert(self.kwargs["timetable"], Timetable)


class _Scheduler(RedBeatScheduler):  # type: ignore[misc]
    Entry = Timer

    def apply_async(self, entry: Timer, *_: Any, **__: Any) -> None:
        """Have the slot dealt with first: killed in between, the timer goes off again."""
        self.app.conf[_ON_DUE](entry.name)
        self.reserve(entry)


class Timers:
    """The timers of all schedules; all methods block."""

    def __init__(self, settings: Settings) -> None:
        """Prepare; nothing is sent yet."""
        self._settings = settings
        self._app = timer_app(settings)
        self._stopping = threading.Event()
        self._service: Any = None

    def set_all(self, timetables: Mapping[str, Timetable]) -> None:
        """Set exactly these timers, by name; those that are right already stay as they are.

        Raises:
            RedisError: Redis can't be reached, or refuses.
        """
        app = self._app
        prefix = app.redbeat_conf.key_prefix
        keys = get_redis(app).zrange(app.redbeat_conf.schedule_key, 0, -1)
        for name in {key.removeprefix(prefix) for key in keys} - timetables.keys():
            Timer(name=name, app=app).delete()
        for name, timetable in timetables.items():
            try:
                if Timer.from_key(prefix + name, app=app).timetable == timetable:
                    continue
            except KeyError:
                pass
            timer = Timer.of(app, name, timetable)
            timer.save()
            timer.reschedule()  # what is written down already keeps its time otherwise

    def keep_going(self, on_due: Callable[[str], None]) -> None:
        """Call ``on_due`` with the name of each schedule as it is due, until ``stop``.

        While another scheduler holds the lock, it stands by. Whatever goes wrong, an outage of
        Redis or a lock that was lost, it begins again.
        """
        while not self._stopping.is_set():
            app = timer_app(self._settings)
            app.conf[_ON_DUE] = on_due
            self._service = beat.Service(app, max_interval=TICK_SECONDS, scheduler_cls=_Scheduler)
            try:
                self._service.start()
            except Exception as error:  # noqa: BLE001 - of redis-py, redbeat and Celery alike
                logger.warning(
                    "timers begin again", extra={"event": "timers_failed", "error": str(error)}
                )
            self._stopping.wait(AGAIN_SECONDS)

    def stop(self) -> None:
        """Let ``keep_going`` end soon; one that stands by ends with its process."""
        self._stopping.set()
        if self._service is not None:
            self._service.stop()


def timer_app(settings: Settings) -> Celery:
    """Make the Celery app of timers.

    Raises:
        UsageError: no Redis is configured.
    """
    app = make_app(settings)
    assert settings.redis_url is not None  # noqa: S101 - a broker alone was refused before
    options: dict[str, Any] = {
        "socket_timeout": settings.redis_timeout_seconds,
        "socket_connect_timeout": settings.connect_timeout_seconds,
    }
    url = settings.redis_url.get_secret_value()
    if is_sentinel(url):
        sentinels = Sentinels.of(url)
        url = "redis-sentinel://"
        options |= {
            "sentinels": list(sentinels.addresses),
            "sentinel_kwargs": dict(options),
            "service_name": sentinels.master,
            "db": sentinels.database,
            "username": sentinels.username,
            "password": sentinels.password,
        }
    app.conf.update(
        redbeat_redis_url=url,
        redbeat_redis_options=options,
        redbeat_key_prefix=names.TIMER_PREFIX,
        redbeat_lock_timeout=LOCK_SECONDS,
        beat_schedule={},
        result_expires=None,  # else Celery adds a schedule of its own
        timezone="UTC",
    )
    ensure_conf(app)
    return app
