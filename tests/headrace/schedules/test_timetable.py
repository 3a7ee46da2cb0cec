"""When something is due."""

from datetime import datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import UsageError
from headrace.duration import duration_seconds, duration_text
from headrace.schedules.timetable import MOST_SLOTS, Timetable

BERLIN = ZoneInfo("Europe/Berlin")
BEGUN_MS = 1_700_000_000_123


def ms(*moment: int, zone: ZoneInfo = BERLIN, fold: int = 0) -> int:
    """Give a moment in ms since the epoch."""
    return round(datetime(*moment, tzinfo=zone, fold=fold).timestamp() * 1000)  # type: ignore[misc, arg-type]


def times(timetable: Timetable, after_ms: int, number: int, zone: ZoneInfo = BERLIN) -> list[str]:
    """Write the next slots in local time."""
    slots = islice(timetable.slots(after_ms), number)
    return [f"{datetime.fromtimestamp(slot / 1000, zone):%m-%d %H:%M %Z}" for slot in slots]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("1h30m", 5400), ("2d", 172_800), ("1.5h", 5400)],
)
def test_durations(text: str, seconds: float) -> None:
    """They are read as people write them."""
    assert duration_seconds(text) == seconds
    assert duration_seconds(duration_text(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "15", "m", "15 minutes", "-5m", "1h 30x", "5mm"])
def test_what_is_no_duration(text: str) -> None:
    """It is refused, with an example."""
    with pytest.raises(UsageError, match="write 90s"):
        duration_seconds(text)


def test_cron_in_a_time_zone_keeps_local_time_in_summer_and_winter() -> None:
    """Three in the morning stays three in the morning."""
    nightly = Timetable(cron="0 3 * * *", timezone="Europe/Berlin").checked()
    assert times(nightly, ms(2026, 3, 27, 12), 3) == [
        "03-28 03:00 CET",
        "03-29 03:00 CEST",
        "03-30 03:00 CEST",
    ]


def test_an_hour_that_is_left_out_is_made_up_for_at_once() -> None:
    """As Debian's cron does: 02:30 does not exist on that day, so it is run when clocks go on."""
    nightly = Timetable(cron="30 2 * * *", timezone="Europe/Berlin")
    assert times(nightly, ms(2026, 3, 28, 12), 2) == ["03-29 03:00 CEST", "03-30 02:30 CEST"]


def test_an_hour_that_comes_twice_counts_once() -> None:
    """02:30 is there twice on that day, and the schedule runs once."""
    nightly = Timetable(cron="30 2 * * *", timezone="Europe/Berlin")
    slots = list(islice(nightly.slots(ms(2026, 10, 24, 12)), 2))
    assert [datetime.fromtimestamp(slot / 1000, BERLIN).day for slot in slots] == [25, 26]
    again = next(nightly.slots(ms(2026, 10, 25, 2, 10, fold=1)))
    assert datetime.fromtimestamp(again / 1000, BERLIN).day == 26


@given(
    after=st.integers(0, 4_000_000_000_000),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"]),
    cron=st.sampled_from(
        ["*/5 * * * *", "30 2 * * *", "0 */3 * * *", "0 0 1 * *", "15 10 * * 1-5"]
    ),
)
def test_slots_of_cron_only_grow(after: int, zone: str, cron: str) -> None:
    """Each is later than the one before, and asking from a slot gives the next."""
    timetable = Timetable(cron=cron, timezone=zone)
    slots = list(islice(timetable.slots(after), 4))
    assert slots[0] > after
    assert all(a < b for a, b in pairwise(slots))
    assert next(timetable.slots(slots[0])) == slots[1]


@given(
    after=st.integers(BEGUN_MS - 10**9, BEGUN_MS + 10**12),
    every=st.floats(1, 10**6),
)
def test_slots_of_an_interval_do_not_drift(after: int, every: float) -> None:
    """They are whole intervals from the anchor, however late they are asked for."""
    timetable = Timetable(every_seconds=every, anchor_ms=BEGUN_MS)
    step = round(every * 1000)
    first, second = islice(timetable.slots(after), 2)
    assert 0 < first - after <= step
    assert second - first == step
    assert (first - BEGUN_MS) % step == 0


@given(now=st.integers(BEGUN_MS, BEGUN_MS + 10**10), jitter=st.floats(0, 59))
def test_jitter_is_bounded_and_the_same_for_all(now: int, jitter: float) -> None:
    """A slot is due within the jitter; slots that are due and the next one leave no gap."""
    timetable = Timetable(every_seconds=60, anchor_ms=BEGUN_MS, jitter_seconds=jitter).checked()
    due = timetable.next_due_ms("a", now)
    assert due > now
    slots = list(islice(timetable.slots(now - 120_000), 4))
    dues = [timetable.due_ms("a", slot) for slot in slots]
    assert all(0 <= d - s <= jitter * 1000 for d, s in zip(dues, slots, strict=True))
    assert due == min(d for d in dues if d > now)
    found = timetable.due_slots("a", now - 600_000, now)
    assert found == tuple(
        slot
        for slot in islice(timetable.slots(now - 600_000), 12)
        if timetable.due_ms("a", slot) <= now
    )


def test_after_a_long_absence_the_newest_thousand_count() -> None:
    """The number of slots that are walked through is bounded."""
    secondly = Timetable(every_seconds=1, anchor_ms=BEGUN_MS)
    now = BEGUN_MS + 10**10
    found = secondly.due_slots("a", BEGUN_MS, now)
    assert len(found) == MOST_SLOTS
    assert now - found[-1] < 1000
    minutely = Timetable(cron="* * * * *")
    found = minutely.due_slots("a", BEGUN_MS, now)
    assert len(found) == MOST_SLOTS
    assert now - found[-1] < 60_000
    yearly = Timetable(cron="0 0 1 1 *")
    years = yearly.due_slots("a", ms(2020, 6, 1), ms(2024, 6, 1))
    assert len(years) == 4


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({}, "either --cron or --every"),
        ({"cron": "0 3 * * *", "every_seconds": 60}, "either --cron or --every"),
        ({"every_seconds": 0.5}, "1 s at least"),
        ({"cron": "0 3 * *"}, "five fields"),
        ({"cron": "0 25 * * *"}, "Bad hour"),
        ({"cron": "0 0 30 2 *"}, "Bad day"),
        ({"cron": "* * * * * *"}, "five fields"),
        ({"cron": "0 3 * * *", "timezone": "Mars/Olympus"}, "no time zone"),
        ({"cron": "0 3 * * *", "timezone": "../etc/passwd"}, "no time zone"),
        ({"every_seconds": 60, "jitter_seconds": 60}, "jitter"),
        ({"cron": "*/5 * * * *", "jitter_seconds": 301}, "jitter"),
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict[str, object], what: str) -> None:
    """The message says what is wrong."""
    with pytest.raises(UsageError, match=what):
        Timetable(**fields).checked()  # type: ignore[arg-type]


def test_it_says_what_it_is() -> None:
    """For lists."""
    assert Timetable(every_seconds=5400, jitter_seconds=30).text() == "every 1h30m +0..30s"
    assert Timetable(cron="0 3 * * *", timezone="Europe/Berlin").text() == "0 3 * * * Europe/Berlin"
    assert timedelta(seconds=duration_seconds("1w")) == timedelta(days=7)
