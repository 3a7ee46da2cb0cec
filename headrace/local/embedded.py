"""One embedded server of a data folder: found again or started, made ready, stopped."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from contract.errors import UnreachableError
from headrace.local.folder import DataFolder
from headrace.local.log_file import LogFile
from headrace.local.server import Launch, ServerProcess

_POLL_SECONDS = 0.02
_PROBE_SECONDS = 2.0

_logger = logging.getLogger(__name__)


class Kind(Protocol):
    """What differs between the kinds of servers."""

    name: str
    title: str
    stop_grace_seconds: float

    def launch(self) -> Launch:
        """Choose an address and build the command."""

    def address_of(self, command: Sequence[str]) -> str | None:
        """Read the address out of a command line; None for any other program."""

    def answers(self, address: str, wait_seconds: float) -> bool:
        """Say whether the server there is ready."""

    def url(self, address: str) -> str:
        """Give the address as clients want it."""

    def clear(self, address: str) -> None:
        """Remove what a stopped server may have left at its address."""


class EmbeddedServer:
    """One server of a data folder.

    All but ``running_url`` need the folder's start lock.
    """

    def __init__(self, kind: Kind, folder: DataFolder, say: Callable[[str], None]) -> None:
        self._kind = kind
        self._say = say
        self._record = folder.run / f"{kind.name}.json"
        self._log = LogFile(folder.logs / f"{kind.name}.log")
        self._process: ServerProcess | None = None
        self._started_here = False

    @property
    def url(self) -> str:
        """The server's address as clients want it; known once found or started."""
        if self._process is None:
            raise UnreachableError(f"{self._kind.title} is not running")
        return self._kind.url(self._process.address)

    def running_url(self) -> str | None:
        """Give the address of a server that runs and has answered before; change nothing."""
        process = ServerProcess.read(self._record)
        if process is None or not process.ready or not process.is_alive(self._kind.address_of):
            return None
        return self._kind.url(process.address)

    def find_or_start(self) -> None:
        """Find the server that an earlier command left, or start one; don't wait for it."""
        self._process = self._find()
        self._started_here = False
        if self._process is None:
            self._start()
        else:
            self._say(f"found {self._kind.title} running (pid {self._process.pid})")

    def become_ready(
        self, start_wait_seconds: float, answer_wait_seconds: float, *, alone: bool
    ) -> None:
        """Wait until the server answers; replace a found one that does not, if ``alone``.

        Raises:
            UnreachableError: it did not start, or one that others use does not answer.
        """
        if self._process is None:
            self.find_or_start()
        if not self._started_here and not self._answers_within(answer_wait_seconds):
            if not alone:
                raise UnreachableError(
                    f"{self._kind.title} at {self.url} does not answer within "
                    f"{answer_wait_seconds:g} s; other commands use it, so it is left alone: "
                    "try again, or end them"
                )
            self._say(f"{self._kind.title} does not answer; replacing it")
            self.stop()
            self._start()
        if self._started_here and not self._answers_within(start_wait_seconds):
            raise UnreachableError(self._failure(start_wait_seconds))

    def stop(self) -> None:
        """Stop the server if it runs, whoever started it; its data stays.

        Raises:
            UnreachableError: the process can't be ended.
        """
        process = self._process or self._find()
        if process is not None:
            self._say(f"stopping {self._kind.title}")
            if not process.stop(self._kind.address_of, self._kind.stop_grace_seconds):
                raise UnreachableError(
                    f"{self._kind.title} (pid {process.pid}) can't be ended, not even by "
                    "SIGKILL; look at its disk, or restart the machine"
                )
            self._kind.clear(process.address)
        self._record.unlink(missing_ok=True)
        self._process = None

    def stop_if_started_here(self) -> None:
        """Stop the server if this object started it."""
        if self._started_here:
            self.stop()

    def _find(self) -> ServerProcess | None:
        process = ServerProcess.read(self._record)
        if process is not None and process.is_alive(self._kind.address_of):
            return process
        if process is not None:
            self._kind.clear(process.address)
        # Its parent may have been killed before it could write the record.
        return ServerProcess.search(self._kind.address_of)

    def _start(self) -> None:
        self._say(f"starting {self._kind.title}")
        launch = self._kind.launch()
        try:
            self._process = ServerProcess.start(launch, self._log, self._record)
        except OSError as error:
            raise UnreachableError(f"{launch.command[0]}: can't be started: {error}") from error
        self._started_here = True
        _logger.info(
            "embedded server started",
            extra={"server": self._kind.name, "pid": self._process.pid},
        )

    def _answers_within(self, wait_seconds: float) -> bool:
        process = self._process
        deadline = time.monotonic() + wait_seconds
        while process is not None and process.is_alive(self._kind.address_of):
            left_seconds = deadline - time.monotonic()
            if left_seconds <= 0:
                return False
            if self._kind.answers(process.address, min(left_seconds, _PROBE_SECONDS)):
                self._process = process.as_ready()
                self._process.write(self._record)
                return True
            time.sleep(_POLL_SECONDS)
        return False

    def _failure(self, wait_seconds: float) -> str:
        process = self._process
        lives = process is not None and process.is_alive(self._kind.address_of)
        what = f"did not answer within {wait_seconds:g} s" if lives else "ended while starting"
        tail = "\n".join(f"  {line}" for line in self._log.tail())
        return (
            f"{self._kind.title} {what}. The end of its log {self._log.path}:\n"
            f"{tail or '  (empty)'}"
        )
