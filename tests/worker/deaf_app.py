"""The worker's app, with a consumer that can be made deaf: for tests of what happens then.

A file of the name ``deaf`` in the working folder cancels the consumer, as a reconnect that
went wrong would; ``hang`` hangs Celery's main thread, as a call without an answer would.
"""

import time
from pathlib import Path
from typing import Any

from celery import bootsteps

from worker.app import app, process

__all__ = ["app"]


class Fault(bootsteps.StartStopStep):  # type: ignore[misc]
    """Looks for the files from within Celery's main loop."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer: Any) -> None:
        """Begin to look."""
        consumer.timer.call_repeatedly(0.1, self.look, (consumer,))

    def look(self, consumer: Any) -> None:
        """Do what the files say."""
        if Path("deaf").exists():
            for queue in list(consumer.task_consumer.queues):
                consumer.task_consumer.cancel_by_queue(queue.name)
        if Path("hang").exists():
            time.sleep(3_600)


process.deaf_after_seconds = 2.0
app.steps["consumer"].add(Fault)
