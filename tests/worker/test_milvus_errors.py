"""What the errors of pymilvus and grpc mean."""

from collections.abc import Iterator

import grpc
import pymilvus.exceptions
import pytest
from grpc.aio import AioRpcError, Metadata
from pymilvus import MilvusException

from contract.errors import (
    CollectionGoneError,
    HeadraceError,
    StoreRejectedError,
    ThrottledError,
    TimedOutError,
    TransientError,
    UnreachableError,
    UsageError,
)
from worker.milvus_errors import BY_TYPE, judged, judged_grpc

JUDGED_BY_CODE = {pymilvus.exceptions.DescribeCollectionException}
WHERE = "http://mill:19530"


def subclasses(kind: type[MilvusException]) -> Iterator[type[MilvusException]]:
    """Walk all classes below one."""
    for sub in kind.__subclasses__():
        yield sub
        yield from subclasses(sub)


def test_every_error_class_of_pymilvus_is_known() -> None:
    """A class that a new pymilvus brings must be given a meaning."""
    kinds = set(subclasses(MilvusException))
    assert len(kinds) > 20
    assert kinds - JUDGED_BY_CODE == set(BY_TYPE)


def wrap(error: MilvusException) -> None:
    """Do as pymilvus does."""
    try:
        raise error
    except MilvusException as inner:
        raise MilvusException(1, "[upsert_rows] Retry run out of 0 retry times") from inner


@pytest.mark.parametrize("kind", sorted(BY_TYPE, key=str))
def test_a_type_that_was_wrapped_still_counts(kind: type[MilvusException]) -> None:
    """Pymilvus wraps what it has stopped retrying in a plain error, of the same meaning."""
    error = kind(code=1, message="said")
    alone = judged(error, WHERE)
    with pytest.raises(MilvusException) as caught:
        wrap(error)
    assert type(judged(caught.value, WHERE)) is type(alone)
    assert str(alone).startswith(f"Milvus at {WHERE} ")


@pytest.mark.parametrize(
    ("code", "message", "meaning"),
    [
        # As Milvus 2.3.5 says them.
        (100, "collection not found[collection=470647998754987672]", CollectionGoneError),
        (1100, "the length (70000) of 0th string exceeds max length (65535)", StoreRejectedError),
        (65535, "the length(3) of float data should divide the dim(4)", StoreRejectedError),
        (65535, "value 'NaN' is not a number or infinity", StoreRejectedError),
        (65535, "cannot parse expression: ordinal ====, error: line 1:11", StoreRejectedError),
        (65535, "invalid index type: NOPE", UsageError),
        (65535, "channel not available[channel=by-dev-rootcoord-dml_3]", TransientError),
        (65535, "attempt #0: node offline[node=4]: timeout", TimedOutError),
        (8, "request is rejected by grpc RateLimiter middleware", ThrottledError),
        (9, "deny to write, reason: memory quota exhausted", ThrottledError),
        (4, "request limit exceeded", ThrottledError),
        (800, "database not found[database=nodb]", UsageError),
        (1400, "unauthenticated", UsageError),
        (1401, "permission deny", UsageError),
        (1, "service not ready[rootcoord=3]: Initializing", TransientError),
        (101, "collection not loaded[collection=470647998754586912]", TransientError),
        (700, "index not found[collection=bad_1]", TransientError),
        (6, "cross cluster routing[expected=a][actual=b]", UnreachableError),
        # As Milvus Lite 3.2 says them.
        (6, "vector field 'vector' expected dim 4, got 3", StoreRejectedError),
        (1, "database 'nodb' does not exist", UsageError),
        # As pymilvus says them.
        (2, "Fail connecting to server on mill:19530, illegal connection params", UnreachableError),
        (1, "[upsert_rows] Retry timeout: 1s", TimedOutError),
        (grpc.StatusCode.UNAVAILABLE, "[delete] Retry timeout: 30s", UnreachableError),
        (1, "Unexpected error, message=<Channel is closed.>", UnreachableError),
        (1, "Unexpected error, message=<'NoneType' object has no attribute>", TransientError),
        (1, "nobody has seen this before", TransientError),
    ],
)
def test_codes_and_words(code: object, message: str, meaning: type[HeadraceError]) -> None:
    """Each error that was seen has its meaning, and an unknown one costs no document."""
    found = judged(MilvusException(code=code, message=message), WHERE)
    assert type(found) is meaning
    assert message in str(found)


@pytest.mark.parametrize(
    "text", ["rate limit", "timeout", "unavailable", "fail connecting", "quota", "permission deny"]
)
def test_words_of_a_document_do_not_turn_a_refusal_around(text: str) -> None:
    """A refusal that quotes a value stays a refusal, whatever the value says."""
    found = judged(MilvusException(1100, f"invalid parameter[actual={text}]"), WHERE)
    assert type(found) is StoreRejectedError


def asynchronous(code: grpc.StatusCode, details: str) -> grpc.RpcError:
    """Make an error as the asynchronous client raises it."""
    return AioRpcError(code, Metadata(), Metadata(), details=details)


@pytest.mark.parametrize(
    ("code", "details", "meaning"),
    [
        (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "grpc: received message larger than max (71547529 vs. 67108864)",
            StoreRejectedError,
        ),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "too many calls", ThrottledError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", TimedOutError),
        (grpc.StatusCode.UNAVAILABLE, "Connection reset", UnreachableError),
        (grpc.StatusCode.UNAUTHENTICATED, "auth check failure", UsageError),
        (grpc.StatusCode.PERMISSION_DENIED, "no", UsageError),
        (grpc.StatusCode.INTERNAL, "RST_STREAM", UnreachableError),
    ],
)
def test_errors_of_the_transport(
    code: grpc.StatusCode, details: str, meaning: type[HeadraceError]
) -> None:
    """The asynchronous client's errors are judged by their code, like the other one's."""
    found = judged_grpc(asynchronous(code, details), WHERE)
    assert type(found) is meaning
    assert details in str(found)
