"""Logs as events: one line each, a constant message and fields, on standard error."""

import logging
import sys
import time

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "data"}


class EventFormatter(logging.Formatter):
    """``time level logger: message key=value ...``, times in UTC."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        """Use ISO 8601 times."""
        super().__init__("%(asctime)sZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Put the fields given by ``extra`` behind the message."""
        fields = (f"{k}={v!r}" for k, v in vars(record).items() if k not in _STANDARD)
        return " ".join((super().formatMessage(record), *fields))


def configure_logs(level: int = logging.INFO) -> None:
    """Send this process's logs to standard error; called once, by a composition root."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(EventFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for chatty in ("httpx", "httpx2", "httpcore", "openai", "kombu", "celery.worker.strategy"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # Celery tells of each task's start and end at INFO; batches have metrics instead.
    logging.getLogger("celery.app.trace").setLevel(logging.WARNING)
