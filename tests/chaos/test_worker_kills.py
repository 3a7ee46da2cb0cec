"""Promises of an import whose workers are killed."""

import random
import time
from pathlib import Path

import psutil
import pytest

from headrace.local.servers import LocalServers, attach
from tests.chaos.conftest import DOCUMENTS, assert_whole
from tests.servers.command import Command, Running, until
from tests.servers.contents import Servers, chunks_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_KILLS = 3


def test_killed_workers_are_replaced_and_nothing_shows(
    tmp_path: Path, docs: Path, headrace: Command, draw: random.Random
) -> None:
    """The only worker is killed three times: every row once, every counter exact."""
    with headrace.started("import", docs, "--json") as importing:
        until(lambda: attach(tmp_path / ".headrace") is not None, "the servers", 60)
        found = attach(tmp_path / ".headrace")
        assert found is not None
        servers = Servers(found.redis_url, found.milvus_uri)
        killed: set[int] = set()
        for _ in range(_KILLS):
            worker = _next_worker(servers, importing, killed)
            time.sleep(draw.uniform(0.0, 1.5))
            assert importing.runs, "the import ended too early to be disturbed"
            worker.kill()
            killed.add(worker.pid)
        (summary,) = importing.wait(120).expect(0).json
    expected = chunks_of(docs)
    counts = headrace.run("jobs", "show", summary["job"], "--json").expect(0).json["counts"]
    assert counts["documents_new"] == counts["documents_committed"] == DOCUMENTS
    assert counts["chunks"] == counts["chunks_written"] == sum(expected.values())
    assert counts["batches_published"] == counts["batches_finished"]
    assert counts.get("documents_failed", 0) == 0
    assert summary["chunks"] == sum(expected.values())
    with LocalServers(tmp_path / ".headrace") as local:
        assert_whole(Servers(local.redis_url, local.milvus_uri), docs)


def _next_worker(servers: Servers, importing: Running, killed: set[int]) -> psutil.Process:
    """Wait for a worker that has not been killed yet and has written something."""
    before = len(servers.committed("documents"))

    def works() -> bool:
        assert importing.runs, importing.wait()
        return len(servers.committed("documents")) > before

    until(works, "a worker to write something", 60)
    (worker,) = [worker for worker in importing.workers() if worker.pid not in killed]
    return worker
