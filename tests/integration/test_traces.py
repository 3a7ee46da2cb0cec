"""Promises of traces and logs: what one import shows of itself, from file to commit."""

import json
from collections import defaultdict
from pathlib import Path

import pytest

from tests.integration.conftest import Place
from tests.servers.collector import trace_collector
from tests.servers.command import Command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

MARKER = "zanzibar"


def test_an_import_can_be_followed_from_file_to_commit(
    place: Place, headrace: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each batch is a trace over both processes, with its stages; none holds a text."""
    folder = tmp_path / "traced"
    folder.mkdir()
    for number in range(12):
        (folder / f"{number}.md").write_text(f"# Note {number}\n\n{f'{MARKER} {number} ' * 40}\n")
    with trace_collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        command = headrace.with_settings(
            tracing_ratio=1, batch_max_chunks=4, log_format="json", collection="traced"
        )
        (summary,) = command.run("import", folder, "--json").expect(0).json
        spans = collector.spans()
    assert summary["new"] == 12
    traces = defaultdict(list)
    for service, span in spans:
        traces[span.trace_id].append((service, span.name))
    batches = [trace for trace in traces.values() if ("headrace-import", "publish") in trace]
    assert len(batches) >= 3  # not one trace of everything
    for trace in batches:
        stages = {("headrace-worker", name) for name in ("ingest", "embed", "write", "commit")}
        assert stages <= set(trace), trace
    names = {span.name: span for _, span in spans}
    assert {"job", "read", "draft"} <= set(names)
    by_id = {span.span_id: span.name for _, span in spans}
    links = {by_id.get(link.span_id) for link in names["publish"].links}
    assert {"job", "draft"} <= links
    assert all(MARKER.encode() not in body for body in collector.raw)


def test_logs_of_workers_are_json_and_hold_no_text(
    place: Place, headrace: Command, tmp_path: Path
) -> None:
    """Each line of ours is one object; a document's text is in none, whatever becomes of it."""
    folder = tmp_path / "logged"
    folder.mkdir()
    (folder / "a.md").write_text(f"# A\n\n{MARKER}\n")
    command = headrace.with_settings(log_format="json", log_level="debug", collection="logged")
    command.run("import", folder, "--json").expect(0)
    logs = sorted((place.folder / ".headrace" / "logs").glob("worker*.log"))
    assert logs
    text = "".join(path.read_text() for path in logs)
    assert MARKER not in text
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    assert {"time", "level", "logger", "message"} <= set(lines[0])
    assert any(line.get("event") == "stopped" for line in lines)
