"""Traces: which spans there are, what they belong to, and what they never hold."""

import time
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import INVALID_SPAN, Span, get_current_span, get_tracer_provider

from contract.errors import TransientError
from contract.settings import load_settings
from contract.tracing import begun_trace, carried, span, start_tracing
from contract.tracing_sdk import start_sdk


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Sample every trace, and keep the spans."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr("contract.tracing._TRACER", provider.get_tracer("headrace"))
    yield exporter
    provider.shutdown()


def test_without_a_set_up_nothing_is_traced() -> None:
    """The API does nothing; what is carried is empty, so payloads are as they were."""
    before = get_tracer_provider()
    with begun_trace("publish") as span_of_batch:
        assert carried(span_of_batch) == ""
        with span("embed") as stage:
            assert stage is INVALID_SPAN
    start_tracing(load_settings({}), "worker")()
    assert get_tracer_provider() is before


def test_each_trace_is_its_own_and_linked(spans: InMemorySpanExporter) -> None:
    """A job of a million batches is a million short traces, not one long one."""
    with begun_trace("job") as job:
        for _ in range(2):
            with begun_trace("publish", batch="b"):
                pass
    first, second, whole = spans.get_finished_spans()
    assert len({found.context.trace_id for found in (first, second, whole)}) == 3
    assert [link.context for link in first.links] == [job.get_span_context()]
    assert first.attributes == {"headrace.batch": "b"}


def test_what_is_carried_goes_on_elsewhere(spans: InMemorySpanExporter) -> None:
    """The worker's spans belong to the trace of the batch, whoever published it."""
    with begun_trace("publish") as published:
        parent = carried(published)
    with span("ingest", parent), span("embed"):
        pass
    _, embed, ingest = spans.get_finished_spans()
    assert {embed.context.trace_id, ingest.context.trace_id} == {
        published.get_span_context().trace_id
    }
    assert embed.parent is not None
    assert embed.parent.span_id == ingest.context.span_id


@pytest.mark.parametrize("parent", ["", "nonsense", "00-" + 32 * "0" + "-" + 16 * "0" + "-01"])
def test_what_was_not_sampled_begins_no_trace(spans: InMemorySpanExporter, parent: str) -> None:
    """A batch without a trace, or with a stranger's nonsense, is ingested without one."""
    with span("ingest", parent) as ingest, span("embed"):
        assert ingest is INVALID_SPAN
        assert not get_current_span().get_span_context().is_valid
    assert not spans.get_finished_spans()


def test_a_share_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the sampler leaves out costs no child, and carries nothing."""
    provider = TracerProvider(sampler=ALWAYS_OFF)
    monkeypatch.setattr("contract.tracing._TRACER", provider.get_tracer("headrace"))
    with begun_trace("publish") as published, span("embed") as stage:
        assert (carried(published), stage) == ("", INVALID_SPAN)
    provider.shutdown()


@pytest.mark.parametrize(
    ("error", "said"), [(ValueError("s3cret"), None), (TransientError("Milvus is away"), "Milvus")]
)
def test_errors_are_told_by_type(
    spans: InMemorySpanExporter, error: Exception, said: str | None
) -> None:
    """A stranger's message may quote a document; ours are made without."""

    def fail(_: Span) -> None:
        raise error

    with pytest.raises(type(error)), begun_trace("ingest") as ingest:
        fail(ingest)
    (found,) = spans.get_finished_spans()
    assert found.attributes is not None
    assert found.attributes["error.type"] == type(error).__name__
    assert not found.events
    assert "s3cret" not in found.to_json()
    assert (said or "") in (found.status.description or "")


def test_a_collector_that_is_away_does_not_keep_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last spans are lost then, after a moment."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    kept: list[TracerProvider] = []
    monkeypatch.setattr("opentelemetry.trace.set_tracer_provider", kept.append)
    close = start_sdk(1.0, "worker", close_ms=200)
    with kept[0].get_tracer("headrace").start_as_current_span("publish"):
        pass
    begun = time.monotonic()
    close()
    assert time.monotonic() - begun < 20
