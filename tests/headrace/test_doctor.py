"""Promises of the doctor."""

import socket

import pytest
from redis.asyncio import Redis

from contract.settings import Settings
from headrace.doctor import examine
from headrace.schedules import names
from headrace.schedules.book import Book
from headrace.schedules.schedule import Schedule
from headrace.schedules.timetable import Timetable
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


async def test_schedules_that_nobody_looks_after(ours: Settings, redis: Redis) -> None:
    """Without any there is nothing to say; overdue ones are named, with what to start."""
    session = Session(ours, is_local=False)
    assert "schedules" not in {finding.subject for finding in await examine(session)}
    book = Book(redis)
    await book.put(Schedule("nightly", "/srv/docs", Timetable(every_seconds=60)), replace=False)
    found = [f for f in await examine(session) if f.subject == "schedules"]
    assert [(f.verdict, f.advice) for f in found] == [
        ("ok", ""),
        ("warning", "start one with: headrace producer"),
    ]
    await redis.hset(names.state("nightly"), "last_slot", 1)
    found = [f for f in await examine(session) if f.subject == "schedules"]
    assert "nightly" in found[0].message
    assert "headrace scheduler" in found[0].advice


async def test_an_exporter_that_does_not_answer(ours: Settings) -> None:
    """It is looked for where one is configured."""
    deaf = ours.model_copy(update={"exporter_port": free_port()})
    with socket.create_server(("127.0.0.1", 0)) as door:
        here = ours.model_copy(update={"exporter_port": door.getsockname()[1]})
        verdicts = [
            [
                f.verdict
                for f in await examine(Session(settings, is_local=False))
                if f.subject == "exporter"
            ]
            for settings in (ours, deaf, here)
        ]
    assert verdicts == [[], ["warning"], ["ok"]]
