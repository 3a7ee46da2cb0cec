"""The worker processes that a command on embedded servers starts for itself."""

import asyncio

from contract.errors import HeadraceError, UnreachableError, UsageError
from headrace.local.children import Children
from headrace.orphans import take_away
from headrace.session import Session, start_workers

STOP_GRACE_SECONDS = 30.0


class Workforce:
    """Workers that are started once there is something to do, and stopped in order.

    With servers by URL it stays empty: workers run elsewhere.
    """

    def __init__(self, session: Session) -> None:
        """Prepare; nothing is started yet."""
        self._session = session
        self._children: Children | None = None

    @property
    def is_working(self) -> bool:
        """Tell whether workers were started."""
        return self._children is not None

    def start(self) -> None:
        """Start workers, unless they run already or are not ours to start.

        Raises:
            UsageError: a worker process can't be started.
        """
        if self._children or not self._session.is_local:
            return
        loop = asyncio.get_running_loop()
        settings = self._session.settings

        def on_exit(pid: int, _returncode: int) -> None:
            asyncio.run_coroutine_threadsafe(take_away(settings, pid), loop)

        self._children = start_workers(self._session, settings.workers, on_exit)
        self._children.__enter__()

    def raise_failure(self) -> None:
        """Raise why a worker can never start, once one of them said so.

        Raises:
            UsageError: its settings are wrong.
            UnreachableError: it does not reach a server.
        """
        failure = self._children.failure if self._children else None
        if failure is None:
            return
        error: type[HeadraceError] = UsageError if failure.returncode == 2 else UnreachableError  # noqa: PLR2004 - see worker.app
        raise error("a worker can't start:\n" + "\n".join(failure.log_lines))

    async def stop(self) -> None:
        """Stop the workers in order: batches in flight may end first."""
        if self._children is not None:
            await asyncio.to_thread(self._children.stop, STOP_GRACE_SECONDS)
