"""The embedded servers of a data folder, shared by all commands that use it."""

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from contract.errors import TimedOutError, UnreachableError
from headrace.local.embedded import EmbeddedServer
from headrace.local.folder import DataFolder
from headrace.local.milvus_server import MilvusServer
from headrace.local.redis_server import RedisServer

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Addresses:
    """Where the servers of a folder listen.

    Attributes:
        redis_url: ``unix:///path?db=0``, for redis-py.
        milvus_uri: ``http://127.0.0.1:PORT``, for pymilvus.
    """

    redis_url: str
    milvus_uri: str


@dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds.

    Attributes:
        lock_seconds: for other commands that start or stop the servers of the folder.
        start_seconds: for a server that was started to answer.
        answer_seconds: for a server that was found running to answer; one long call keeps
            Milvus busy for seconds.
    """

    lock_seconds: float = 180.0
    start_seconds: float = 60.0
    answer_seconds: float = 30.0


class LocalServers:
    """Runs the embedded servers while at least one command uses them.

    Entering starts both, or takes those of another command or of a killed one. Leaving stops
    them unless another command uses them still. Every step is safe to be killed in: locks
    fall with their process, and servers left behind are found by the next command.
    """

    def __init__(
        self,
        folder: Path,
        on_event: Callable[[str], None] | None = None,
        patience: Patience | None = None,
    ) -> None:
        """Remember what to do; nothing is touched yet.

        Args:
            folder: the data folder, made if it is missing.
            on_event: takes lines for a person to read, in the caller's thread.
            patience: how long to wait for what.
        """
        self._folder = DataFolder(folder)
        self._patience = patience or Patience()
        self._start_lock = self._folder.start_lock()
        self._users_lock = self._folder.users_lock()
        self._redis, self._milvus = _servers(self._folder, on_event or _quiet)
        self._addresses: Addresses | None = None

    def __enter__(self) -> Self:
        """Find or start both servers and wait until they answer.

        Raises:
            UsageError: the folder can't be used.
            TimedOutError: another command starts or stops servers for too long.
            UnreachableError: a server does not start or answer; what was started is stopped.
        """
        self._folder.create()
        self._start_lock.exclude(self._patience.lock_seconds)
        with ExitStack() as always:
            always.callback(self._start_lock.release)
            with ExitStack() as on_failure:
                on_failure.callback(self._leave)
                alone = self._users_lock.try_exclude()
                if not self._users_lock.try_share():
                    raise UnreachableError(
                        f"{self._users_lock.path}: locked by {self._users_lock.holder()}, which "
                        "is not how headrace uses it; end that process"
                    )
                on_failure.callback(self._redis.stop_if_started_here)
                on_failure.callback(self._milvus.stop_if_started_here)
                self._make_ready(alone=alone)
                on_failure.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the servers if nobody else uses them."""
        self._addresses = None
        try:
            self._start_lock.exclude(self._patience.lock_seconds)
        except TimedOutError as busy:
            # Whoever has the lock uses the servers, so they are theirs to stop.
            _logger.warning("embedded servers left running", extra={"reason": str(busy)})
            self._users_lock.release()
            return
        try:
            self._leave()
        finally:
            self._start_lock.release()

    @property
    def redis_url(self) -> str:
        """Where Redis listens, in the form of redis-py."""
        return self._entered().redis_url

    @property
    def milvus_uri(self) -> str:
        """Where Milvus listens, in the form of pymilvus."""
        return self._entered().milvus_uri

    def _make_ready(self, *, alone: bool) -> None:
        both = (self._redis, self._milvus)
        for server in both:
            server.find_or_start()
        for server in both:
            server.become_ready(
                self._patience.start_seconds, self._patience.answer_seconds, alone=alone
            )
        self._addresses = Addresses(self._redis.url, self._milvus.url)

    def _leave(self) -> None:
        """Stop the servers if this was the last user; needs the start lock."""
        try:
            if self._users_lock.try_exclude():
                with ExitStack() as both:
                    both.callback(self._redis.stop)
                    both.callback(self._milvus.stop)
        finally:
            self._users_lock.release()

    def _entered(self) -> Addresses:
        if self._addresses is None:
            raise UnreachableError("the embedded servers are used outside of their `with` block")
        return self._addresses


def attach(folder: Path) -> Addresses | None:
    """Find the running servers of a data folder; start, stop and change nothing.

    Both processes run and have answered before; they may end at any moment after.

    Returns:
        Their addresses, or None if there is no such folder or one of them does not run.

    Raises:
        UsageError: the folder belongs to someone else.
    """
    data_folder = DataFolder(folder)
    if not data_folder.exists():
        return None
    redis_url, milvus_uri = (server.running_url() for server in _servers(data_folder, _quiet))
    if redis_url is None or milvus_uri is None:
        return None
    return Addresses(redis_url, milvus_uri)


def _servers(
    folder: DataFolder, say: Callable[[str], None]
) -> tuple[EmbeddedServer, EmbeddedServer]:
    return (
        EmbeddedServer(RedisServer(folder), folder, say),
        EmbeddedServer(MilvusServer(folder), folder, say),
    )


def _quiet(_line: str) -> None:
    """Say nothing."""
