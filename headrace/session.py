"""Which servers a command uses: those that are configured, or embedded ones."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from contract.config_file import CONFIG_VARIABLE
from contract.errors import UnreachableError, UsageError
from contract.settings import ENVIRONMENT_PREFIX, Settings
from headrace.local.children import Children
from headrace.local.servers import Addresses, LocalServers, attach

Say = Callable[[str], None]
OnExit = Callable[[int, int], None]

WORKER_COMMAND = (
    *(sys.executable, "-m", "celery", "-A", "worker.app", "worker"),
    *("--without-gossip", "--without-mingle", "--without-heartbeat"),
)

PRODUCER_COMMAND = (
    *(sys.executable, "-m", "celery", "-A", "headrace.schedules.app", "worker"),
    *("--without-gossip", "--without-mingle", "--without-heartbeat"),
)

EXPORTER_COMMAND = (
    *(sys.executable, "-c", "from headrace.cli.main import main; main()"),
    "exporter",
)


@dataclass(frozen=True, slots=True)
class Session:
    """The servers of one command.

    Attributes:
        settings: with the addresses of the servers in them.
        is_local: whether the servers are embedded ones, so that workers must be started too.
    """

    settings: Settings
    is_local: bool

    @property
    def data_folder(self) -> Path:
        """Where embedded servers keep their data."""
        return self.settings.data_folder.absolute()


def is_local(settings: Settings) -> bool:
    """Tell whether embedded servers are to be used.

    Raises:
        UsageError: only one of the two servers is configured.
    """
    given = (settings.redis_url is not None, settings.milvus_uri is not None)
    if given in {(True, False), (False, True)}:
        missing = "HEADRACE_MILVUS_URI" if given[0] else "HEADRACE_REDIS_URL"
        raise UsageError(
            f"{missing} is not set but the other server is; set both, or none to use embedded ones"
        )
    return not given[0]


@contextmanager
def open_session(settings: Settings, say: Say) -> Iterator[Session]:
    """Use the configured servers, or embedded ones while the block lasts.

    Raises:
        UsageError: the configuration is incomplete, or the data folder can't be used.
        UnreachableError: an embedded server does not start.
    """
    if not is_local(settings):
        yield Session(settings, is_local=False)
        return
    with LocalServers(settings.data_folder.absolute(), on_event=say) as servers:
        yield Session(with_addresses(settings, servers), is_local=True)


def running_session(settings: Settings) -> Session | None:
    """Use servers that run already; None when embedded ones are to be used and none run."""
    if not is_local(settings):
        return Session(settings, is_local=False)
    found = attach(settings.data_folder.absolute())
    return Session(with_addresses(settings, found), is_local=True) if found else None


def has_ended(session: Session) -> bool:
    """Tell whether an embedded server has ended."""
    return session.is_local and attach(session.data_folder) is None


def require_servers(session: Session) -> None:
    """Notice when an embedded server has ended: nothing else would bring it back.

    Raises:
        UnreachableError: one of them does not run any more.
    """
    if has_ended(session):
        raise UnreachableError(
            f"an embedded server has ended; {session.data_folder / 'logs'} says why. "
            "To go on, run the same command again"
        )


def with_addresses(settings: Settings, servers: LocalServers | Addresses) -> Settings:
    """Put the addresses of embedded servers into the settings."""
    return settings.model_copy(
        update={
            "redis_url": SecretStr(servers.redis_url),
            "broker_url": None,
            "milvus_uri": servers.milvus_uri,
        }
    )


def start_workers(session: Session, count: int, on_exit: OnExit) -> Children:
    """Prepare worker processes that end with this one; enter the result to start them."""
    settings = session.settings

    def command(number: int) -> list[str]:
        port = port_of(settings, number)
        return ["env", f"HEADRACE_METRICS_PORT={port}", *WORKER_COMMAND]

    return Children(
        command, worker_environment(settings), count, session.data_folder / "logs", on_exit
    )


def port_of(settings: Settings, place: int) -> int:
    """Give the port of ``/metrics`` of one of the processes of this machine; 0 for none.

    Args:
        settings: name the first port.
        place: of workers from 0; then the producer worker, then the scheduler.
    """
    return settings.metrics_port and settings.metrics_port + place


def start_producer(session: Session, on_exit: OnExit) -> Children:
    """Prepare a producer worker that ends with this process; enter the result to start it.

    Its port of ``/metrics`` is the next after those of the workers.
    """
    settings = session.settings
    port = port_of(settings, settings.workers)
    return Children(
        lambda _: PRODUCER_COMMAND,
        worker_environment(settings.model_copy(update={"metrics_port": port})),
        1,
        session.data_folder / "logs",
        on_exit,
        name="producer",
    )


def start_exporter(session: Session, on_exit: OnExit) -> Children:
    """Prepare an exporter that ends with this process; enter the result to start it."""
    return Children(
        lambda _: EXPORTER_COMMAND,
        worker_environment(session.settings),
        1 if session.settings.exporter_port else 0,
        session.data_folder / "logs",
        on_exit,
        name="exporter",
    )


def worker_environment(settings: Settings) -> dict[str, str]:
    """Give the environment of a worker process that is to have exactly these settings."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(ENVIRONMENT_PREFIX)}
    return {
        **inherited,
        **settings.environment(),
        # Read already; what stands there must not win over a default typed on the command line.
        CONFIG_VARIABLE: os.devnull,
        # The packages may lie in the working folder instead of site-packages.
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
