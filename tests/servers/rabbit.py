"""A RabbitMQ of Debian's, as a process of its own on free ports of loopback."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.command import until

PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
START_SECONDS = 60.0


class Rabbit:
    """A broker that can be killed and started again, with its messages."""

    def __init__(self, folder: Path) -> None:
        """Choose ports; nothing is started yet."""
        self._folder = folder
        self.port, self._distribution, self._epmd = _free_ports(3)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """For ``HEADRACE_BROKER_URL``; the account is RabbitMQ's own, for loopback alone."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        folder = self._folder
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "RABBITMQ_NODENAME": f"headrace{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(folder / "none"),
            # No daemon of Erlang's that would outlive the test.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                f"-start_epmd false -erl_epmd_port {self._distribution}"
            ),
            "ERL_EPMD_PORT": str(self._epmd),
        }
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "out").open("ab") as out:
            self._process = subprocess.Popen(
                [PROGRAM], env=environment, stdout=out, stderr=out, start_new_session=True
            )
        until(self._is_up, "RabbitMQ", START_SECONDS)

    def kill(self) -> None:
        """End it and all that it has started, at once."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "out").read_text()
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), 1) as s,
        ):
            s.sendall(b"AMQP\x00\x00\x09\x01")
            s.settimeout(2)
            return bool(s.recv(1))
        return False


@contextlib.contextmanager
def rabbit_server(folder: Path) -> Iterator[Rabbit]:
    """Run one for as long as the block lasts; skip where there is none."""
    if not PROGRAM.exists() or shutil.which("erl") is None:
        pytest.skip("no rabbitmq-server here; Debian has it")
    rabbit = Rabbit(folder)
    rabbit.start()
    try:
        yield rabbit
    finally:
        rabbit.kill()


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
