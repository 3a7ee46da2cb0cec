"""The Celery task: a thin synchronous bridge into the process's event loop."""

from typing import Any

from celery import Celery

from contract.lane import Lane
from contract.names import INGEST_TASK
from worker.lifecycle import WorkerProcess


def register(app: Celery, process: WorkerProcess) -> None:
    """Tell Celery what to do with a message: its arguments are a collection and a batch id."""

    def ingest(task: Any, collection: str, batch_id: str) -> None:
        queue = task.request.delivery_info["routing_key"]
        process.ingest(collection, batch_id, Lane.of_queue(queue))

    app.task(name=INGEST_TASK, ignore_result=True, bind=True)(ingest)
