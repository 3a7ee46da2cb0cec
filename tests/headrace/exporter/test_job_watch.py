"""Promises of which jobs are active, at which pace, and which sources are held. Pure."""

from typing import Any

from contract.ledger.jobs import Job, JobState
from headrace.exporter.job_watch import ALL_AGAIN_MS, FORGOTTEN_MS, OVERLAP_MS, JobWatch
from headrace.exporter.ledger_facts import eta_seconds
from headrace.exporter.places import Places

NOW = 10_000_000


def job(name: str, source: str = "docs", *, settled: int = 0, **more: Any) -> Job:
    """Make a job that has promised a hundred documents."""
    values: dict[str, Any] = {
        "created_ms": NOW,
        "seen_ms": NOW,
        "finished_ms": 0,
        "sealed": True,
        "trouble": "",
        "counts": {
            "documents_new": 100,
            "documents_committed": settled,
            "batches_published": 10,
            "batches_finished": settled // 10,
        },
        **more,
    }
    return Job(id=name, collection="books", source=source, **values)


def test_a_job_is_active_until_it_is_through() -> None:
    """Then it need not be read again; what begins later is asked for, with room for clocks."""
    watch = JobWatch()
    assert not watch.since_ms
    assert not watch.names
    watch.take([job("a", settled=50), job("b", settled=100), job("c", halt="cancelled")], NOW)
    assert watch.names == ("a",)
    watch.take([job("a", settled=60)], NOW + 1)
    assert watch.since_ms == NOW + 1 - OVERLAP_MS
    watch.take([job("a", settled=100)], NOW + ALL_AGAIN_MS)
    assert not watch.since_ms
    assert not watch.names


def test_the_pace_of_a_job_tells_when_it_is_through() -> None:
    """Of the last minute; not known while it lists, rests, or has only been seen once."""
    watch = JobWatch()
    watch.take([job("a", settled=10), job("b", settled=10, sealed=False)], NOW)
    assert eta_seconds(watch.active) is None
    for seconds in range(1, 121):
        settled = 10 if seconds < 100 else seconds - 90
        found = [job("a", settled=settled), job("b", settled=settled, sealed=False)]
        watch.take(found, NOW + seconds * 1000 + 1)
    first, second = watch.active
    assert first.per_second == 20 / 60
    assert eta_seconds([first]) == 70 / (20 / 60)
    assert eta_seconds([first, second]) is None
    assert eta_seconds([]) is None


def test_an_interrupted_job_counts_until_another_one_of_its_source_began() -> None:
    """It is looked at as long as workers are at its batches."""
    watch = JobWatch()
    silent: dict[str, Any] = {
        "sealed": False,
        "seen_ms": NOW - FORGOTTEN_MS - 1,
        "created_ms": NOW - 9,
    }
    old = job("a", settled=50, **silent)
    watch.take([old, job("b", source="notes", settled=100, **silent)], NOW)
    assert [(active.job.id, active.state) for active in watch.active] == [
        ("a", JobState.INTERRUPTED)
    ]
    watch.take([old, job("c")], NOW)
    assert [active.job.id for active in watch.active] == ["c"]
    assert set(watch.names) == {"a", "c"}


def test_a_source_is_held_until_a_later_job_came_to_its_end() -> None:
    """The newest job of a source tells, in whatever order they are read."""
    watch = JobWatch()
    through = job("b", settled=100)
    watch.take([through, job("a", settled=100, held="budget", created_ms=NOW - 1)], NOW)
    assert watch.held == 0
    watch.take([job("c", settled=100, held="budget", created_ms=NOW + 1), through], NOW)
    assert watch.held == 1


def test_who_has_a_place_keeps_it() -> None:
    """A name that comes later gets one only while there are any."""
    places = Places[str](2)
    places.seat(["b"])
    places.seat(["a", "b", "c"])
    assert ["a" in places, "b" in places, "c" in places] == [True, True, False]
