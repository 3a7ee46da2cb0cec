"""The way to Milvus: its clients, with their errors in our terms."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import grpc
from pymilvus import MilvusClient, MilvusException

from contract.errors import TimedOutError, UsageError
from contract.settings import Settings, address
from worker.milvus_errors import judged, judged_grpc
from worker.renewable import Renewable

GRACE_SECONDS = 1.0
"""Between the last time-out of a call and the end of its connection."""


def quiet_libraries() -> None:
    """Stop pymilvus and langchain-milvus from printing tracebacks and rows.

    They log each failed call with the first row's text; the error is raised as well, and
    what is logged of it is ours to choose.
    """
    for name in ("pymilvus", "langchain_milvus"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def connection_arguments(settings: Settings) -> dict[str, Any]:
    """Spell where Milvus is and who we are, as its clients want it.

    Raises:
        UsageError: no Milvus is configured.
    """
    if settings.milvus_uri is None:
        raise UsageError(
            "no Milvus is configured: set HEADRACE_MILVUS_URI, or use a command that starts one "
            "(headrace import, headrace up)"
        )
    token = settings.milvus_token
    return {
        "uri": settings.milvus_uri,
        "token": token.get_secret_value() if token else "",
        "db_name": settings.milvus_database,
        "grpc_options": _grpc_options(settings.milvus_uri),
        # Else clients share connections, which closing does not close, by the id of their loop.
        "dedicated": True,
    }


def _grpc_options(uri: str) -> dict[str, int]:
    """Ping less often than pymilvus' 10 s, at which Milvus Lite drops the connection.

    Half-open connections are found by the time-out that every call has, and given up for new
    ones: so clients must not share one connection, as grpc by itself lets all of a process that
    have the same target. Connecting is tried again within a second: by its own rules grpc waits up
    to two minutes, so that a server that had been away for two was found after 46 and 58 s; with
    these after 0.7 and 1.3 s.
    """
    options = {
        "grpc.keepalive_time_ms": 300_000,
        "grpc.keepalive_permit_without_calls": 0,
        "grpc.initial_reconnect_backoff_ms": 200,
        "grpc.min_reconnect_backoff_ms": 5_000,  # for one attempt
        "grpc.max_reconnect_backoff_ms": 1_000,
        "grpc.use_local_subchannel_pool": 1,
    }
    if urlsplit(uri).hostname in {"127.0.0.1", "::1", "localhost"}:
        options["grpc.enable_http_proxy"] = 0  # no proxy leads to this machine
    return options


def connect(settings: Settings) -> MilvusClient:
    """Connect; blocks for a round trip, so call it off the event loop. The caller closes it.

    Raises:
        UnreachableError: there is no answer within the connect time-out.
        UsageError: no Milvus is configured, or it refuses the credentials.
    """
    arguments = connection_arguments(settings)
    with translated(settings):
        return MilvusClient(**arguments, timeout=settings.connect_timeout_seconds)


def open_connection(settings: Settings) -> Renewable[MilvusClient]:
    """Give a connection for calls that block, each of them in a thread; the caller closes it.

    Nothing is opened before the first call.
    """
    return Renewable(
        lambda: asyncio.to_thread(connect, settings),
        lambda client: asyncio.to_thread(client.close),
        settings.store_timeout_seconds + GRACE_SECONDS,
    )


@contextmanager
def translated(settings: Settings) -> Iterator[None]:
    """Turn the errors of pymilvus and grpc, and time-outs of our own, into ours."""
    where = address(settings.milvus_uri or "")
    try:
        yield
    except MilvusException as error:
        raise judged(error, where) from error
    except grpc.RpcError as error:
        raise judged_grpc(error, where) from error
    except TimeoutError as error:
        raise TimedOutError(f"Milvus at {where} did not answer in time") from error
