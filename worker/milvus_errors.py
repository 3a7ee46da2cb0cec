"""What the errors of pymilvus and grpc mean, in our terms.

By their type first, then their code, then their text. Codes alone do not do: 1 stands for
a time-out as well as for a wrong schema, and 65535, up to Milvus 2.3, for anything at all.
The codes are those of Milvus' ``pkg/util/merr/errors.go``; Milvus Lite has some of its own.
What is not known here counts as transient: it may cost time, but no document.
"""

from collections.abc import Iterator
from typing import Any

import grpc
from pymilvus import MilvusException, exceptions

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

NOT_FOUND = 100
"""A collection that does not exist; Milvus Lite: an alias as well."""
ALIAS_NOT_FOUND = 1600
ALIAS_TAKEN = 1602

_Meaning = tuple[type[HeadraceError], str]
_REJECTS: _Meaning = (StoreRejectedError, "refuses")
_UNREACHABLE: _Meaning = (UnreachableError, "can't be reached")
_THROTTLES: _Meaning = (ThrottledError, "throttles")
_TIMED_OUT: _Meaning = (TimedOutError, "did not answer in time")
_DENIES: _Meaning = (UsageError, "refuses these credentials")
_GONE: _Meaning = (CollectionGoneError, "has lost a collection")
_WRONG_SETTING: _Meaning = (UsageError, "can't be used as it is configured")
_UNSETTLED: _Meaning = (TransientError, "is not ready")

BY_TYPE: dict[type[MilvusException], _Meaning] = {
    exceptions.ConnectError: _UNREACHABLE,
    exceptions.MilvusUnavailableException: _UNREACHABLE,
    exceptions.ConnectionNotExistException: _UNREACHABLE,
    exceptions.CollectionNotExistException: _GONE,
    exceptions.ConnectionConfigException: _WRONG_SETTING,
    exceptions.ServerVersionIncompatibleException: _WRONG_SETTING,
    exceptions.SchemaNotReadyException: _UNSETTLED,
    exceptions.SchemaMismatchRetryableException: _UNSETTLED,
    exceptions.IndexNotExistException: _UNSETTLED,
    exceptions.AmbiguousIndexName: _UNSETTLED,
    exceptions.PartitionAlreadyExistException: _UNSETTLED,
    **dict.fromkeys(
        (
            exceptions.AutoIDException,
            exceptions.CannotInferSchemaException,
            exceptions.ClusteringKeyException,
            exceptions.DataNotMatchException,
            exceptions.DataTypeNotMatchException,
            exceptions.DataTypeNotSupportException,
            exceptions.FieldTypeException,
            exceptions.FieldsTypeException,
            exceptions.FunctionsTypeException,
            exceptions.InvalidConsistencyLevel,
            exceptions.ParamError,
            exceptions.PartitionKeyException,
            exceptions.PrimaryKeyException,
        ),
        _REJECTS,
    ),
}
"""Types that say by themselves what they mean; any other is judged by its code."""

_BY_WORDS_FIRST: tuple[tuple[tuple[str, ...], _Meaning], ...] = (
    (("invalid index type",), _WRONG_SETTING),
    # Its code is the one by which Milvus Lite refuses rows.
    (("cross cluster routing",), _UNREACHABLE),
)
_BY_CODE: dict[Any, _Meaning] = {
    2: _UNREACHABLE,
    **dict.fromkeys((3, 4, 7, 8, 9), _THROTTLES),  # limits of memory, requests, disk, rate; quota
    6: _REJECTS,  # Milvus Lite: illegal argument
    NOT_FOUND: _GONE,
    800: _WRONG_SETTING,  # no such database
    **dict.fromkeys((1100, 1101), _REJECTS),  # illegal input
    **dict.fromkeys((1400, 1401), _DENIES),
    # Where pymilvus gave up, its code is one of grpc's.
    grpc.StatusCode.UNAVAILABLE: _UNREACHABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: _TIMED_OUT,
    grpc.StatusCode.UNAUTHENTICATED: _DENIES,
    grpc.StatusCode.PERMISSION_DENIED: _DENIES,
    grpc.StatusCode.RESOURCE_EXHAUSTED: _THROTTLES,
}
_BY_WORDS: tuple[tuple[tuple[str, ...], _Meaning], ...] = (
    (("auth check failure", "unauthenticated", "permission den"), _DENIES),
    (("rate limit", "quota", "too many requests"), _THROTTLES),
    (("fail connecting", "unavailable", "connection refused", "channel is closed"), _UNREACHABLE),
    (("timeout", "deadline exceeded"), _TIMED_OUT),
    # What 2.3 says of rows and filters under code 65535.
    (("should divide the dim", "is not a number or infinity", "exceeds max length"), _REJECTS),
    (("cannot parse expression",), _REJECTS),
)
_TOO_LARGE = "larger than max"


def judged(error: MilvusException, where: str) -> HeadraceError:
    """Say what a Milvus error means."""
    meaning, saying = _meaning(error)
    return meaning(f"Milvus at {where} {saying}: {error.message or error}")


def judged_grpc(error: grpc.RpcError, where: str) -> HeadraceError:
    """Say what an error means that pymilvus let through as grpc raised it."""
    # The asynchronous AioRpcError has a code, though it is no grpc.Call.
    code = error.code() if hasattr(error, "code") else None
    details = error.details() if hasattr(error, "details") else str(error)
    if code == grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE in str(details):
        return StoreRejectedError(f"Milvus at {where} takes no message so large: {details}")
    meaning, saying = _BY_CODE.get(code, _UNREACHABLE)
    return meaning(f"Milvus at {where} {saying}: {code}: {details}")


def _types(error: BaseException | None) -> Iterator[type]:
    """Name an error's types, and those of the errors that pymilvus wrapped in plain ones."""
    while isinstance(error, MilvusException):
        yield from type(error).__mro__
        error = error.__context__


def _meaning(error: MilvusException) -> _Meaning:
    for kind in _types(error):
        if kind in BY_TYPE:
            return BY_TYPE[kind]
    said = str(error.message).lower()
    for words, meaning in _BY_WORDS_FIRST:
        if any(word in said for word in words):
            return meaning
    if error.code in _BY_CODE:
        return _BY_CODE[error.code]
    if "database" in said and "does not exist" in said:
        return _WRONG_SETTING
    for words, meaning in _BY_WORDS:
        if any(word in said for word in words):
            return meaning
    return TransientError, "failed"
