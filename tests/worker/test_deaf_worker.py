"""A worker that no message reaches any more, as a process."""

import asyncio
import contextlib
import os
import time
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from contract.ledger.records import ClaimState
from contract.settings import Settings
from tests.servers.endpoint import FakeEndpoint
from tests.servers.redis import redis_tcp_server
from tests.servers.worker import worker_program
from tests.worker.shop import Shop
from tests.worker.test_app import (  # noqa: F401 - fixtures
    FINISHED,
    all_settings,
    eventually,
    hand_in,
    shop,
    shop_of,
    until_finished,
    variables,
)
from worker.lifecycle import DEAF

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("fault", ["deaf", "hang"])
async def test_a_deaf_worker_leaves_and_keeps_nothing(
    tmp_path: Path,
    all_settings: Settings,  # noqa: F811
    shop: Shop,  # noqa: F811
    endpoint: FakeEndpoint,
    fault: str,
) -> None:
    """It ends with its own exit code, also if Celery hangs; what it held is given back at once."""
    with worker_program(
        tmp_path, variables(tmp_path, all_settings), app="tests.worker.deaf_app"
    ) as worker:
        await hand_in(all_settings, shop, one="a")
        await until_finished(shop)
        endpoint.faults(hang_requests=10)
        held = await hand_in(all_settings, shop, two="b")
        await eventually(lambda: worker.metric("headrace_batches_in_flight") == 1, "the claim")
        (tmp_path / fault).touch()
        await asyncio.sleep(1.5)  # a BRPOP that was on its way may bring one message more
        endpoint.reset()
        await hand_in(all_settings, shop, three="c")
        await hand_in(all_settings, shop, four="d")
        assert await asyncio.to_thread(worker.exit_code) == DEAF == os.EX_TEMPFAIL
        assert worker.said("event='deaf'")
        claim = await shop.ledger.claim(held, "next", 1.0)
        assert (claim.state, claim.attempts, claim.crashes) == (ClaimState.CLAIMED, 0, 0)
        await shop.ledger.release(held, "next")
    (tmp_path / fault).unlink()
    with worker_program(tmp_path, variables(tmp_path, all_settings)) as worker:
        await until_finished(shop)
    assert shop.rows() == {"one": ["a"], "two": ["b"], "three": ["c"], "four": ["d"]}


async def test_an_idle_worker_stays(
    tmp_path: Path,
    all_settings: Settings,  # noqa: F811
    shop: Shop,  # noqa: F811
    redis: Redis,
) -> None:
    """Nothing to hear is not deafness, nor are messages in a queue that it does not read."""
    await redis.lpush("headrace.bulk.other", "{}")
    with worker_program(
        tmp_path, variables(tmp_path, all_settings), app="tests.worker.deaf_app"
    ) as worker:
        await asyncio.sleep(12)  # four looks, and six times the patience of this app
        assert worker.process.poll() is None
        await hand_in(all_settings, shop, one="a")
        await until_finished(shop)
        await eventually(lambda: worker.metric(FINISHED) == 1, "the metric")


class Proxy:
    """A way to a server whose connections can fall silent without being closed."""

    def __init__(self, host: str, port: int) -> None:
        self._where = host, port
        self._generation = 0
        self._writers: list[asyncio.StreamWriter] = []

    def silence(self) -> None:
        """Let nothing more through on the connections that there are; new ones work."""
        self._generation += 1

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass bytes both ways until either side closes."""
        there, back = await asyncio.open_connection(*self._where)
        self._writers += [writer, back]
        generation = self._generation
        await asyncio.gather(
            self._pass(reader, back, generation), self._pass(there, writer, generation)
        )

    async def _pass(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, generation: int
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while some := await source.read(65_536):
                if generation == self._generation:
                    target.write(some)
                    await target.drain()
        target.close()

    async def close(self) -> None:
        """Close all connections."""
        for writer in self._writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def test_half_open_connections_to_the_broker_are_survived(
    tmp_path: Path,
    all_settings: Settings,  # noqa: F811
    endpoint: FakeEndpoint,
) -> None:
    """As after a failover: the consumer's connections answer no more, the ledger's do."""
    with redis_tcp_server(tmp_path) as server:
        proxy = Proxy(*server.where)
        async with await asyncio.start_server(proxy.serve, "127.0.0.1", 0) as way:
            port = way.sockets[0].getsockname()[1]
            direct = Settings.model_validate(all_settings.model_dump() | {"redis_url": server.url})
            settings = direct.model_copy(
                update={"broker_url": SecretStr(f"redis://127.0.0.1:{port}/0")}
            )
            async with shop_of(direct) as shop:
                with contextlib.ExitStack() as stack:
                    # In a thread: the proxy lives in this loop.
                    program = worker_program(tmp_path, variables(tmp_path, settings))
                    worker = await asyncio.to_thread(stack.enter_context, program)
                    await hand_in(direct, shop, one="a")
                    await until_finished(shop)
                    proxy.silence()
                    await hand_in(direct, shop, two="b")
                    # By its own time-outs after about 20 s; it may also leave, to be replaced.
                    deadline = time.monotonic() + 60
                    while not await shop.finished() and worker.process.poll() is None:
                        assert time.monotonic() < deadline, "neither heard nor left"
                        await asyncio.sleep(0.1)
                    assert worker.process.poll() in {None, DEAF}
            await proxy.close()
