"""The Celery task: a thin synchronous bridge into the process's event loop."""

from celery import Celery

from contract.names import INGEST_TASK
from worker.lifecycle import WorkerProcess


def register(app: Celery, process: WorkerProcess) -> None:
    """Tell Celery what to do with a message: its arguments are a collection and a batch id."""

    def ingest(collection: str, batch_id: str) -> None:
        process.ingest(collection, batch_id)

    app.task(name=INGEST_TASK, ignore_result=True)(ingest)
