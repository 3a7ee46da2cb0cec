"""What the columnar path takes from the inside of pymilvus is there, and only one module looks."""

import ast
import inspect
from pathlib import Path

import pytest
from pymilvus import AsyncMilvusClient
from pymilvus.client import call_context, ts_utils, utils
from pymilvus.client.abstract import MutationResult
from pymilvus.client.async_grpc_handler import AsyncGrpcHandler
from pymilvus.decorators import retry_on_rpc_failure
from pymilvus.grpc_gen.milvus_pb2 import InsertRequest, UpsertRequest
from pymilvus.grpc_gen.milvus_pb2 import MutationResult as Response
from pymilvus.grpc_gen.milvus_pb2_grpc import MilvusServiceStub
from pymilvus.grpc_gen.schema_pb2 import FieldData, FloatArray, ScalarField, VectorField

from tests.worker.columnar.twins import Twins

PACKAGE = Path(__file__).parents[3] / "worker" / "columnar"
MOVED = "pymilvus has moved this: worker/columnar/wire.py must follow"


def test_only_one_module_looks_inside() -> None:
    """The others import what pymilvus gives to everyone, and nothing of the pipeline."""
    for path in PACKAGE.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        modules = {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        modules |= {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
        inside = {module for module in modules if module.startswith("pymilvus.")}
        assert path.name == "wire.py" or not inside, path
        ours = {module for module in modules if module.split(".")[0] in {"contract", "worker"}}
        assert all(module.startswith("worker.columnar.") for module in ours), path


@pytest.mark.parametrize(
    ("call", "takes"),
    [
        (AsyncMilvusClient._get_connection, {"self"}),
        (AsyncMilvusClient._generate_call_context, {"self", "kwargs"}),
        (AsyncGrpcHandler._get_schema, {"collection_name", "timeout", "context", "kwargs"}),
        (call_context._api_level_md, {"context"}),
        (call_context.CallContext.get_db_name, {"self"}),
        (ts_utils.update_collection_ts, {"collection_name", "ts", "endpoint", "db_name"}),
        (utils.check_status, {"status"}),
        (MutationResult.__init__, {"raw"}),
        (MilvusServiceStub.__init__, {"channel"}),
        (retry_on_rpc_failure, {"retry_times"}),
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_functions_take_what_they_took(call: object, takes: set[str]) -> None:
    """Each is called with these."""
    assert callable(call)
    assert takes <= set(inspect.signature(call).parameters), MOVED


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        (InsertRequest, "collection_name partition_name fields_data num_rows schema_timestamp"),
        (UpsertRequest, "collection_name partition_name fields_data num_rows schema_timestamp"),
        (FieldData, "type field_name scalars vectors is_dynamic"),
        (VectorField, "dim float_vector"),
        (
            ScalarField,
            "bool_data int_data long_data float_data double_data string_data json_data",
        ),
        (Response, "status IDs timestamp"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_messages_have_the_fields_that_they_had(message: object, fields: str) -> None:
    """Each of these is set, or read."""
    assert set(fields.split()) <= set(message.DESCRIPTOR.fields_by_name), MOVED  # type: ignore[attr-defined]


def test_floats_are_packed_in_field_1() -> None:
    """Arrays are written as these bytes."""
    field = FloatArray.DESCRIPTOR.fields_by_name["data"]
    assert field.number == 1, MOVED
    assert FloatArray(data=[1.0]).SerializeToString() == b"\x0a\x04\x00\x00\x80\x3f", MOVED


async def test_an_open_handler_has_what_is_used(twins: Twins) -> None:
    """Names that are there once it is connected."""
    handler = await twins.columnar.aclient._get_connection()
    for name in ("_async_stub", "_get_schema", "server_address", "_on_rpc_error"):
        assert hasattr(handler, name), f"{name}: {MOVED}"
    for name in ("Insert", "Upsert"):
        assert callable(getattr(handler._async_stub, name)), MOVED
