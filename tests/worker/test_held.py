"""Promises of the metrics of budgets."""

import time

from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from contract.ledger.jobs import Jobs
from contract.ledger.usage import day_of
from contract.names import Keys
from worker.held import Held, look
from worker.metrics import Metrics


async def test_sources_whose_newest_job_stopped_at_a_budget(redis: Redis) -> None:
    """A later job that came to its end takes the alarm away; tokens are those of today."""
    jobs = Jobs(redis, "shelf")
    for source, reason in (("docs", "reached"), ("docs", ""), ("notes", "reached")):
        job = await jobs.create(source)
        # Jobs of one moment have no order.
        await redis.zadd(jobs.keys.jobs, {job: await redis.zcard(jobs.keys.jobs)})
        if reason:
            await jobs.hold(job, reason)
        await jobs.seal(job, {})
    now = time.time()
    for day, tokens in ((day_of(now), 5), (day_of(now) - 1, 7)):
        await redis.hset(Keys("shelf").usage(day), "docs", tokens)
    held = await look(redis, now)
    assert held == Held(sources=1, tokens_today=5)
    metrics = Metrics(CollectorRegistry())
    metrics.show_held(held)
    assert metrics.registry.get_sample_value("headrace_sources_held") == 1
    assert metrics.registry.get_sample_value("headrace_tokens_today") == 5
