"""Promises of the command as a whole: exit codes, messages, and how fast it says no."""

import importlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from headrace.cli.main import COMMANDS
from tests.servers.command import Command
from tests.servers.redis import RedisServer, free_port, redis_tcp_server

_ROOT = Path(__file__).parents[3]
_HEAVY = ("pymilvus", "langchain_milvus", "openai", "onnxruntime", "celery", "pandas")
_LIMIT_SECONDS = 30.0  # on a busy machine; on an idle one it takes 5 to 8


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Give a port where connections are taken and nothing is ever answered."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield listener.getsockname()[1]


@pytest.mark.parametrize(
    "command", [(), *((name,) for name in COMMANDS if name != "bench")], ids=str
)
def test_help_imports_nothing_heavy(command: tuple[str, ...]) -> None:
    """Help is there at once, because it waits for no client library."""
    program = (
        "import sys\n"
        "from headrace.cli.main import cli\n"
        f"code = cli.main([*{command!r}, '--help'], standalone_mode=False)\n"
        f"heavy = [name for name in {_HEAVY!r} if name in sys.modules]\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=_ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Usage:" in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_listed_command_exists(name: str) -> None:
    """What --help lists can be run."""
    name = f"{name.replace('-', '_')}_command"
    module = importlib.import_module(f"headrace.cli.{name}")
    assert isinstance(getattr(module, name), click.Command)


def test_all_wrong_settings_are_named(tmp_path: Path) -> None:
    """Exit code 2, one line for each wrong setting, and no secret among them."""
    command = Command(
        tmp_path, redis_url="http://:sesame@x", lease_seconds="soon", chunk_sise=3, workers=0
    )
    ended = command.run("import", ".").expect(2)
    for name in ("REDIS_URL", "LEASE_SECONDS", "CHUNK_SISE", "WORKERS"):
        assert f"HEADRACE_{name}" in ended.err
    assert "sesame" not in ended.err
    assert ended.out == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("import",), "PATH"),
        (("import", "nowhere"), "nowhere"),
        (("import", ".", "--nonsense"), "--nonsense"),
        (("import", ".", ".", "--source", "x"), "--source"),
        (("import", ".", "--detach"), "headrace up"),
        (("import", ".", "--collection", "1-x"), "--collection"),
        (("worker",), "headrace up"),
        (("frobnicate",), "frobnicate"),
        (("search", "x", "-k", "0"), "-k"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_use(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    """Exit code 2, and the message names what was wrong; nothing is made."""
    ended = Command(tmp_path).run(*arguments).expect(2)
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert not (tmp_path / ".headrace").exists()


def test_half_a_configuration_is_wrong_use(tmp_path: Path) -> None:
    """One server by URL and the other embedded is refused."""
    ended = Command(tmp_path, redis_url="redis://127.0.0.1/0").run("import", ".").expect(2)
    assert "HEADRACE_MILVUS_URI" in ended.err


@pytest.mark.parametrize("command", [("import", "."), ("status",), ("jobs", "list")], ids=str)
@pytest.mark.parametrize("what", ["closed", "silent"])
def test_redis_out_of_reach(
    tmp_path: Path, silent_port: int, what: str, command: tuple[str, ...]
) -> None:
    """Exit code 3 within a bounded time, naming the address and never the password."""
    port = silent_port if what == "silent" else free_port()
    settings = {"redis_url": f"redis://:sesame@127.0.0.1:{port}/0"}
    ended = Command(tmp_path, **settings, milvus_uri="http://127.0.0.1:1").run(*command).expect(3)
    assert f"127.0.0.1:{port}" in ended.err
    assert "sesame" not in ended.err
    assert "Traceback" not in ended.err
    assert ended.out == ""
    assert ended.seconds < _LIMIT_SECONDS


@pytest.mark.parametrize("command", [("import", "."), ("search", "x")], ids=str)
@pytest.mark.parametrize("what", ["closed", "silent"])
def test_milvus_out_of_reach(
    tmp_path: Path,
    redis_server: RedisServer,
    silent_port: int,
    what: str,
    command: tuple[str, ...],
) -> None:
    """Exit code 3 within a bounded time, naming the address and never the token."""
    port = silent_port if what == "silent" else free_port()
    ended = Command(
        tmp_path,
        redis_url=redis_server.url,
        milvus_uri=f"http://127.0.0.1:{port}",
        milvus_token="root:sesame",  # noqa: S106 - of no server
        embedding_provider="openai",
        embedding_base_url=f"http://127.0.0.1:{free_port()}/v1",
        embedding_api_key="no-key",
    ).run(*command)
    ended.expect(3)
    assert f"127.0.0.1:{port}" in ended.err
    assert "sesame" not in ended.err
    assert "Traceback" not in ended.err
    assert ended.seconds < _LIMIT_SECONDS


def test_wrong_password_is_wrong_use(tmp_path: Path) -> None:
    """A server that refuses the password is a matter of configuration."""
    with redis_tcp_server(tmp_path, password="right") as redis:  # noqa: S106 - for this test
        url = redis.url.replace("right", "sesame")
        ended = Command(tmp_path, redis_url=url, milvus_uri="http://127.0.0.1:1").run("status")
    ended.expect(2)
    assert "refuses these credentials" in ended.err
    assert "sesame" not in ended.err


def test_status_of_an_unused_folder(tmp_path: Path) -> None:
    """Nothing is started to say that nothing runs."""
    command = Command(tmp_path)
    assert command.run("status", "--json").expect(0).json == {
        "running": False,
        "workers": [],
        "producers": [],
        "schedules": 0,
        "overdue_schedules": [],
        "troubles": {},
        "queues": None,
        "lanes": {},
        "collections": [],
    }
    assert str(tmp_path) in command.run("status").expect(0).out
    assert not (tmp_path / ".headrace").exists()
