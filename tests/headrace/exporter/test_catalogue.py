"""Promises of the names and labels of all metrics, and of how many series there may be."""

import re
from itertools import product

import pytest

import contract.errors
from contract.lane import Lane
from contract.ledger.counters import LetterCounts
from contract.ledger.jobs import Job, JobState
from contract.ledger.records import Totals
from contract.ledger.survey import LaneState, LedgerState
from headrace.exporter import catalogue as c
from headrace.exporter.board import OWN_METRICS
from headrace.exporter.catalogue import METRICS, Section
from headrace.exporter.job_watch import ActiveJob
from headrace.exporter.ledger_facts import CollectionFacts, LedgerFacts, Presence, Queues
from headrace.exporter.places import Places
from headrace.exporter.samples import Samples
from headrace.exporter.schedule_watch import ScheduleFacts, SchedulesFacts
from headrace.schedules.book import Entry
from headrace.schedules.schedule import Schedule
from headrace.schedules.timetable import Timetable
from producers.document import Reason
from worker.breaker import Dependency

RESERVED = {"job", "instance", "le", "quantile"}
MOST_SERIES = 3_300
"""With a hundred collections, sources and schedules each, and jobs of fifty sources."""


def test_names_and_labels_are_by_the_rules() -> None:
    """Base units, no reserved label, no id; a name is there once for each kind."""
    names = [metric.full_name for metric in METRICS] + list(OWN_METRICS)
    assert len(set(names)) == len(names) == 45
    for metric in METRICS:
        assert re.fullmatch(r"headrace_[a-z_]+", metric.full_name)
        assert metric.says.endswith(".")
        assert not set(metric.labels) & RESERVED
        assert not metric.values or len(metric.values) == len(metric.labels)
        assert not re.search(r"_(ms|milliseconds|minutes|percent)$", metric.full_name)


def test_closed_sets_hold_what_there_is() -> None:
    """A reason, an outcome or a server that is new here must not be lost in ``other``."""
    assert {reason.value for reason in Reason if reason.failed} < set(c.REASONS)
    classes = [name for name in c.REASONS if name.endswith("Error")]
    assert all(hasattr(contract.errors, name) for name in classes)
    kinds = contract.errors.PermanentError.__subclasses__()  # those of tests are none of ours
    permanent = {kind.__name__ for kind in kinds if kind.__module__ == contract.errors.__name__}
    assert permanent - {"DocumentError"} <= set(classes)
    assert set(c.DEPENDENCIES) == {dependency.value for dependency in Dependency}
    ended = {JobState.DONE, JobState.BUDGET_REACHED, JobState.CANCELLED}
    assert set(c.JOB_STATES) == {state.value for state in JobState} - ended


@pytest.mark.parametrize("section", Section)
def test_series_with_known_labels_are_there_from_the_start(section: Section) -> None:
    """At 0, so that no panel is empty and no first event is missed."""
    samples = Samples()
    samples.begin(section)
    found = {
        (family.name, tuple(sample.labels.items()))
        for family in samples.families()
        for sample in family.samples
    }
    for metric in (m for m in METRICS if m.section is section and m.values):
        for labels in product(*metric.values):
            name = f"headrace_{metric.name}"
            assert (name, tuple(zip(metric.labels, labels, strict=True))) in found


def full_ledgers(collections: int, sources: int) -> LedgerFacts:
    """Make as much as possible: each source with an active job and all counters."""
    found = {}
    names = [
        [f"source {at} {n}" for n in range(sources // collections)] for at in range(collections)
    ]
    places, with_jobs = (
        Places[tuple[str, str]](c.MOST_SOURCES),
        Places[tuple[str, str]](c.MOST_JOBS),
    )
    for at, mine in enumerate(names):
        state = LedgerState(
            now_ms=2_000_000,
            totals=Totals(1, 1, 1),
            lanes={lane: LaneState(1, 1, 1, 1, 1) for lane in Lane},
            counters={source: {"documents_committed": 1, "completed_ms": 1} for source in mine},
            dead_letters=2,
            letters=LetterCounts({"strange": 1}, {"strange": 1}),
            documents=dict.fromkeys(mine, 2),
            tokens_today={},
            jobs=(),
        )
        job = {"collection": str(at), "created_ms": 1, "seen_ms": 1, "finished_ms": 0}
        active = [
            ActiveJob(
                Job(id=s, source=s, sealed=False, trouble="", counts={}, **job),  # type: ignore[arg-type]
                JobState.LISTING,
                0.0,
            )
            for s in mine
        ]
        found[f"collection {at}"] = CollectionFacts(state, active, 0)
    facts = LedgerFacts(
        read_at=2_000.0,
        collections=found,
        queues=Queues({}, {}),
        presence=Presence((), (), {}),
        price=1.0,
        source_places=places,
        job_places=with_jobs,
    )
    places.seat(facts.sources)
    with_jobs.seat(facts.sources)
    return facts


def full_schedules(number: int) -> SchedulesFacts:
    """Make schedules."""
    return SchedulesFacts(
        [
            ScheduleFacts(
                Entry(
                    Schedule(
                        name=f"s{at}",
                        path="/srv",
                        collection="c",
                        timetable=Timetable(every_seconds=60.0),
                    ),
                    b"",
                    paused=False,
                    created_ms=1,
                    last_slot_ms=0,
                    active="",
                    queued="",
                ),
                is_overdue=True,
                next_due_ms=1,
                interval_ms=60_000,
                succeeded_ms=0,
                runs={},
            )
            for at in range(number)
        ]
    )


def test_the_number_of_series_has_a_bound() -> None:
    """Ten times as many sources and schedules make not one series more."""
    numbers = []
    for times in (1, 10):
        samples = Samples()
        for section in Section:
            samples.begin(section)
        full_ledgers(100, 200 * times).put(samples, 2_001.0)
        full_schedules(110 * times).put(samples, 2_001.0)
        for at in range(c.MOST_COLLECTIONS):
            samples.add(c.ROWS, 1, str(at))
        numbers.append(len(samples))
    assert numbers[0] == numbers[1]
    assert 2_000 < numbers[0] <= MOST_SERIES


def test_what_has_no_place_is_summed_up() -> None:
    """Nothing is lost of sources that have no series of their own; letters of old add up."""
    samples = Samples()
    samples.begin(Section.LEDGER)
    full_ledgers(100, 1_000).put(samples, 2_001.0)
    assert samples.value(c.SOURCE_DOCUMENTS, c.OTHER, c.OTHER, "committed") == 900
    assert samples.value(c.DOCUMENTS, c.OTHER, c.OTHER) == 1_800
    assert samples.value(c.SOURCE_AGE, c.OTHER, c.OTHER) == pytest.approx(2_000.999)
    assert samples.value(c.LETTERS, c.OTHER) == 200
    assert samples.value(c.ACTIVE_JOBS, "listing") == 1_000
