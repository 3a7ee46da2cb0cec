"""The worker process: ``celery -A worker.app worker``.

The composition root: the only place of the worker that reads settings and environment.
Exit codes: 2 when the configuration can never work, so that a supervisor does not loop; 75 when
no message reaches the process any more, so that a supervisor starts it anew at once.
"""

import logging
import sys
from typing import Any

from celery import signals

from contract.errors import UsageError
from contract.logs import configure_logs
from contract.queue import make_app
from contract.settings import load_settings
from worker.lifecycle import WorkerProcess
from worker.pool import LIVE_SLOTS
from worker.task import register

CANNOT_START = 2

logger = logging.getLogger(__name__)


def _refuse(error: UsageError) -> SystemExit:
    sys.stderr.write(f"headrace worker: {error}\n")
    return SystemExit(CANNOT_START)


try:
    settings = load_settings()
    app = make_app(settings)
except UsageError as error:
    raise _refuse(error) from error

app.conf.update(
    {
        "worker_pool": "worker.pool:TaskPool",
        "worker_concurrency": settings.worker_concurrency,
        LIVE_SLOTS: settings.live_slots,
    }
)
process = WorkerProcess(settings, app)
register(app, process)


@signals.setup_logging.connect(weak=False)
def _logs(**_: Any) -> None:
    configure_logs(settings.log_level, settings.log_format)


@signals.worker_init.connect(weak=False)
def _start(**_: Any) -> None:
    try:
        process.start()
    except UsageError as error:
        raise _refuse(error) from error
    except Exception as error:
        # Celery logs what a signal's receiver raises, and goes on with half a worker.
        logger.exception("worker can't start", extra={"event": "start_failed"})
        raise SystemExit(1) from error


@signals.worker_shutting_down.connect(weak=False)
def _drain(**_: Any) -> None:
    process.drain()


@signals.worker_shutdown.connect(weak=False)
def _stop(**_: Any) -> None:
    process.stop()
