"""What the tests that kill things share."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from headrace.local.servers import LocalServers, attach
from tests.servers.command import Command
from tests.servers.contents import Servers, chunks_of
from tests.servers.endpoint import FakeEndpoint
from tests.servers.library import write_library

DOCUMENTS = 60


@pytest.fixture
def draw() -> random.Random:
    """Give random moments; the seed is printed."""
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")  # noqa: T201 - pytest shows it when the test fails
    return random.Random(seed)  # noqa: S311 - no secret


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """Make a folder whose import takes long enough to be disturbed."""
    folder = tmp_path / "docs"
    write_library(folder, DOCUMENTS, 6_000)
    return folder


@pytest.fixture
def headrace(tmp_path: Path, docs: Path, endpoint: FakeEndpoint) -> Iterator[Command]:
    """Give the command, with a slow endpoint; embedded servers left behind are stopped."""
    endpoint.faults(latency_seconds=0.3)
    yield Command(
        tmp_path,
        embedding_provider="openai",
        embedding_base_url=endpoint.url,
        embedding_dimensions=384,
        embedding_api_key="no-key",
        batch_max_chunks=4,
        worker_concurrency=4,
    )
    if attach(tmp_path / ".headrace") is not None:
        with LocalServers(tmp_path / ".headrace"):
            pass


def assert_whole(servers: Servers, docs: Path) -> None:
    """Fail unless each chunk of the folder is there, once."""
    servers.assert_holds("documents", chunks_of(docs))


def is_gone(process: psutil.Process) -> bool:
    """Tell whether a process has ended, also when nobody has asked how yet."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
