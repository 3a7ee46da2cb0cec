"""Promises of the overview: what two looks tell, and what is said of it."""

from dataclasses import replace

import orjson
import pytest

from contract.ledger.jobs import Job
from contract.ledger.records import Totals
from contract.ledger.survey import LaneState
from contract.presence import Trouble
from headrace.amounts import age_text, counted
from headrace.looks import Looks
from headrace.overview import Overview, Verdict, overview, overview_as_dict
from headrace.status import CollectionStatus, Status

NOW = 1_800_000_000_000


def job(name: str = "j1", *, source: str = "docs", age: float = 60, **fields: object) -> Job:
    """Give a job that began so many seconds ago; what is no field of a job is a counter."""
    facts = {key: fields.pop(key) for key in ("sealed", "halt", "held", "trouble") if key in fields}
    facts = {"sealed": False, "trouble": "", **facts}
    began = round(NOW - age * 1000)
    return Job(name, "shelf", source, began, NOW, 0, counts=fields, **facts)  # type: ignore[arg-type]


def status(
    *jobs: Job,
    now_ms: int = NOW,
    lanes: dict[str, LaneState] | None = None,
    workers: tuple[str, ...] = ("host:1:aa:",),
    dead_letters: int = 0,
) -> Status:
    """Give a status with one collection."""
    lanes = {"live": LaneState(), "bulk": LaneState()} | (lanes or {})
    shelf = CollectionStatus("shelf", Totals(3, 40, 500), dead_letters, (), {"docs": 900}, jobs)
    return Status(now_ms, workers, (), 0, (), {}, {"live": 0, "bulk": 2}, lanes, (shelf,))


def later(before: Status, seconds: float, *jobs: Job) -> Status:
    """Give a status of some seconds later."""
    (shelf,) = before.collections
    now_ms = before.now_ms + round(seconds * 1000)
    return replace(before, now_ms=now_ms, collections=(replace(shelf, jobs=jobs),))


def reasons(seen: Overview) -> list[str]:
    """Give what is said of it."""
    return [reason.text for reason in seen.reasons]


def test_rates_are_those_between_the_looks() -> None:
    """Of each job, and of all together; time left is that at this rate."""
    before = status(job("a", chunks=1_000), job("b", source="web", chunks=50), now_ms=NOW - 10_000)
    after = later(
        before,
        10,
        job("a", chunks=1_000, chunks_written=500, documents_committed=20, sealed=True),
        job("b", source="web", chunks=50, chunks_written=10, documents_failed=10),
    )
    seen = overview(before, after)
    assert (seen.chunks_per_second, seen.documents_per_second) == (51.0, 3.0)
    rates = {item.id: item.progress.chunks_per_second for item in seen.jobs}
    assert rates == {"a": 50.0, "b": 1.0}
    left = {item.id: item.progress.eta_seconds for item in seen.jobs}
    assert left == {"a": 10.0, "b": None}


def test_a_job_that_began_between_the_looks_counts_from_its_beginning() -> None:
    """And one that was merely not shown before counts as standing still."""
    before = status(now_ms=NOW - 10_000)
    new, old = job("n", age=5, chunks_written=30), job("o", age=600, chunks_written=9_000)
    assert overview(before, later(before, 10, new, old)).chunks_per_second == 3.0


def test_one_look_has_no_rate() -> None:
    """There is nothing to compare it with, and nothing is divided by it."""
    seen = overview(status(job(chunks_written=9)), status(job(chunks_written=9)))
    assert (seen.chunks_per_second, seen.documents_per_second) == (0.0, 0.0)
    assert seen.verdict is Verdict.FINE


def test_looks_older_than_the_window_do_not_count() -> None:
    """A fast beginning does not flatter the rate; a clock that was set back does no harm."""
    looks = Looks(None)
    first = status(job(), now_ms=NOW)
    looks.add(first)
    looks.add(later(first, 10, job(chunks_written=1_000)))
    seen = looks.add(later(first, 26, job(chunks_written=1_016)))
    assert seen.chunks_per_second == 1.0
    assert looks.add(later(first, -100, job(chunks_written=1_020))).chunks_per_second == 0.0


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (
            {"lanes": {"bulk": LaneState(waiting=2)}, "workers": ()},
            "2 batches are unfinished, and no worker is running",
        ),
        (
            {"troubles": {"w": (Trouble("milvus", "away", NOW),)}},
            "1 worker waits for milvus",
        ),
        (
            {"lanes": {"bulk": LaneState(leased=1, oldest_ms=720_000)}},
            "nothing is written, and the oldest work is 12 min old",
        ),
        ({"overdue": ("nightly",)}, "schedule nightly is overdue: is a scheduler running?"),
    ],
    ids=["no worker", "waits", "stuck", "overdue"],
)
def test_trouble_is_named(changed: dict[str, object], expected: str) -> None:
    """Each trouble makes the verdict, and says what it is."""
    seen = overview(status(), replace(status(), **changed))  # type: ignore[arg-type]
    assert seen.verdict is Verdict.TROUBLE
    assert reasons(seen) == [expected]
    assert seen.sentence == expected


def test_what_only_waits_for_a_person_is_no_trouble() -> None:
    """Dead letters, pauses, budgets and interruptions; the worst comes first."""
    gone = replace(job("i", source="web", age=90), seen_ms=NOW - 60_000)
    seen = overview(
        status(),
        status(
            job("p", halt="paused"),
            gone,
            job("b", source="wiki", sealed=True, held="budget"),
            dead_letters=1,
        ),
    )
    assert seen.verdict is Verdict.ATTENTION
    assert reasons(seen) == [
        "1 dead letter to look at",
        "1 job paused",
        "the last import of web was interrupted: the same command resumes it",
        "the last import of wiki stopped at its budget",
    ]
    worse = overview(status(), replace(status(dead_letters=2), overdue=("x",)))
    assert [reason.verdict for reason in worse.reasons] == [Verdict.TROUBLE, Verdict.ATTENTION]


def test_an_interruption_that_a_later_import_made_good_is_not_told() -> None:
    """Of jobs that are over, only the newest of each source counts."""
    gone = replace(job("i", age=90), seen_ms=NOW - 60_000)
    seen = overview(status(), status(gone, job("d", age=30, sealed=True)))
    assert seen.verdict is Verdict.FINE
    assert [item.id for item in seen.jobs] == ["d"]


def test_active_jobs_come_first_oldest_first() -> None:
    """What is under way stays at its place while others come."""
    jobs = (
        job("new", age=1),
        job("old", source="web", age=50),
        job("done", source="wiki", sealed=True, age=10),
    )
    assert [item.id for item in overview(status(), status(*jobs)).jobs] == ["old", "new", "done"]


def test_lanes_budget_and_age() -> None:
    """The figures of all collections together, and the limit of a day."""
    work = {"live": LaneState(leased=1, oldest_ms=1_500), "bulk": LaneState(parked=3)}
    seen = overview(status(lanes=work), status(lanes=work), tokens_per_day=5_000)
    assert [(lane.name, lane.messages) for lane in seen.lanes] == [("live", 0), ("bulk", 2)]
    assert seen.oldest_seconds == 1.5
    assert (seen.day_uses[0].tokens, seen.day_uses[0].limit) == (900, 5_000)
    shown = overview_as_dict(seen)
    orjson.dumps(shown)
    assert shown["verdict"] == "fine"
    assert shown["lanes"][1]["work"]["parked"] == 3


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.4, "0 s"), (59.6, "1 min"), (61, "1 min 1 s"), (754, "12 min"), (3_600, "1 h"),
     (7_500, "2 h 5 min"), (90_000, "1 d 1 h"), (172_800, "2 d")],
)  # fmt: skip
def test_ages(seconds: float, expected: str) -> None:
    """Short ones are exact, long ones are not."""
    assert age_text(seconds) == expected


def test_numbers_of_things() -> None:
    """One is one."""
    assert counted(1, "batch") == "1 batch"
    assert counted(2_000, "batch") == "2,000 batches"
    assert counted(0, "worker") == "0 workers"
