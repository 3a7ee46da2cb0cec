"""Promises of imports with a budget: where they stop, what they tell, how they go on."""

import re
from pathlib import Path

import pytest

from contract.settings import load_settings
from headrace.tokens import counter_of
from tests.integration.conftest import Place
from tests.servers.command import Command
from tests.servers.contents import chunks_of, pieces_of
from tests.servers.endpoint import FakeEndpoint
from tests.servers.library import write_library

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def exact(endpoint: FakeEndpoint) -> FakeEndpoint:
    """Give an endpoint that counts tokens as OpenAI's models do."""
    endpoint.faults(exact_tokens=True)
    return endpoint


def _tokens(folder: Path) -> int:
    """Count the tokens of all chunks of a folder."""
    count = counter_of(load_settings({}, folder, embedding_provider="openai"))
    return sum(count(piece.text) for _, pieces in pieces_of(folder) for piece in pieces)


def test_a_run_stops_within_its_budget_and_the_next_goes_on(
    place: Place, headrace: Command, exact: FakeEndpoint, tmp_path: Path
) -> None:
    """What the endpoint counted stays within it; summary, job and status say so; nothing twice."""
    folder = tmp_path / f"budget_{tmp_path.name}"
    write_library(folder, 8, 3_000)
    whole = _tokens(folder)
    budget = whole * 2 // 5
    command = headrace.with_settings(collection=folder.name)
    paid = 0
    for _ in range(2):
        ended = command.run("import", folder, "--max-tokens", str(budget), "--json").expect(4)
        (summary,) = ended.json
        assert summary["state"] == "budget reached"
        assert f"--max-tokens {budget}" in summary["held"]
        spent = exact.stats()["tokens"] - paid
        # Less than a document was left; the command itself may embed one word, to see the model.
        assert budget - whole // 8 * 2 < summary["tokens"] <= spent <= budget + 2
        paid = exact.stats()["tokens"]
    shown = command.run("jobs", "show", summary["job"], "--json").expect(0).json
    assert (shown["state"], shown["held"]) == ("budget reached", summary["held"])
    status = command.run("status").expect(0).out
    assert re.search(rf"{summary['job']} .* budget reached .*\n +held: the budget of", status)
    assert f"tokens embedded for {folder.name}" in status
    (last,) = command.run("import", folder, "--max-tokens", str(budget), "--json").expect(0).json
    assert (last["state"], last["held"]) == ("done", "")
    assert whole <= exact.stats()["tokens"] <= whole + 6
    place.servers.assert_holds(folder.name, chunks_of(folder))


def test_a_day_is_shared_by_all_runs_of_a_source(
    headrace: Command, exact: FakeEndpoint, tmp_path: Path
) -> None:
    """In dollars as well; a second run on the same day embeds nothing more."""
    folder = tmp_path / f"day_{tmp_path.name}"
    write_library(folder, 6, 2_000)
    usd = _tokens(folder) / 2 * 3.0 / 1e6
    command = headrace.with_settings(
        collection=folder.name, embedding_price=3.0, source_cost_per_day=f"{usd:.6f}"
    )
    (first,) = command.run("import", folder, "--json").expect(4).json
    assert 0 < first["tokens"] * 3.0 / 1e6 <= usd
    paid = exact.stats()["tokens"]
    ended = command.run("import", folder).expect(4)
    assert "held       the day's budget of source" in ended.out
    assert "source_cost_per_day" in ended.out
    assert exact.stats()["tokens"] - paid <= 2
    refused = command.with_settings(embedding_price="").run("import", folder).expect(2)
    assert "HEADRACE_EMBEDDING_PRICE" in refused.err


def test_a_budget_leaves_deletions_for_later(
    place: Place, headrace: Command, exact: FakeEndpoint, tmp_path: Path
) -> None:
    """Until the rest is brought, what is gone from the source stays searchable."""
    folder = tmp_path / f"later_{tmp_path.name}"
    write_library(folder, 6, 2_000)
    command = headrace.with_settings(collection=folder.name)
    command.run("import", folder).expect(0)
    gone, *others = sorted(folder.rglob("*.md"))
    gone.unlink()
    for path in others[:2]:
        path.write_text(path.read_text().replace("the", "no").replace("mill", "forge"))
    budget = str(_tokens(folder) // 4)  # one of the two
    (held,) = command.run("import", folder, "--max-tokens", budget, "--json").expect(4).json
    assert held["deleted"] == 0
    (done,) = command.run("import", folder, "--json").expect(0).json
    assert done["deleted"] == 1
    place.servers.assert_holds(folder.name, chunks_of(folder))


def test_what_another_way_to_cut_costs_is_told_before(
    place: Place, headrace: Command, exact: FakeEndpoint, tmp_path: Path
) -> None:
    """What is announced is what the endpoint counts then, on standard error and in the job."""
    folder = tmp_path / f"recut_{tmp_path.name}"
    write_library(folder, 6, 3_000)
    command = headrace.with_settings(collection=folder.name, embedding_price=3.0)
    command.run("import", folder).expect(0)
    paid = exact.stats()["tokens"]
    smaller = command.with_settings(chunk_size=90, chunk_overlap=10)
    (foretold,) = smaller.run("import", folder, "--dry-run", "--json").expect(0).json
    ended = smaller.run("import", folder, "--json").expect(0)
    (summary,) = ended.json
    assert summary["changed"] == 6
    notice = (
        f"{folder.name}: chunk_size 200 -> 90, chunk_overlap 20 -> 10: 6 documents to be embedded "
        f"anew, at most {summary['chunks']} chunks, {summary['tokens']} tokens, "
        f"at most about ${summary['tokens'] * 3.0 / 1e6:.4f}"
    )
    assert notice in ended.err
    assert foretold["tokens"] == summary["tokens"]
    # The command itself may embed one word, to see whether the model is there.
    assert summary["tokens"] <= exact.stats()["tokens"] - paid <= summary["tokens"] + 4
    shown = smaller.run("jobs", "show", summary["job"], "--json").expect(0).json
    assert shown["notice"] == notice
    assert "chunk_size" not in smaller.run("import", folder).expect(0).err
    settings = load_settings({}, folder, chunk_size=90, chunk_overlap=10)
    place.servers.assert_holds(folder.name, chunks_of(folder, settings))
