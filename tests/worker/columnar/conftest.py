"""What tests of the columnar store share."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from pymilvus import MilvusClient

import worker.columnar.milvus
from tests.worker.columnar.twins import Embedding, Twins, close, make_twins, schema_of
from worker.columnar.wire import send

Open = Callable[..., Awaitable[Twins]]


@pytest.fixture
async def open_twins(milvus_uri: str) -> AsyncIterator[Open]:
    """Give what opens twins on one of the two servers; they are dropped at the end."""
    client = await asyncio.to_thread(MilvusClient, milvus_uri, dedicated=True)
    opened: list[Twins] = []

    async def open_them(schema: Any, **arguments: Any) -> Twins:
        arguments = {"embedding_function": Embedding(), **arguments}
        opened.append(await asyncio.to_thread(make_twins, client, milvus_uri, schema, **arguments))
        return opened[-1]

    yield open_them
    for each in opened:
        await close(each)
    await asyncio.to_thread(client.close)


@pytest.fixture
async def twins(open_twins: Open) -> Twins:
    """Open twins with all kinds of fields, and a dynamic one."""
    return await open_twins(schema_of(), enable_dynamic_field=True)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Give the requests that are sent by columns."""
    requests: list[Any] = []

    async def listening(client: Any, request: Any, **options: Any) -> Any:
        requests.append(request)
        return await send(client, request, **options)

    monkeypatch.setattr(worker.columnar.milvus, "send", listening)
    return requests
