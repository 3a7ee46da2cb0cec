"""All that the columnar path takes from the inside of pymilvus; no other module looks there.

pymilvus is pinned to one minor version for this. ``tests/worker/columnar/test_wire.py`` names
each thing that is used, so that a move shows there first.
"""

from typing import Any

from pymilvus import AsyncMilvusClient
from pymilvus.client.abstract import MutationResult
from pymilvus.client.call_context import _api_level_md
from pymilvus.client.constants import DYNAMIC_FIELD_NAME
from pymilvus.client.ts_utils import update_collection_ts
from pymilvus.client.utils import check_status
from pymilvus.decorators import retry_on_rpc_failure
from pymilvus.exceptions import SchemaMismatchRetryableException
from pymilvus.grpc_gen.milvus_pb2 import InsertRequest, UpsertRequest
from pymilvus.grpc_gen.schema_pb2 import FieldData, VectorField

__all__ = [
    "DYNAMIC_FIELD_NAME",
    "FieldData",
    "InsertRequest",
    "UpsertRequest",
    "VectorField",
    "schema_of",
    "send",
]


async def schema_of(client: AsyncMilvusClient, collection: str, **options: Any) -> dict[str, Any]:
    """Describe a collection: from pymilvus' cache, or by one round trip that fills it.

    pymilvus' own writes use the same cache, and forget an entry that did not fit.

    Raises:
        MilvusException: there is no such collection, or no answer.
    """
    handler = await client._get_connection()  # noqa: SLF001
    context = client._generate_call_context(**options)  # noqa: SLF001
    schema: dict[str, Any]
    schema, _ = await handler._get_schema(collection, context=context, **options)  # noqa: SLF001
    return schema


async def send(
    client: AsyncMilvusClient,
    request: InsertRequest | UpsertRequest,
    **options: Any,
) -> list[Any] | None:
    """Send a ready request, repeated and judged as pymilvus does with its own.

    Args:
        client: which connection.
        request: all rows and the collection's name.
        options: of pymilvus' own writes: ``timeout``, ``retry_times``, ``retry_on_rate_limit``,
            ``client_request_id``, ``log_level``.

    Returns:
        The primary keys, in the order of the rows; None if the schema has changed, and nothing
        was written.

    Raises:
        MilvusException: refused, or no answer.
        grpc.RpcError: what pymilvus does not repeat, such as a message too large.
    """
    handler = await client._get_connection()  # noqa: SLF001
    context = client._generate_call_context(**options)  # noqa: SLF001
    keys = await _write_columns(handler, request, context=context, **options)
    return None if keys is None else list(keys)


async def write_columns(
    handler: Any,
    request: InsertRequest | UpsertRequest,
    *,
    context: Any,
    **options: Any,
) -> Any:
    """Make one attempt; its name stands in pymilvus' messages."""
    stub = handler._async_stub  # noqa: SLF001
    call = stub.Upsert if isinstance(request, UpsertRequest) else stub.Insert
    response = await call(request, timeout=options.get("timeout"), metadata=_api_level_md(context))
    try:
        check_status(response.status)
    except SchemaMismatchRetryableException:
        return None
    # Reads of consistency "Session" wait for this moment.
    update_collection_ts(
        request.collection_name,
        response.timestamp,
        handler.server_address,
        context.get_db_name(),
    )
    return MutationResult(response).primary_keys


_write_columns = retry_on_rpc_failure()(write_columns)
