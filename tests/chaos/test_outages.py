"""Promises of an import in whose middle a server is away for long."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from redis import Redis

from contract.names import Keys
from tests.chaos.conftest import DOCUMENTS, assert_whole
from tests.servers.command import Command, until
from tests.servers.contents import Servers
from tests.servers.endpoint import FakeEndpoint
from tests.servers.milvus import MilvusLite, milvus_lite
from tests.servers.redis import RedisServer, redis_tcp_server, reserved_port

OUTAGE_SECONDS = float(os.environ.get("OUTAGE_SECONDS", "20"))
"""How long servers are away; 120 shows what back-offs and time-outs that grow would do."""
BACK_SECONDS = 30.0
"""After which work must have gone on; measured were 1 to 8."""
MANY = 10**9

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300 + 2 * OUTAGE_SECONDS)]


@dataclass
class OwnEndpoint:
    """An embedding endpoint that can be killed and brought back at the same address."""

    port: int
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def endpoint(self) -> FakeEndpoint:
        """What to ask it by."""
        assert self._process is not None
        return FakeEndpoint(f"http://127.0.0.1:{self.port}/v1", self._process.pid)

    def start(self) -> None:
        """Start it, and wait until it listens."""
        command = [sys.executable, "-m", "headrace.bench.endpoint", "--die-with-parent"]
        command += ["--port", str(self.port), "--latency-seconds", "0.3"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline()

    def kill(self) -> None:
        """End it as a crash would; nothing happens when it does not run."""
        if self._process is not None:
            with self._process as process:  # closes the pipes
                process.kill()
            self._process = None


@contextmanager
def own_endpoint() -> Iterator[OwnEndpoint]:
    """Run one."""
    with reserved_port() as port:
        own = OwnEndpoint(port)
        try:
            own.start()
            yield own
        finally:
            own.kill()


@dataclass(frozen=True)
class Site:
    """All servers of an import."""

    redis: RedisServer
    milvus: MilvusLite
    own: OwnEndpoint

    @property
    def servers(self) -> Servers:
        """Where to look what is there."""
        return Servers(self.redis.url, self.milvus.uri)

    def written(self) -> int:
        """Count the chunks that the ledger says were written."""
        with Redis.from_url(self.redis.url) as redis:
            prefix = Keys("documents").job("")
            pattern = prefix.replace("{", "[{]") + "*"
            keys = [key for key in redis.scan_iter(match=pattern) if redis.type(key) == b"hash"]
            return sum(int(redis.hget(key, "chunks_written") or 0) for key in keys)


@dataclass(frozen=True)
class Outage:
    """A way to be away, and to come back."""

    go: Callable[[Site], None]
    come_back: Callable[[Site], None]


OUTAGES = {
    "milvus": Outage(lambda site: site.milvus.kill(), lambda site: site.milvus.start()),
    "redis": Outage(lambda site: site.redis.kill(), lambda site: site.redis.start()),
    "endpoint refuses": Outage(lambda site: site.own.kill(), lambda site: site.own.start()),
    "endpoint 503": Outage(
        lambda site: _fault(site, status=503, status_requests=MANY),
        lambda site: _fault(site, status=None, status_requests=0),
    ),
    "endpoint hangs": Outage(
        lambda site: _fault(site, hang_requests=MANY), lambda site: _fault(site, hang_requests=0)
    ),
    "endpoint denies": Outage(
        lambda site: _fault(site, status=401, status_requests=MANY),
        lambda site: _fault(site, status=None, status_requests=0),
    ),
}


def _fault(site: Site, **values: object) -> None:
    site.own.endpoint.faults(**values)


@pytest.mark.parametrize("kind", OUTAGES)
def test_an_outage_is_waited_out(
    tmp_path: Path, docs: Path, headrace: Command, draw: random.Random, kind: str
) -> None:
    """No dead letter, no lost chunk, an import that ends well, and work that goes on at once."""
    outage = OUTAGES[kind]
    with ExitStack() as stack:
        site = Site(
            stack.enter_context(redis_tcp_server(tmp_path, appendonly=True, appendfsync="no")),
            stack.enter_context(milvus_lite(tmp_path / "milvus")),
            stack.enter_context(own_endpoint()),
        )
        command = headrace.with_settings(
            redis_url=site.redis.url,
            milvus_uri=site.milvus.uri,
            embedding_base_url=site.own.endpoint.url,
        )
        with command.started("worker") as worker:
            with command.started("import", docs, "--json") as importing:
                until(lambda: site.written() > 0, "the first rows", 60)
                time.sleep(draw.uniform(0.0, 1.0))
                outage.go(site)
                time.sleep(OUTAGE_SECONDS)
                assert importing.runs, importing.wait()
                assert worker.runs, worker.wait()
                outage.come_back(site)
                back, before = time.monotonic(), site.written()
                until(lambda: site.written() > before, "work to go on", BACK_SECONDS)
                first = time.monotonic() - back
                until(lambda: site.written() >= before + 40, "work at speed", BACK_SECONDS)
                speed = time.monotonic() - back
                ended = importing.wait(150)
            assert worker.runs, worker.wait()
        given_back = worker.wait().err.count("event='batch_given_back'")
        print(  # noqa: T201 - the figures that this is about
            f"{kind}: away {OUTAGE_SECONDS:g} s; next chunk after {first:.1f} s, 40 after "
            f"{speed:.1f} s; given back {given_back}"
        )
        summary, *_ = ended.expect(0).json
        assert (summary["new"], summary["failed"]) == (DOCUMENTS, 0)
        assert "Traceback" not in ended.err
        assert "Traceback" not in worker.wait().err
        assert_whole(site.servers, docs)
        assert command.run("dead-letters", "list", "--json").expect(0).json == []
