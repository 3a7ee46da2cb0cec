"""Promises of an import that is killed itself."""

import random
import time
from pathlib import Path

import pytest

from headrace.local.servers import LocalServers, attach
from tests.chaos.conftest import DOCUMENTS, assert_whole, is_gone
from tests.servers.command import Command, until
from tests.servers.contents import Servers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.parametrize("moment", ["publishing", "writing"])
def test_a_killed_import_is_resumed(
    tmp_path: Path, docs: Path, headrace: Command, draw: random.Random, moment: str
) -> None:
    """Killed at any moment, the same command brings what is left; workers end by themselves."""
    with headrace.started("import", docs) as importing:
        until(lambda: attach(tmp_path / ".headrace") is not None, "the servers", 60)
        found = attach(tmp_path / ".headrace")
        assert found is not None
        servers = Servers(found.redis_url, found.milvus_uri)
        if moment == "publishing":
            until(lambda: bool(servers.documents("documents")), "the first document", 60)
        else:
            until(lambda: bool(servers.committed("documents")), "the first rows", 60)
            time.sleep(draw.uniform(0.0, 1.0))
        workers = importing.workers()
        importing.kill()
        assert importing.wait().code < 0
    until(lambda: all(map(is_gone, workers)), "its workers to end", 60)
    with LocalServers(tmp_path / ".headrace") as local:
        (summary,) = headrace.run("import", docs, "--json").expect(0).json
        fates = ("new", "changed", "unchanged", "resumed")
        assert sum(summary[fate] for fate in fates) == DOCUMENTS
        assert_whole(Servers(local.redis_url, local.milvus_uri), docs)
    assert attach(tmp_path / ".headrace") is None, "the last user stops what the killed one left"
