"""What one worker process is made of, built inside its event loop."""

import asyncio
import contextlib
import functools
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from celery import Celery
from redis.asyncio import Redis

from contract.lane import Lane
from contract.ledger.connection import connect as connect_redis
from contract.ledger.ledger import Ledger
from contract.ledger.sweeper import keep_sweeping
from contract.presence import Trouble, keep_present
from contract.queue import announce
from contract.settings import Settings
from worker.breaker import Dependency
from worker.canaries import make_breakers
from worker.embedding.budget import Budget
from worker.embedding.build import make_embedder
from worker.embedding.cached import with_cache
from worker.embedding.embedder import Embedder
from worker.embedding.metered import MeteredEmbedder
from worker.embedding.rate_headers import advertised
from worker.eraser import Erasers
from worker.halts import keep_heeding
from worker.ingest import Ingester, Limits
from worker.janitor import Janitor
from worker.metrics import Metrics
from worker.probe import Probe
from worker.retrier import Retrier
from worker.retry import RetryPolicy
from worker.sharing import account, budget_rates, shared_embedder, shared_stores
from worker.solitude import Solitude
from worker.stores import Stores


class Troubles:
    """The servers that this worker waits for, as its breakers tell."""

    def __init__(self, metrics: Metrics) -> None:
        """Begin with none."""
        self._metrics = metrics
        self._current: dict[Dependency, Trouble] = {}

    def note(self, dependency: Dependency, is_open: bool, reason: str) -> None:  # noqa: FBT001 - breakers call it so
        """Hear that a breaker has opened or closed."""
        self._metrics.breaker_changed(dependency, is_open, reason)
        if is_open:
            since_ms = round(time.time() * 1000)
            self._current[dependency] = Trouble(dependency.value, reason, since_ms)
        else:
            self._current.pop(dependency, None)

    def current(self) -> Sequence[Trouble]:
        """Give those that are away now."""
        return tuple(self._current.values())


@dataclass(frozen=True, slots=True)
class Composition:
    """The parts of a worker that others ask.

    Attributes:
        ingester: ingests batches.
        troubles: what is away.
        background: runs until it is cancelled; none of it ends by itself but by an error.
    """

    ingester: Ingester
    troubles: Troubles
    background: list[asyncio.Task[None]]


async def compose(
    settings: Settings,
    app: Celery,
    metrics: Metrics,
    identity: str,
    clients: contextlib.AsyncExitStack,
) -> Composition:
    """Build everything; the caller ends what runs in the background, then closes ``clients``.

    Args:
        settings: all settings.
        app: a Celery app that may publish.
        metrics: count what happens.
        identity: begins the owner of every lease of this process.
        clients: takes what is to be closed, in the order in which it was opened.

    Raises:
        UsageError: the configuration can never work.
    """
    redis = connect_redis(settings, patience_seconds=settings.outage_patience_seconds)
    clients.push_async_callback(redis.aclose)
    model, embedder = _embedders(settings, redis, metrics)
    clients.push_async_callback(model.aclose)
    stores = Stores(settings, redis, model, metrics.store.observe)
    clients.push_async_callback(stores.close)
    store_of = shared_stores(settings, stores, metrics.requests).get
    probe = None
    if settings.metrics_port:  # else nobody reads what it finds out
        probe = Probe(store_of, metrics.freshness.looked)
        clients.push_async_callback(probe.aclose)
    erasers = Erasers(settings, metrics.store.observe)
    clients.push_async_callback(erasers.close)
    troubles = Troubles(metrics)
    breakers = make_breakers(settings, model, stores, troubles.note)
    for breaker in breakers.values():
        clients.push_async_callback(breaker.aclose)
    ingester = Ingester(
        worker_id=identity,
        ledger_of=_ledgers(settings, redis),
        store_of=store_of,
        # The breakers' canaries go past the cache: they ask whether the endpoint is there.
        embedder=await with_cache(settings, embedder, clients),
        retrier=Retrier(RetryPolicy(), breakers),
        limits=Limits(settings.lease_seconds, settings.batch_timeout_seconds),
        solitude=Solitude(),
        app_announce=_announcer(app),
        probe=probe,
    )
    janitor = Janitor(redis, erasers.get, settings.quarantine_seconds)
    background = {
        "sweeper": keep_sweeping(redis, app, settings),
        "janitor": janitor.keep_clearing(settings),
        "halts": keep_heeding(redis, ingester, settings),
        "presence": keep_present(redis, identity, settings, troubles.current),
    }
    tasks = [asyncio.create_task(work, name=name) for name, work in background.items()]
    return Composition(ingester, troubles, tasks)


def _embedders(settings: Settings, redis: Redis, metrics: Metrics) -> tuple[Embedder, Embedder]:
    """Give the model, and the way to it that batches share; who closes the one closes both."""
    counts = metrics.embedding
    budget = Budget(redis, account(settings), budget_rates(settings), counts.throttled.inc)
    counts.watch(lambda: budget.rates)
    model = MeteredEmbedder(
        make_embedder(
            settings,
            lambda headers: budget.learn(advertised(headers)),
            cuts=settings.overlong_chunks == "cut",
        ),
        counts.requested,
    )
    return model, shared_embedder(settings, model, budget, metrics.requests)


def _ledgers(settings: Settings, redis: Redis) -> Callable[[str], Ledger]:
    """Give the ledger of each collection, always the same object."""

    @functools.cache
    def ledger_of(collection: str) -> Ledger:
        return Ledger(redis, collection, quarantine_seconds=settings.quarantine_seconds)

    return ledger_of


def _announcer(app: Celery) -> Callable[[str, Sequence[str], Lane], Awaitable[None]]:
    """Tell the workers of batches, off the event loop."""

    async def tell(collection: str, batch_ids: Sequence[str], lane: Lane) -> None:
        await asyncio.to_thread(announce, app, collection, batch_ids, lane)

    return tell
