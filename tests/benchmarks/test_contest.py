"""The pure parts of benchmarks/peers.py: what is said to peers, ratios, the table."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.contest.documents import copy_first
from benchmarks.contest.environment import REQUIREMENTS
from benchmarks.contest.job import Chunk, Job, Outcome, decode_job, decode_outcome, encode
from benchmarks.contest.report import Report, text_of
from benchmarks.contest.result import Run, advantage, rows_error, whole_rate
from benchmarks.contest.ways import HEADRACE, WAYS, chosen

ROOT = Path(__file__).parents[2]
JOB = Job(
    way="count",
    options={"batch_size": 100},
    chunks="",
    sample=0,
    collection="c",
    milvus_uri="http://127.0.0.1:1",
    endpoint_url="http://127.0.0.1:2/v1",
    model="m",
    dimensions=384,
)
PROGRAM = """
from benchmarks.contest.job import main

async def count(job, chunks):
    async def call():
        print("libraries like to talk")
        assert [one.metadata["path"] for one in chunks] == ["a.md"]
    return call

main({"count": count}, ("pytest",))
"""


def _run(rate: float | None, whole: float) -> Run:
    return Run(
        chunks=1000,
        rate=rate,
        whole_rate=whole,
        cpu_seconds=0.25,
        start_cpu_seconds=1.0,
        requests=10,
    )


def _report(failures: dict[str, str] | None = None) -> Report:
    return Report(
        command="python benchmarks/peers.py",
        servers="lite",
        documents=3,
        chunks=1000,
        dimensions=384,
        latency_seconds=0.1,
        machine={"cores": 2},
        headrace={"workers": 1},
        ways=chosen(["aindex", "loop"]),
        versions={"langchain": {"langchain-core": "1.0"}},
        rounds=[
            {HEADRACE: _run(3000, 500), "aindex": _run(500, 250), "loop": _run(10, 10)},
            {HEADRACE: _run(3000, 600), "aindex": _run(300, 200)},
        ],
        failures=failures or {},
    )


def test_a_job_survives_its_way_to_the_program() -> None:
    """What is written is what is read."""
    assert decode_job(encode(JOB)) == JOB


def test_the_outcome_is_the_last_line() -> None:
    """Libraries print what they like before it."""
    outcome = Outcome(chunks=1, seconds=0.5, cpu_seconds=0.25, versions={"pymilvus": "3"})
    assert decode_outcome(f"downloading ...\n{encode(outcome)}\n") == outcome


@pytest.mark.parametrize("said", ["", "Traceback", "[]", '{"chunks": 1}'])
def test_no_outcome_is_an_error_that_shows_what_was_printed(said: str) -> None:
    """A program that ends well but says nothing has not done its job."""
    with pytest.raises(ValueError, match="no outcome in what the program printed"):
        decode_outcome(said)


def test_a_program_does_a_job_and_prints_its_outcome(tmp_path: Path) -> None:
    """It gets the job on its standard input; what libraries print does no harm."""
    file = tmp_path / "chunks.json"
    fields = [
        {"id": str(at), "text": "t", "metadata": {"path": f"{'ab'[at]}.md"}} for at in range(2)
    ]
    file.write_text(json.dumps(fields), encoding="utf-8")
    job = encode(Job(**{**json.loads(encode(JOB)), "chunks": str(file), "sample": 1}))
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=job,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    outcome = decode_outcome(ended.stdout)
    assert (outcome.chunks, list(outcome.versions)) == (1, ["pytest"])


def test_the_contract_imports_the_standard_library_alone() -> None:
    """What peers' programs import of ours must not need what only we have installed."""
    code = "import sys; from benchmarks.contest import job; print(*sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    top = {name.partition(".")[0] for name in ended.stdout.split()}
    assert top - sys.stdlib_module_names - {"__main__"} == {"benchmarks"}


def test_chunks_are_read_as_many_as_sampled(tmp_path: Path) -> None:
    """0 means all."""
    file = tmp_path / "chunks.json"
    file.write_text('[{"id": "1", "text": "a", "metadata": {"path": "a.md"}}]', encoding="utf-8")
    job = Job(**{**json.loads(encode(JOB)), "chunks": str(file)})
    assert job.read_chunks() == [Chunk("1", "a", {"path": "a.md"})]


def test_a_sample_is_scaled_without_its_start() -> None:
    """2 s of start and 10 s for 100 of 1,000 chunks: 1,000 chunks in 102 s."""
    assert whole_rate(100, 1000, 12.0, 10.0) == pytest.approx(1000 / 102)
    assert whole_rate(1000, 1000, 12.0, 10.0) == pytest.approx(1000 / 12)


def test_rows_are_right_only_if_they_are_as_many_as_the_chunks() -> None:
    """Fewer are lost, more are twice."""
    assert rows_error(10, 10) == ""
    assert rows_error(9, 10) == "9 rows in Milvus, not 10"
    assert rows_error(1100, 10) == "1,100 rows in Milvus, not 10"


def test_each_round_is_compared_by_itself() -> None:
    """6 and 10 times; a round without the other does not count."""
    rounds = _report().rounds
    steady = advantage(rounds, "aindex", whole=False)
    whole = advantage(rounds, "aindex", whole=True)
    loop = advantage(rounds, "loop", whole=False)
    assert steady is not None
    assert whole is not None
    assert loop is not None
    assert (steady.median, steady.low, steady.high) == (8.0, 6.0, 10.0)
    assert whole.median == 2.5
    assert loop.median == 300.0
    assert advantage(rounds, "gather", whole=True) is None


def test_an_unknown_rate_is_left_out() -> None:
    """All chunks seen at once: no rate, and nothing to compare."""
    rounds = [{HEADRACE: _run(None, 500), "aindex": _run(500, 250)}]
    assert advantage(rounds, "aindex", whole=False) is None


def test_the_table_has_a_row_for_each_way() -> None:
    """Rates, ratios, CPU, requests and rows stand in it; the settings below."""
    text = text_of(_report())
    (row,) = [line for line in text.splitlines() if line.startswith("LangChain aindex  ")]
    assert row.split() == [
        *("LangChain", "aindex", "400", "300", "-", "500", "8.0"),
        *("225", "200", "-", "250", "2.5", "250", "10", "1,000"),
    ]
    assert "LangChain loop of add_documents([d])*" in text
    assert "LangChain aindex: batch_size=100; " in text
    assert "langchain: langchain-core 1.0" in text
    assert max(map(len, text.splitlines())) < 180


def test_a_failure_is_a_row_that_says_what_was_wrong() -> None:
    """It has no figures, and the report is not good."""
    report = _report({"aindex": "999 rows in Milvus, not 1,000"})
    text = text_of(report)
    assert not report.is_good
    assert "LangChain aindex                        failed: 999 rows in Milvus, not 1,000" in text
    assert "aindex: 999 rows in Milvus, not 1,000" in text
    assert report.as_dict()["ways"]["aindex"]["failure"] == "999 rows in Milvus, not 1,000"
    assert _report().is_good


def test_the_report_is_json() -> None:
    """Every figure of the table, and every run."""
    fields = json.loads(json.dumps(_report().as_dict()))
    assert fields["ways"]["aindex"]["headrace_is_times"] == {"median": 8.0, "min": 6.0, "max": 10.0}
    assert fields["ways"][HEADRACE]["whole_chunks_per_second"]["median"] == 550.0
    assert fields["ways"]["aindex"]["settings"] == {"batch_size": 100}
    assert [sorted(runs) for runs in fields["rounds"]] == [
        ["aindex", HEADRACE, "loop"],
        ["aindex", HEADRACE],
    ]


def test_headrace_always_runs() -> None:
    """The ratios need it; unknown names are refused, and the known ones told."""
    assert [way.name for way in chosen(["loop"])] == [HEADRACE, "loop"]
    with pytest.raises(ValueError, match="no such way: nobody; there are: headrace, "):
        chosen(["nobody"])


def test_every_peer_has_a_program_and_pinned_requirements() -> None:
    """A way that names neither could not run."""
    for peer in {way.peer for way in WAYS if way.peer}:
        program = REQUIREMENTS.parent / f"{peer}_ways.py"
        calls = {way.call for way in WAYS if way.peer == peer}
        assert all(f'"{call}":' in program.read_text(encoding="utf-8") for call in calls)
        lines = (REQUIREMENTS / f"{peer}.txt").read_text(encoding="utf-8").splitlines()
        assert all("==" in line or line.startswith("#") for line in lines)


def test_the_first_files_of_a_corpus_are_copied(tmp_path: Path) -> None:
    """By name, with their folders, hidden ones left out."""
    corpus, copy = tmp_path / ".corpus", tmp_path / "copy"
    for name in ("b/2.md", "a/1.md", "c/3.md", ".git/x"):
        (corpus / name).parent.mkdir(parents=True, exist_ok=True)
        (corpus / name).write_text(name)
    copy_first(corpus, copy, 2)
    found = sorted(path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file())
    assert found == ["a/1.md", "b/2.md"]
