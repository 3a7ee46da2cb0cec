"""Tests of what the measurement of the limits computes, generates and prints."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import cast

import pytest
from pymilvus import MilvusClient
from redis.asyncio import Redis

from contract.errors import UsageError
from contract.presence import KEY as PRESENCE_KEY
from contract.settings import Settings
from headrace.bench.corpus import CHUNKS_EACH, document, write_documents
from headrace.bench.cpu import Meter
from headrace.bench.figures import (
    Mark,
    Round,
    Run,
    Spread,
    Variant,
    order,
    ratios,
    spread,
    steady_rate,
)
from headrace.bench.report import Report, text_of
from headrace.bench.throwaway import Throwaway
from producers.document import Entry
from producers.sources.files import FileSource
from producers.splitting import SplitOptions, split


def run_of(rate: float | None, cpu_seconds: float, **more: dict[str, float]) -> Run:
    """Make a run of 1,000 chunks."""
    return Run(1_000, rate, cpu_seconds, 2.0, 0.5, 3.0, **more)


def round_of(bare: float | None, bare_cpu: float, brought: float, cpu: float) -> Round:
    """Make a round from rates and CPU seconds of the bare loop and the import."""
    return {
        Variant.EMBED: run_of(9_000.0, 0.05),
        Variant.WRITE: run_of(4_000.0, 0.08),
        Variant.BARE: run_of(bare, bare_cpu),
        Variant.IMPORT: run_of(
            brought,
            cpu,
            cpu_seconds_by={"command": cpu / 4, "workers": 3 * cpu / 4},
            server_cpu_seconds={"milvus": 0.25},
        ),
    }


def report_of(*rounds: Round) -> Report:
    """Make a report with plain facts."""
    return Report(
        servers="embedded",
        documents=50,
        chunks=1_000,
        dimensions=384,
        latency_seconds=0.0,
        batch_chunks=128,
        in_flight=8,
        workers=1,
        cores=2,
        load=(0.5, 1.5),
        start_seconds={"servers": 1.25, "preparation": 0.5},
        rounds=rounds,
    )


def test_spread_is_median_and_extremes() -> None:
    """Median, lowest and highest are those of the figures that are known."""
    assert spread([3.0, None, 1.0, 8.0]) == Spread(3.0, 1.0, 8.0)
    assert spread([1.0, 2.0]) == Spread(1.5, 1.0, 2.0)
    assert spread([None]) is None


def test_rate_leaves_the_first_wave_out() -> None:
    """Chunks that were in flight together with the first ones do not count as steady."""
    marks = [Mark(1.0, 100), Mark(1.01, 200), Mark(2.01, 300), Mark(3.01, 400)]
    assert steady_rate(marks, wave_chunks=200) == pytest.approx(100.0)


@pytest.mark.parametrize(
    ("marks", "rate"),
    [
        ([], None),
        ([Mark(1.0, 100)], None),
        ([Mark(1.0, 100), Mark(3.0, 300)], 100.0),
        ([Mark(1.0, 100), Mark(1.0, 300)], None),
    ],
)
def test_rate_of_less_than_a_wave(marks: list[Mark], rate: float | None) -> None:
    """A run of no more than a wave has the rate from its first mark, or none at all."""
    assert steady_rate(marks, wave_chunks=300) == rate


def test_cpu_is_per_chunk() -> None:
    """Half a second for 1,000 chunks is 500 microseconds for each."""
    assert run_of(None, 0.5).cpu_microseconds == pytest.approx(500.0)


def test_ratios_compare_within_a_round() -> None:
    """A round on a machine of half the speed changes no ratio."""
    rate, cost = ratios(
        [round_of(1_000.0, 0.1, 800.0, 0.2), round_of(500.0, 0.2, 400.0, 0.4)]
    )  # fmt: skip
    assert rate == Spread(0.8, 0.8, 0.8)
    assert cost == Spread(2.0, 2.0, 2.0)


def test_ratio_needs_both_rates() -> None:
    """Where a rate is unknown there is no ratio of rates, but one of CPU."""
    rate, cost = ratios([round_of(None, 0.1, 800.0, 0.2)])
    assert rate is None
    assert cost is not None


def test_order_alternates() -> None:
    """Every other round runs the same variants backwards."""
    assert list(order(0)) == list(order(1))[::-1] == list(order(2))
    assert set(order(0)) == set(Variant)


def test_table_shows_figures_side_by_side() -> None:
    """A row has the medians and ranges of rate and CPU; the ratios have a row of their own."""
    text = text_of(
        report_of(round_of(1_000.0, 0.1, 800.0, 0.2), round_of(1_200.0, 0.14, 900.0, 0.21))
    )
    rows = {line[:18].strip(): line[18:].split() for line in text.splitlines()}
    assert rows["embed + aupsert"] == ["1,100", "1,000", "-", "1,200", "120", "100", "-", "140"]
    assert rows["headrace import"] == ["850", "800", "-", "900", "205", "200", "-", "210"]
    assert rows["its workers"] == ["154", "150", "-", "158"]
    assert rows["import / bare"] == ["0.78", "0.75", "-", "0.80", "1.75", "1.50", "-", "2.00"]
    assert "servers 1.2 s" in text
    assert "milvus 250" in text


def test_table_shows_unknown_rates_as_a_dash() -> None:
    """A rate that could not be measured is no zero."""
    text = text_of(report_of(round_of(None, 0.1, 800.0, 0.2)))
    rows = {line[:18].strip(): line[18:].split() for line in text.splitlines()}
    assert rows["embed + aupsert"][0] == rows["import / bare"][0] == "-"


def test_documents_are_the_same_every_time(tmp_path: Path) -> None:
    """A document depends on its number alone, and is written as it is given."""
    write_documents(tmp_path, 101)
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert len(files) == 101
    assert files[100].read_text(encoding="utf-8") == document(100)
    assert document(3) != document(4)
    digest = hashlib.blake2b(document(0).encode(), digest_size=8).hexdigest()
    assert digest == "95f905d19d22be14"


def test_documents_have_about_the_promised_chunks() -> None:
    """Cut by the default options, a document has 20 chunks, more or less, none of them twice."""
    source = FileSource("bench", "/")
    texts = []
    for number in range(5):
        data = document(number).encode()
        entry = Entry(f"{number}.md", f"{number}.md".encode(), None, len(data), 0)
        parsed = source.parse(entry, data)
        texts += [piece.text for piece in split(parsed, SplitOptions(200, 20, "tokens"))]
    assert len(texts) / 5 == pytest.approx(CHUNKS_EACH, rel=0.2)
    assert len(set(texts)) == len(texts)


def test_meter_counts_from_the_first_reading() -> None:
    """What a process used before its first reading is not counted; what it uses later is."""
    own = os.getpid()
    meter = Meter()
    meter.read([own])
    assert meter.seconds() == 0.0
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    meter.read([own])
    assert 0.05 <= meter.seconds() <= 1.0


def test_meter_keeps_the_last_reading_of_a_process_that_has_ended() -> None:
    """A process that is gone, or never was, does not disturb the readings."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        meter = Meter()
        meter.read([process.pid])
        process.communicate(b"\n")
    meter.read([process.pid])
    assert meter.seconds([process.pid]) == 0.0
    assert meter.seconds([os.getpid()]) == 0.0


async def test_company_is_refused(redis: Redis, settings: Settings) -> None:
    """Where workers of others run on the same Redis, nothing is measured; alone, it is."""
    throwaway = Throwaway(redis, cast("MilvusClient", None), settings)
    await throwaway.refuse_company()
    await redis.zadd(PRESENCE_KEY, {"elsewhere:1:": time.time() * 1000})
    with pytest.raises(UsageError, match="workers run on this Redis"):
        await throwaway.refuse_company()
