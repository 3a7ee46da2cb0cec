"""What tests of all packages share."""

import contextlib
import logging
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from contract.ledger.connection import connect
from contract.settings import Settings, load_settings
from tests.servers.endpoint import FakeEndpoint, fake_endpoint
from tests.servers.milvus import NoServerHereError, milvus_lite, milvus_server
from tests.servers.redis import RedisServer
from tests.servers.redis import redis_server as run_redis_server


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Let no skip go unnoticed where everything must run."""
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped and os.environ.get("CI") == "true":
        terminalreporter.write_line(f"{len(skipped)} skipped: nothing may be skipped in CI")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a CI run in which something was skipped."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and reporter.stats.get("skipped") and os.environ.get("CI") == "true":
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let one process have all tests of the real Milvus server: it takes long to start."""
    if isinstance(item, pytest.Function):
        given = item.callspec.params if hasattr(item, "callspec") else {}
        if "milvus_server_uri" in item.fixturenames or given.get("milvus_uri") == "server":
            item.add_marker(pytest.mark.xdist_group("milvus server"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let processes that share the tests begin with what may take longest: none ends alone."""
    if hasattr(config, "workerinput"):
        items.sort(key=_may_take_seconds, reverse=True)


def _may_take_seconds(item: pytest.Item) -> float:
    timeout = item.get_closest_marker("timeout")
    return 0.0 if timeout is None else float(timeout.args[0])


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """Take back what a command in this process says of logs: it would mute the tests after it."""
    loggers = [logging.getLogger(), *map(logging.getLogger, list(logging.root.manager.loggerDict))]
    levels = [(logger, logger.level) for logger in loggers]
    handlers = logging.root.handlers[:]
    yield
    for logger, level in levels:
        logger.setLevel(level)
    logging.root.handlers[:] = handlers


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the settings of whoever runs the tests out of them."""
    for variable in list(os.environ):
        if variable.startswith("HEADRACE_") or variable == "OPENAI_API_KEY":
            monkeypatch.delenv(variable)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Run one Redis for the whole session; tests that kill it start one of their own."""
    with run_redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def settings(redis_server: RedisServer, tmp_path: Path) -> Settings:
    """Give settings that name the session's Redis and a folder of this test."""
    return load_settings({}, tmp_path, redis_url=redis_server.url, data_folder=tmp_path / "data")


@pytest.fixture
async def redis(settings: Settings) -> AsyncIterator[Redis]:
    """Give a client of the session's Redis, with nothing in it."""
    client = connect(settings)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture(scope="session")
def shared_endpoint() -> Iterator[FakeEndpoint]:
    """Run one embedding endpoint for the whole session."""
    with fake_endpoint() as endpoint:
        yield endpoint


@pytest.fixture
def endpoint(shared_endpoint: FakeEndpoint) -> FakeEndpoint:
    """Give the session's embedding endpoint, with its counts and faults set back."""
    shared_endpoint.reset()
    return shared_endpoint


@pytest.fixture(scope="session")
def milvus_lite_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run one Milvus Lite for the whole session; tests that kill it start one of their own."""
    with milvus_lite(tmp_path_factory.mktemp("milvus-lite")) as server:
        yield server.uri


@pytest.fixture(scope="session")
def milvus_server_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run one real Milvus server for the whole session; where that can't be, skip."""
    with contextlib.ExitStack() as stack:
        try:
            uri = stack.enter_context(milvus_server(tmp_path_factory.mktemp("milvus")))
        except NoServerHereError as error:
            if os.environ.get("CI") == "true":
                raise
            pytest.skip(f"no real Milvus server here: {error}")
        yield uri


@pytest.fixture(params=["lite", pytest.param("server", marks=pytest.mark.slow)])
def milvus_uri(request: pytest.FixtureRequest) -> str:
    """Give each of the two Milvus servers in turn."""
    return str(request.getfixturevalue(f"milvus_{request.param}_uri"))
