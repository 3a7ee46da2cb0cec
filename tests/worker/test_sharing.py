"""Promises of what all batches of a process share, as the settings make it."""

import pytest
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from contract.errors import EmbeddingRefusedError
from contract.settings import Settings
from tests.worker.mill import Mill
from worker.embedding.budget import Budget, Rates
from worker.request_metrics import Requests
from worker.sharing import account, shared_embedder

LONG = "grain " * 9_000


async def test_a_class_of_the_users_own_has_no_limits_of_openais(
    settings: Settings, redis: Redis
) -> None:
    """The name of the model, which stands at its default, says nothing about it."""
    for provider, goes in (("mills:Mill", True), ("openai", False)):
        ours = settings.model_copy(update={"embedding_provider": provider})
        mill, budget = Mill(), Budget(redis, account(ours), Rates())
        embedder = shared_embedder(ours, mill, budget, Requests(CollectorRegistry()))
        if goes:
            await embedder.embed([LONG])
            assert mill.texts == [LONG]
        else:
            with pytest.raises(EmbeddingRefusedError, match="reads 8191"):
                await embedder.embed([LONG])


def test_who_asks_something_else_shares_no_budget(settings: Settings) -> None:
    """Each of provider, address, model and key makes another account."""
    changes = {
        "embedding_provider": "mills:Mill",
        "embedding_base_url": "http://host/v1",
        "embedding_model": "other",
    }
    accounts = {
        account(settings.model_copy(update={name: value})) for name, value in changes.items()
    }
    assert len({account(settings), *accounts}) == 4
