"""Logs as events: one line each, a constant message and fields, on standard error.

Fields are what ``extra`` gives, the ids that are bound (``log_context``), and of a span that is
sampled its trace. Never a document's text, nor a secret: tracebacks are without the messages of
other people's errors.
"""

import logging
import sys
import time
from collections.abc import Mapping
from typing import Any, Final, Literal

import orjson
from opentelemetry import trace

from contract.log_context import bound_now
from contract.log_repeats import Repeats
from contract.log_traceback import safe_traceback

Format = Literal["console", "json"]
Level = Literal["debug", "info", "warning", "error"]

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "message", "asctime", "taskName", "data", "otelSpanID", "otelTraceID",
}  # fmt: skip
_CHATTY: Final = (
    "httpx", "httpx2", "httpcore", "openai", "urllib3", "kombu", "celery.worker.strategy",
    # It tells of each task's start and end at INFO; batches have metrics instead.
    "celery.app.trace",
)  # fmt: skip


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Give all fields of a line, those of the call itself last."""
    fields: dict[str, Any] = dict(bound_now())
    span = trace.get_current_span().get_span_context()
    if span.is_valid and span.trace_flags.sampled:
        fields["trace_id"] = trace.format_trace_id(span.trace_id)
    fields |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
    return fields


class ConsoleFormatter(logging.Formatter):
    """``time level logger: message key=value ...``, times in UTC."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        """Use ISO 8601 times."""
        super().__init__("%(asctime)sZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Put the fields behind the message."""
        fields = (f"{key}={value!r}" for key, value in fields_of(record).items())
        return " ".join((super().formatMessage(record), *fields))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        """Tell where it happened, and what we ourselves said."""
        return safe_traceback(ei[1])


class JsonFormatter(logging.Formatter):
    """A JSON object a line: ``time`` (ISO 8601, UTC), ``level``, ``logger``, ``message``, fields.

    A field that is named as one of these four, or ``error_traceback``, is left out.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Write one line."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["error_traceback"] = safe_traceback(record.exc_info[1])
        return orjson.dumps({**fields_of(record), **line}, default=repr, option=_OPTIONS).decode()


_OPTIONS: Final = orjson.OPT_NON_STR_KEYS
FORMATTERS: Final[Mapping[Format, type[logging.Formatter]]] = {
    "console": ConsoleFormatter,
    "json": JsonFormatter,
}


def configure_logs(level: Level, form: Format = "console") -> None:
    """Send this process's logs to standard error; called by a composition root."""
    least = logging.getLevelNamesMapping()[level.upper()]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(FORMATTERS[form]())
    handler.addFilter(Repeats())
    logging.basicConfig(level=least, handlers=[handler], force=True)
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(max(least, logging.WARNING))
