"""Everything that a measurement needs before its first run, put away again at its end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from pydantic import SecretStr
from redis.asyncio import Redis

from contract.batch import Batch, encode
from contract.errors import UsageError
from contract.ledger.connection import check, connect, translated
from contract.settings import Settings
from headrace.bench.corpus import write_documents
from headrace.bench.endpoint_process import running_endpoint
from headrace.bench.import_run import SOURCE
from headrace.bench.rig import Rig
from headrace.bench.throwaway import Throwaway
from headrace.local.folder import DataFolder
from headrace.local.server import ServerProcess
from headrace.session import Session, worker_environment
from producers.producer import Producer
from producers.sources.files import open_source
from worker.embedding.build import OPENAI
from worker.milvus import connect as connect_milvus

MODEL = "headrace-bench"
EMBEDDED_SERVERS = ("milvus", "redis")


@dataclass(frozen=True, slots=True)
class LimitsOptions:
    """What to measure.

    Attributes:
        documents: how many to generate.
        folder: documents to take instead, or None.
        dimensions: of the vectors.
        latency_seconds: of the embedding endpoint.
        rounds: how often each variant runs.
    """

    documents: int = 400
    folder: Path | None = None
    dimensions: int = 384
    latency_seconds: float = 0.0
    rounds: int = 3


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is ready.

    Attributes:
        rig: for the runs.
        throwaway: gives them collections.
        documents: how many have chunks.
        chunks: in all of them.
    """

    rig: Rig
    throwaway: Throwaway
    documents: int
    chunks: int


def with_choices(settings: Settings, options: LimitsOptions, data_folder: Path) -> Settings:
    """Put the benchmark's own choices into the settings: model and data folder."""
    return settings.model_copy(
        update={
            "data_folder": data_folder,
            "embedding_provider": OPENAI,
            "embedding_model": MODEL,
            "embedding_dimensions": options.dimensions,
            # So that no real key is sent anywhere.
            "embedding_api_key": SecretStr("none"),
            "metrics_port": 0,
        }
    )


@asynccontextmanager
async def prepared(
    session: Session, options: LimitsOptions, scratch: Path
) -> AsyncIterator[Prepared]:
    """Start the endpoint, write or find the documents, and cut them into batches.

    Args:
        session: the servers.
        options: what to measure.
        scratch: an empty folder that the caller removes.

    Raises:
        UsageError: there is nothing to import, or somebody else works with this Redis.
        UnreachableError: a server does not answer.
    """
    documents = options.folder.absolute() if options.folder else scratch / "documents"
    if options.folder is None:
        await asyncio.to_thread(write_documents, documents, options.documents)
    async with AsyncExitStack() as stack:
        endpoint = await stack.enter_async_context(
            running_endpoint(
                worker_environment(session.settings),
                scratch,
                dimensions=options.dimensions,
                latency_seconds=options.latency_seconds,
            )
        )
        settings = session.settings.model_copy(update={"embedding_base_url": endpoint.url})
        redis = connect(settings)
        stack.push_async_callback(redis.aclose)
        stack.enter_context(translated(settings))
        await check(redis, settings)
        client = await asyncio.to_thread(connect_milvus, settings)
        stack.push_async_callback(asyncio.to_thread, client.close)
        throwaway = Throwaway(redis, client, settings)
        if not session.is_local:
            await throwaway.refuse_company()
            stack.push_async_callback(throwaway.empty_queue)
        rig = Rig(
            session=Session(settings, session.is_local),
            redis=redis,
            client=client,
            scratch=scratch,
            documents=documents,
            batches=scratch / "batches.msgpack",
            server_pids={**_embedded_pids(session), "endpoint": endpoint.pid},
        )
        async with throwaway.collection("plan") as collection:
            batches = await _cut(redis, settings, documents, collection)
        if not batches:
            raise UsageError(f"{documents}: holds nothing that can be imported; name a folder")
        rig.batches.write_bytes(msgspec.msgpack.encode([encode(batch) for batch in batches]))
        yield Prepared(
            rig,
            throwaway,
            documents=len({part.document_id for batch in batches for part in batch.parts}),
            chunks=sum(batch.chunk_count for batch in batches),
        )


async def _cut(redis: Redis, settings: Settings, documents: Path, collection: str) -> list[Batch]:
    """Cut the documents as an import does; its ledger is thrown away."""
    source = open_source(str(documents), name=SOURCE)
    producer = Producer(redis, settings, source, collection)
    return [batch async for batch in producer.batches()]


def _embedded_pids(session: Session) -> dict[str, int]:
    if not session.is_local:
        return {}
    folder = DataFolder(session.data_folder)
    found = {name: ServerProcess.read(folder.run / f"{name}.json") for name in EMBEDDED_SERVERS}
    return {name: process.pid for name, process in found.items() if process is not None}
