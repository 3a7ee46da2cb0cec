"""Measures how much of a limit of tokens a minute several worker processes use together.

``python benchmarks/budget.py`` starts an endpoint that answers 429 above the limit, an embedded
Redis, and processes that embed as workers do, as fast as they may, from the same budget. Printed
are the share of the limit that was used, once everybody is under way, and how many requests were
answered 429: with the limit set, and with the endpoint's headers alone to tell of it.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from prometheus_client import CollectorRegistry

from contract.errors import TransientError
from contract.ledger.connection import connect
from contract.settings import Settings, load_settings
from tests.servers.endpoint import FakeEndpoint, fake_endpoint
from tests.servers.redis import redis_server
from worker.embedding.budget import Budget
from worker.embedding.build import make_embedder
from worker.embedding.rate_headers import advertised
from worker.request_metrics import Requests
from worker.sharing import account, budget_rates, shared_embedder

BATCHES_AT_ONCE = 8
"""As many as a worker process has in hand."""
WARM_UP_SECONDS = 8.0
LATENCY_SECONDS = 0.1
WORDS_OF_A_TEXT = 130


def main() -> int:
    """Measure several runs, and print a table; with ``--url``, be one of the processes."""
    parser = argparse.ArgumentParser(description=__doc__, prog="benchmarks/budget.py")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=20.0, help="of one run")
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--tokens-per-minute", type=int, default=12_000_000)
    parser.add_argument("--batch", type=int, default=64, help="texts of a batch")
    parser.add_argument("--url", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.url:
        asyncio.run(_embed(_settings(options, *options.url), options.batch))
    with fake_endpoint(latency_seconds=LATENCY_SECONDS) as endpoint:
        for told in (True, False):
            runs = [_run(options, endpoint, told=told) for _ in range(options.runs)]
            shares, refused = zip(*runs, strict=True)
            print(
                f"{'limit set' if told else 'limit learnt from headers':28}"
                f"used {statistics.median(shares):7.2%} ({min(shares):.2%} - {max(shares):.2%}), "
                f"429s {statistics.median(refused):.2%} ({max(refused):.2%} at most) "
                f"of requests, {len(runs)} runs"
            )
    return 0


def _run(options: argparse.Namespace, endpoint: FakeEndpoint, *, told: bool) -> tuple[float, float]:
    """Give the share of the limit that was used, and of requests that were refused."""
    limit = options.tokens_per_minute
    endpoint.reset()
    endpoint.faults(tokens_per_minute=limit, rate_headers=not told, latency_seconds=LATENCY_SECONDS)
    with (
        tempfile.TemporaryDirectory(prefix="budget") as folder,
        redis_server(Path(folder)) as redis,
    ):
        command = [
            *(sys.executable, __file__, "--batch", str(options.batch)),
            *("--tokens-per-minute", str(limit if told else 0)),
            *("--url", endpoint.url, redis.url),
        ]
        workers = [
            subprocess.Popen(command)  # noqa: S603 - itself
            for _ in range(options.processes)
        ]
        try:
            time.sleep(WARM_UP_SECONDS)
            before, begun = endpoint.stats(), time.monotonic()
            time.sleep(options.seconds)
            after, seconds = endpoint.stats(), time.monotonic() - begun
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()
    refused = after["responses"].get("429", 0) - before["responses"].get("429", 0)
    used = (after["tokens"] - before["tokens"]) / (limit / 60 * seconds)
    return used, refused / (after["requests"] - before["requests"])


def _settings(options: argparse.Namespace, endpoint_url: str, redis_url: str) -> Settings:
    return load_settings(
        {},
        Path.cwd(),
        redis_url=redis_url,
        embedding_provider="openai",
        embedding_base_url=endpoint_url,
        embedding_tokens_per_minute=options.tokens_per_minute or None,
    )


async def _embed(settings: Settings, batch: int) -> None:
    """Embed for ever, many batches at once."""
    redis = connect(settings)
    budget = Budget(redis, account(settings), budget_rates(settings))
    model = make_embedder(settings, lambda headers: budget.learn(advertised(headers)))
    embedder = shared_embedder(settings, model, budget, Requests(CollectorRegistry()))
    texts = [f"{number} " + "grain " * WORDS_OF_A_TEXT for number in range(batch)]

    async def one() -> None:
        while True:
            try:
                await embedder.embed(texts)
            except TransientError as error:
                await asyncio.sleep(error.retry_after_seconds or 0.5)

    await asyncio.gather(*(one() for _ in range(BATCHES_AT_ONCE)))


if __name__ == "__main__":
    sys.exit(main())
