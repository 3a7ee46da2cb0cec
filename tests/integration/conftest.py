"""What the integration tests share: one folder with embedded servers that stay up."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from headrace.local.servers import LocalServers
from tests.servers.command import Command
from tests.servers.contents import Servers
from tests.servers.endpoint import FakeEndpoint


@dataclass(frozen=True, slots=True)
class Place:
    """A working folder whose embedded servers run, so that commands find them."""

    folder: Path
    servers: Servers


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Keep embedded servers running for all tests of these folders."""
    folder = tmp_path_factory.mktemp("place")
    with LocalServers(folder / ".headrace") as local:
        yield Place(folder, Servers(local.redis_url, local.milvus_uri))


@pytest.fixture
def headrace(place: Place, endpoint: FakeEndpoint) -> Command:
    """Give the command, in the shared folder, with the fake embedding endpoint."""
    return Command(
        place.folder,
        embedding_provider="openai",
        embedding_base_url=endpoint.url,
        embedding_dimensions=384,
        embedding_api_key="no-key",
    )
