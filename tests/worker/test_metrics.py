"""The metrics of a worker, by Prometheus' conventions."""

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Metric, generate_latest

from contract import errors
from contract.lane import Lane
from contract.process_metrics import show_process
from contract.settings import load_settings
from worker.breaker import Dependency
from worker.coalescing import Departure
from worker.embedding.budget import Rates
from worker.embedding.metered import Code
from worker.freshness_metrics import Sight
from worker.metrics import ERROR_REASONS, Metrics
from worker.outcome import HALTED, Ingested, Outcome, Stage
from worker.slots import Slots
from worker.store_metrics import Operation

BASE_UNITS = ("seconds", "bytes")
COUNTED = ("_items", "_batches", "_ratio")
OTHER_UNITS = re.compile(
    r"_(ms|milliseconds|micros|minutes|hours|kb|mb|kilobytes|megabytes|percent)(_|$)"
)


def metrics() -> tuple[Metrics, list[Metric]]:
    """Give new metrics and what they show before anything has happened."""
    made = Metrics(CollectorRegistry())
    return made, list(made.registry.collect())


def value(made: Metrics, name: str, **labels: str) -> float | None:
    """Read one sample."""
    return made.registry.get_sample_value(name, labels)


def test_names_follow_the_conventions() -> None:
    """Every name begins with headrace_, is in base units, and counters end in _total."""
    _, families = metrics()
    assert families
    for family in families:
        assert re.fullmatch(r"headrace_[a-z][a-z_]*[a-z]", family.name), family.name
        assert not OTHER_UNITS.search(family.name), family.name
        assert family.documentation.endswith("."), family.name
        if family.type == "histogram" and not family.name.endswith(COUNTED):
            assert family.name.endswith(BASE_UNITS)
        names = {sample.name for sample in family.samples}
        if family.type == "counter":
            assert f"{family.name}_total" in names
        else:
            assert not any(name.endswith("_total") for name in names), names


def test_every_series_is_there_from_the_start() -> None:
    """No event creates a series, so that increase() never misses the first."""
    made, _ = metrics()
    before = series(made)
    for outcome in Outcome:
        for stage in Stage:
            for reason in (*ERROR_REASONS, "SomethingNew"):
                made.observe(
                    Ingested(
                        outcome, dead=(reason,), seconds={stage: 1.0}, retries={(stage, reason): 1}
                    )
                )
    made.observe(Ingested(Outcome.DROPPED, reason=HALTED))
    for dependency in Dependency:
        made.breaker_changed(dependency, True, "away")  # noqa: FBT003 - Breaker's interface
        made.requests.observer(dependency)(Departure(1, 1, 0.5, 0.0))
    for lane in Lane:
        made.observe(Ingested(Outcome.FINISHED, lane=lane, waited_seconds=0.1, age_seconds=1.0))
        for sight in Sight:
            made.freshness.looked(sight, lane, 1.0)
    for code in Code:
        made.embedding.requested(code, 0.1)
    for operation in Operation:
        made.store.observe(operation, 0.1)
    made.watch_slots({lane: Slots(1) for lane in Lane})
    made.embedding.watch(Rates)
    assert series(made) == before


def series(made: Metrics) -> set[str]:
    """Name all series."""
    lines = generate_latest(made.registry).decode().splitlines()
    return {line.rpartition(" ")[0] for line in lines if not line.startswith("#")}


def test_reasons_are_errors_that_exist() -> None:
    """Each reason but `other` is the name of an error of the tree."""
    for reason in ERROR_REASONS:
        assert reason == "other" or issubclass(getattr(errors, reason), errors.HeadraceError)


def test_a_finished_batch_is_counted() -> None:
    """Chunks, documents, tokens, bytes, stage times, retries and dead parts add up."""
    made, _ = metrics()
    made.observe(
        Ingested(
            Outcome.FINISHED,
            chunks=3,
            reused=1,
            documents=2,
            isolated=True,
            dead=("StoreRejectedError",),
            tokens=40,
            cache_hits=6,
            cache_misses=5,
            tokens_saved=30,
            text_bytes=500,
            seconds={Stage.EMBED: 0.2},
            retries={(Stage.EMBED, "ThrottledError"): 4},
        )
    )
    assert value(made, "headrace_chunks_total") == 3
    assert value(made, "headrace_chunks_reused_total") == 1
    assert value(made, "headrace_batches_isolated_total") == 1
    assert value(made, "headrace_documents_total") == 2
    assert value(made, "headrace_embedding_tokens_total") == 40
    assert value(made, "headrace_embedding_cache_hits_total") == 6
    assert value(made, "headrace_embedding_cache_misses_total") == 5
    assert value(made, "headrace_embedding_tokens_saved_total") == 30
    assert value(made, "headrace_text_bytes_total") == 500
    assert value(made, "headrace_batches_total", outcome="finished") == 1
    assert value(made, "headrace_dead_parts_total", reason="StoreRejectedError") == 1
    assert value(made, "headrace_errors_total", stage="embed", reason="ThrottledError") == 4
    assert value(made, "headrace_stage_duration_seconds_sum", stage="embed") == 0.2


@pytest.mark.parametrize("outcome", [Outcome.LOST, Outcome.GIVEN_BACK])
def test_chunks_of_an_unfinished_batch_do_not_count(outcome: Outcome) -> None:
    """They will be counted when the batch is finished."""
    made, _ = metrics()
    made.observe(Ingested(outcome, chunks=3))
    assert value(made, "headrace_chunks_total") == 0
    assert value(made, "headrace_batches_total", outcome=outcome.value) == 1


def test_a_dropped_message_counts_as_that_alone() -> None:
    """A copy of a message is no work."""
    made, _ = metrics()
    made.observe(Ingested(Outcome.DROPPED, chunks=3, seconds={Stage.EMBED: 1.0}))
    assert value(made, "headrace_batches_total", outcome="dropped") == 1
    assert value(made, "headrace_stage_duration_seconds_count", stage="embed") == 0


def test_a_halted_batch_counts_as_that_and_for_what_it_cost() -> None:
    """Its tokens were paid; its chunks will be counted when it is finished."""
    made, _ = metrics()
    made.observe(Ingested(Outcome.DROPPED, reason=HALTED, chunks=3, tokens=7))
    assert value(made, "headrace_batches_total", outcome="halted") == 1
    assert value(made, "headrace_batches_total", outcome="dropped") == 0
    assert value(made, "headrace_embedding_tokens_total") == 7
    assert value(made, "headrace_chunks_total") == 0


def test_a_breaker_shows_whether_it_is_open() -> None:
    """1 while a server is away, 0 before and after."""
    made, _ = metrics()
    shown = [value(made, "headrace_breaker_open", dependency="milvus")]
    for is_open in (True, False):
        made.breaker_changed(Dependency.MILVUS, is_open, "")
        shown.append(value(made, "headrace_breaker_open", dependency="milvus"))
    assert shown == [0, 1, 0]
    assert value(made, "headrace_breaker_open", dependency="embedding") == 0


def test_slots_are_counted_at_every_scrape() -> None:
    """What is taken now, of all that there are, in each lane."""
    made, _ = metrics()
    slots = {Lane.LIVE: Slots(2), Lane.BULK: Slots(8)}
    made.watch_slots(slots)
    with slots[Lane.BULK].one_taken():
        assert value(made, "headrace_worker_slots", lane="bulk", state="busy") == 1
    assert value(made, "headrace_worker_slots", lane="bulk", state="busy") == 0
    assert value(made, "headrace_worker_slots", lane="bulk", state="total") == 8
    assert value(made, "headrace_worker_slots", lane="live", state="total") == 2


def test_ages_are_those_of_the_batch_that_is_through() -> None:
    """What waited counts when it is claimed, its age when it is through, each where it is known."""
    made, _ = metrics()
    made.observe(Ingested(Outcome.FINISHED, lane=Lane.BULK, waited_seconds=0.5, age_seconds=3.0))
    made.observe(Ingested(Outcome.GIVEN_BACK, lane=Lane.BULK, waited_seconds=0.25))
    made.observe(Ingested(Outcome.FINISHED, lane=Lane.LIVE))
    assert value(made, "headrace_queue_wait_seconds_sum", lane="bulk") == 0.75
    assert value(made, "headrace_time_to_commit_seconds_count", lane="bulk") == 1
    assert value(made, "headrace_time_to_commit_seconds_sum", lane="bulk") == 3.0
    assert value(made, "headrace_time_to_commit_seconds_count", lane="live") == 0
    assert value(made, "headrace_queue_wait_seconds_count", lane="live") == 0


@pytest.mark.parametrize(
    ("provider", "price", "dollars", "model"),
    [
        ("openai", None, 0.04, "text-embedding-3-small"),
        ("openai", 1.5, 3.0, "text-embedding-3-small"),
        ("local", None, 0.0, "all-MiniLM-L6-v2"),
        ("mills:Mill", None, 0.0, "mills:Mill"),
    ],
)
def test_what_embedding_costs(
    provider: str, price: float | None, dollars: float, model: str, tmp_path: Path
) -> None:
    """Two million tokens by the price that is known, and 0 where none is; half as much saved."""
    made, _ = metrics()
    made.embedding.describe(
        load_settings({}, tmp_path, embedding_provider=provider, embedding_price=price)
    )
    made.observe(Ingested(Outcome.FINISHED, tokens=2_000_000, tokens_saved=1_000_000))
    assert value(made, "headrace_embedding_cost_dollars_total") == pytest.approx(dollars)
    saved = value(made, "headrace_embedding_cost_saved_dollars_total")
    assert saved == pytest.approx(dollars / 2)
    kind = "langchain" if ":" in provider else provider
    assert value(made, "headrace_embedding_info", provider=kind, model=model) == 1


def test_a_probe_counts_its_age_only_where_it_saw() -> None:
    """Rows that were not seen have no time."""
    made, _ = metrics()
    for sight in Sight:
        made.freshness.looked(sight, Lane.LIVE, 2.0)
        assert value(made, "headrace_probes_total", outcome=sight.value) == 1
    assert value(made, "headrace_time_to_searchable_seconds_sum", lane="live") == 2.0


def test_a_process_has_few_series(tmp_path: Path) -> None:
    """Far fewer than 2,000, with what Python tells of the process."""
    made, _ = metrics()
    show_process(made.registry)
    made.embedding.describe(load_settings({}, tmp_path))
    found = series(made)
    assert len(found) < 2_000, len(found)
