"""OpenTelemetry's SDK, set up for one process; imported only where traces are wanted."""

import platform
from collections.abc import Callable
from importlib.metadata import version

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

SEND_SECONDS = 5.0


def start_sdk(ratio: float, role: str, close_ms: int) -> Callable[[], None]:
    """Send a share of the traces by OTLP over HTTP; returns what ends it.

    Args:
        ratio: of the traces that begin here; one that began elsewhere fares as it does there.
        role: of this process.
        close_ms: for the last spans.
    """
    resource = Resource.create(
        {
            "service.name": f"headrace-{role}",
            "service.namespace": "headrace",
            "service.version": version("headrace"),
            "host.name": platform.node(),
        }
    )
    provider = TracerProvider(resource=resource, sampler=ParentBased(TraceIdRatioBased(ratio)))
    exporter = OTLPSpanExporter(timeout=SEND_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)

    def end() -> None:
        provider.force_flush(close_ms)
        provider.shutdown()

    return end
