"""The producer worker: ``celery -A headrace.schedules.app worker``, which carries out runs.

A composition root, as ``worker.app`` is. Exit code 2 when the configuration can never work, so
that a supervisor does not loop.
"""

import sys
from typing import Any

from celery import signals

from contract.errors import UsageError
from contract.logs import configure_logs
from contract.queue import is_on_redis, make_app, queues
from contract.settings import load_settings
from headrace.schedules.names import RUN_QUEUE, RUN_TASK
from headrace.schedules.process import ProducerProcess

CANNOT_START = 2


def _refuse(error: UsageError) -> SystemExit:
    sys.stderr.write(f"headrace producer: {error}\n")
    return SystemExit(CANNOT_START)


try:
    settings = load_settings()
    app = make_app(settings)
except UsageError as error:
    raise _refuse(error) from error

app.conf.update(
    worker_pool="threads",
    worker_concurrency=settings.run_slots,
    task_queues=queues([RUN_QUEUE], on_redis=is_on_redis(settings)),
    task_default_queue=RUN_QUEUE,
)
process = ProducerProcess(settings)


def _run(run_id: str) -> None:
    process.run(run_id)


app.task(name=RUN_TASK, ignore_result=True)(_run)


@signals.setup_logging.connect(weak=False)
def _logs(**_: Any) -> None:
    configure_logs(settings.log_level, settings.log_format)


@signals.worker_init.connect(weak=False)
def _start(**_: Any) -> None:
    try:
        process.start()
    except UsageError as error:
        raise _refuse(error) from error


@signals.worker_shutting_down.connect(weak=False)
def _drain(**_: Any) -> None:
    process.drain()


@signals.worker_shutdown.connect(weak=False)
def _stop(**_: Any) -> None:
    process.stop()
