"""Promises of the doctor."""

import pytest

from contract.settings import Settings
from headrace.doctor import examine
from headrace.session import Session
from tests.servers.endpoint import FakeEndpoint
from tests.servers.redis import RedisServer, free_port


@pytest.fixture
def ours(settings: Settings, endpoint: FakeEndpoint) -> Settings:
    """Give settings with a Redis and an endpoint that answer, and a Milvus that does not."""
    return Settings.model_validate(
        {
            **settings.model_dump(),
            "milvus_uri": f"http://127.0.0.1:{free_port()}",
            "milvus_token": "root:sesame",
            "embedding_provider": "openai",
            "embedding_base_url": endpoint.url,
            "embedding_api_key": "sesame",
            "embedding_dimensions": 384,
        }
    )


async def test_each_thing_is_judged_by_itself(ours: Settings, redis_server: RedisServer) -> None:
    """What works and what does not stand side by side, with addresses and no secrets."""
    findings = await examine(Session(ours, is_local=False))
    verdicts = {finding.subject: finding.verdict for finding in findings}
    assert verdicts["python"] == "ok"
    assert verdicts["milvus"] == "unreachable"
    assert verdicts["embedding"] == "ok"
    said = "\n".join(finding.message for finding in findings)
    assert str(ours.milvus_uri) in said
    assert str(redis_server.where) in said
    assert "sesame" not in said


async def test_a_ledger_that_can_be_lost_is_a_warning(ours: Settings) -> None:
    """A Redis without an append-only file is named, with what to set."""
    findings = await examine(Session(ours, is_local=False))
    (warning,) = [f for f in findings if f.subject == "redis" and f.verdict == "warning"]
    assert "appendonly yes" in warning.advice
    (workers,) = [f for f in findings if f.subject == "workers"]
    assert workers.verdict == "warning"
    assert "headrace worker" in workers.advice


async def test_a_refused_key_is_wrong_and_not_unreachable(
    ours: Settings, endpoint: FakeEndpoint
) -> None:
    """A key that the endpoint refuses is a matter of configuration."""
    endpoint.faults(status=401, status_requests=10)
    findings = await examine(Session(ours, is_local=False))
    (embedding,) = [f for f in findings if f.subject == "embedding"]
    assert embedding.verdict == "wrong"
    assert "sesame" not in embedding.message
    assert embedding.as_dict()["subject"] == "embedding"
