"""Reads the vectors and the usage out of a reply in OpenAI's form."""

import binascii
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from contract.errors import EmbeddingReplyError
from worker.embedding.checks import order_by_index, to_array


def read_reply(content: bytes, count: int, address: str) -> tuple[NDArray[np.float32], int | None]:
    """Give the vectors in the order of the inputs, and the tokens that were counted, if any.

    Vectors may be base64 of little-endian 32-bit floats, or lists of numbers.

    Args:
        content: body of the reply.
        count: how many inputs the request had, at least 1.
        address: the endpoint's address for messages, without credentials.

    Raises:
        EmbeddingReplyError: it is not JSON, not in OpenAI's form, or does not have one vector
            for every index.
    """
    try:
        reply: Any = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise EmbeddingReplyError(
            f"the embedding endpoint {address} gave an answer that is not JSON; check that the "
            "base URL ends where its API begins, as in http://host:port/v1"
        ) from error
    try:
        data = reply["data"]
        positions = order_by_index([item["index"] for item in data], count)
        values = [data[position]["embedding"] for position in positions]
    except (KeyError, TypeError) as error:
        raise EmbeddingReplyError(
            f"the embedding endpoint {address} gave an answer that is not a list of vectors in "
            "OpenAI's form; check that the base URL is that of an embedding API"
        ) from error
    vectors = _unpacked(values) if isinstance(values[0], str) else to_array(values)
    usage = reply.get("usage")
    tokens = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    return vectors, tokens if isinstance(tokens, int) else None


def _unpacked(values: list[Any]) -> NDArray[np.float32]:
    try:
        packed = [binascii.a2b_base64(value, strict_mode=True) for value in values]
    except (ValueError, TypeError) as error:
        raise EmbeddingReplyError("the embedding endpoint gave a vector not in base64") from error
    length = len(packed[0])
    if length % 4 or any(len(vector) != length for vector in packed):
        raise EmbeddingReplyError("the embedding endpoint gave vectors of different lengths")
    # A bytearray, so that the array can be written to.
    array = np.frombuffer(bytearray().join(packed), dtype="<f4")
    return array.reshape(len(values), length // 4).astype(np.float32, copy=False)
