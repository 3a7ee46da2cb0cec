"""Traces, by OpenTelemetry: a span for each stage, and what carries them from process to process.

The code speaks to OpenTelemetry's API, which does nothing (6 us a span) until ``start_tracing``
sets its SDK up: that comes with the extra ``otel``. Where spans go is said by OpenTelemetry's own
variables (``OTEL_EXPORTER_OTLP_ENDPOINT`` ...).

No bulk import becomes one trace: each group that is read, and each batch, begins a trace of its
own, of which a share is kept, and links to what it came from. A batch carries its context in its
payload, so it survives a kill; a batch that is tried again continues its trace.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from contract.errors import HeadraceError, UsageError
from contract.settings import Settings

CLOSE_MS: Final = 3_000
"""For the last spans of a process; a collector that is away must not keep it."""
_PROPAGATOR: Final = TraceContextTextMapPropagator()
_FIELD: Final = "traceparent"
_TRACER: Final = trace.get_tracer("headrace")


@contextlib.contextmanager
def begun_trace(
    name: str,
    links: Sequence[SpanContext] = (),
    kind: SpanKind = SpanKind.INTERNAL,
    **attributes: AttributeValue,
) -> Iterator[Span]:
    """Begin a trace of its own, linked to what is under way; the block is its first span."""
    around = trace.get_current_span().get_span_context()
    linked = [context for context in (around, *links) if context.trace_flags.sampled]
    with _ended_well(
        _TRACER.start_as_current_span(
            name,
            Context(),
            kind,
            _named(attributes),
            [Link(context) for context in linked],
            record_exception=False,
            set_status_on_exception=False,
        )
    ) as span:
        yield span


@contextlib.contextmanager
def span(
    name: str,
    parent: str | None = None,
    kind: SpanKind = SpanKind.INTERNAL,
    **attributes: AttributeValue,
) -> Iterator[Span]:
    """Make the block a span below the current one, or below one that was carried here.

    Where that one is not sampled, this is none either.

    Args:
        name: of a closed set.
        parent: what ``carried`` gave; None: the current one.
        kind: whether it sends or takes a message.
        attributes: ids and numbers; never texts.
    """
    context = None if parent is None else _PROPAGATOR.extract({_FIELD: parent}, Context())
    above = trace.get_current_span(context).get_span_context()
    if not above.trace_flags.sampled:
        yield trace.INVALID_SPAN
        return
    with _ended_well(
        _TRACER.start_as_current_span(
            name,
            context,
            kind,
            _named(attributes),
            record_exception=False,
            set_status_on_exception=False,
        )
    ) as begun:
        yield begun


def carried(begun: Span) -> str:
    """Give what names a span to another process; empty when it is not sampled."""
    if not begun.get_span_context().trace_flags.sampled:
        return ""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, trace.set_span_in_context(begun))
    return carrier.get(_FIELD, "")


def start_tracing(settings: Settings, role: str) -> Callable[[], None]:
    """Send a share of the traces away, as the settings say; called by a composition root.

    Args:
        settings: ``tracing_ratio`` is the share; at 0 nothing is set up.
        role: of this process: ``worker``, ``producer``, ``scheduler`` or ``import``.

    Returns:
        What sends the last spans, and ends it; takes at most three seconds, more or less.

    Raises:
        UsageError: the extra is not installed.
    """
    if not settings.tracing_ratio or _is_set_up():
        return _nothing
    try:
        from contract.tracing_sdk import start_sdk  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise UsageError(
            "tracing_ratio is set, and OpenTelemetry's SDK is not installed: "
            "pip install 'headrace[otel]'"
        ) from error
    return start_sdk(settings.tracing_ratio, role, CLOSE_MS)


@contextlib.contextmanager
def _ended_well(begun: "contextlib.AbstractContextManager[Span]") -> Iterator[Span]:
    """Mark a span by the type of the error that ends it: messages may hold a stranger's text."""
    with begun as current:
        try:
            yield current
        except Exception as error:
            said = str(error) if isinstance(error, HeadraceError) else ""
            current.set_attribute("error.type", type(error).__name__)
            current.set_status(Status(StatusCode.ERROR, said or None))
            raise


def _named(attributes: dict[str, AttributeValue]) -> dict[str, AttributeValue]:
    return {f"headrace.{name}": value for name, value in attributes.items()}


def _is_set_up() -> bool:
    """Tell whether this process sends traces already: a program's own set-up stays as it is."""
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def _nothing() -> None:
    """End what was not begun."""
