"""Answers the requests of the benchmark endpoint: embeddings, counts, faults."""

import asyncio
import binascii
import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from headrace.bench.counts import Counts
from headrace.bench.faults import Faults
from headrace.bench.rate import Rate
from headrace.bench.vectors import HashedWords
from headrace.bench.wire import HttpError, Reply, Request

_MOST_INPUTS = 2048


class Dropped(Exception):  # noqa: N818 - a signal, no error
    """The connection is to be closed without an answer."""


class Cut(Exception):  # noqa: N818 - a signal, no error
    """The connection is to be closed in the middle of this answer.

    Attributes:
        reply: the whole answer.
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__()
        self.reply = reply


class Hung(Exception):  # noqa: N818 - a signal, no error
    """The request is to stay without an answer for as long as the client waits."""


class Service:
    """An OpenAI-compatible embedding service with counts and faults.

    Args:
        dimensions: length of the vectors.
        latency_seconds: wait before every good answer, until it is set anew.
        clock: seconds, only going forward.
    """

    def __init__(self, dimensions: int, latency_seconds: float, clock: Callable[[], float]) -> None:
        self._vectors = HashedWords(dimensions)
        self._first_faults = Faults(latency_seconds=latency_seconds)
        self._clock = clock
        self.counts = Counts()
        self._set_faults(self._first_faults)

    async def answer(self, request: Request) -> Reply:
        """Answer one request.

        Raises:
            HttpError: the request is refused.
            Dropped: the connection is to be closed instead.
            Cut: the connection is to be closed in the middle of the answer.
            Hung: the request is to stay without an answer.
        """
        match request.method, request.path:
            case "POST", "/v1/embeddings":
                return await self._count(request)
            case "GET", "/stats":
                return Reply(orjson.dumps(self.counts.as_dict()))
            case "POST", "/reset":
                self.counts.reset()
                self._set_faults(self._first_faults)
                return Reply(b"{}")
            case "POST", "/faults":
                try:
                    self._set_faults(self._faults.changed(_json_object(request.body)))
                except ValueError as error:
                    raise HttpError(400, str(error)) from error
                return Reply(orjson.dumps(self._faults))
            case _, "/v1/embeddings" | "/stats" | "/reset" | "/faults":
                raise HttpError(405, f"{request.path} does not take {request.method}")
        raise HttpError(404, f"no such path: {request.path}")

    def _set_faults(self, faults: Faults) -> None:
        self._faults = dataclasses.replace(faults)
        limits = {"requests": faults.requests_per_minute, "tokens": faults.tokens_per_minute}
        self._rates = {
            of: Rate(limit, self._clock()) for of, limit in limits.items() if limit is not None
        }
        self._rate_headers = {
            f"x-ratelimit-{name}-{of}": value
            for of, limit in limits.items()
            if limit is not None and faults.rate_headers
            for name, value in {"limit": str(limit), "reset": "1s"}.items()
        }

    async def _count(self, request: Request) -> Reply:
        self.counts.begin()
        try:
            reply = await self._embed(request)
        except HttpError as error:
            self.counts.responses[error.status] += 1
            raise
        except (Dropped, Cut):
            self.counts.dropped += 1
            raise
        except Hung:
            self.counts.hung += 1
            raise
        finally:
            self.counts.in_flight -= 1
        self.counts.responses[reply.status] += 1
        return reply

    async def _embed(self, request: Request) -> Reply:
        faults = self._faults
        self._fail_on_purpose(faults)
        fields = _json_object(request.body)
        texts = self._texts(fields, faults)
        tokens = _exact_tokens(texts) if faults.exact_tokens else sum(len(x) // 4 for x in texts)
        self._hold_rates(tokens)
        if faults.latency_seconds:
            await asyncio.sleep(faults.latency_seconds)
        vectors = self._vectors.embed(texts)
        self.counts.embedded(texts, tokens)
        data = _damaged(vectors, faults, base64=fields.get("encoding_format") == "base64")
        answer = {
            "object": "list",
            "data": data,
            "model": fields.get("model"),
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
        body = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
        reply = Reply(body, headers=self._rate_headers)
        if faults.take_cut():
            raise Cut(reply)
        return reply

    def _fail_on_purpose(self, faults: Faults) -> None:
        if faults.take_drop():
            raise Dropped
        if faults.take_hang():
            raise Hung
        status = faults.take_status()
        if status is not None:
            raise _failure(status, "a fault was asked for", faults.retry_after_seconds)
        limit = faults.max_in_flight
        if limit is not None and self.counts.in_flight > limit:
            message = f"more than {limit} requests at the same time"
            raise _failure(429, message, faults.retry_after_seconds)

    def _hold_rates(self, tokens: int) -> None:
        now, amounts = self._clock(), {"requests": 1, "tokens": tokens}
        for of, rate in self._rates.items():
            wait_seconds = rate.wait_seconds(now, amounts[of])
            if wait_seconds > 0:
                raise _failure(429, f"too many {of} a minute", wait_seconds)
        for of, rate in self._rates.items():
            rate.take(amounts[of])

    def _texts(self, fields: dict[str, Any], faults: Faults) -> list[str]:
        given = fields.get("input")
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, list) or not texts:
            raise HttpError(400, "input must be a string or a list of strings")
        if len(texts) > _MOST_INPUTS:
            raise HttpError(400, f"input has {len(texts)} texts; at most {_MOST_INPUTS} are taken")
        if not all(isinstance(text, str) for text in texts):
            raise HttpError(400, "input must be a string or a list of strings, no token ids")
        if not isinstance(fields.get("model"), str):
            raise HttpError(400, "you must provide a model parameter")
        if fields.get("encoding_format", "float") not in ("float", "base64"):
            raise HttpError(400, "encoding_format must be float or base64")
        dimensions = fields.get("dimensions")
        if dimensions not in (None, self._vectors.dimensions):
            raise HttpError(400, f"dimensions must be {self._vectors.dimensions}")
        marker = faults.refuse_marker
        if marker is not None and any(marker in text for text in texts):
            raise HttpError(400, "an input is refused by its content", code="invalid_request")
        return texts


def _exact_tokens(texts: Iterable[str]) -> int:
    from worker.embedding.tokens import Cl100k  # noqa: PLC0415 - loads 44 MB

    return sum(map(Cl100k().count, texts))


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise HttpError(400, "the body is not JSON in UTF-8") from error
    if not isinstance(fields, dict):
        raise HttpError(400, "the body is not a JSON object")
    return fields


def _damaged(
    vectors: NDArray[np.float32], faults: Faults, *, base64: bool
) -> list[dict[str, object]]:
    """Give the list of vectors of an answer, with the faults that are set."""
    count = len(vectors)
    if faults.wrong_dimension:
        vectors = np.hstack((vectors, np.zeros((count, 1), np.float32)))
    if faults.nan:
        vectors[-1, 0] = np.nan
    indexes = list(range(count))
    order = list(range(count))
    if faults.duplicate_index:
        indexes[-1] = 0
    if faults.short:
        order.pop()
    if faults.shuffled:
        # A rotation is not its own inverse: a client that sorts the wrong way round is seen.
        order = order[1:] + order[:1]
    little_endian = np.ascontiguousarray(vectors, dtype="<f4")
    return [
        {
            "object": "embedding",
            "index": indexes[row],
            "embedding": (
                binascii.b2a_base64(little_endian[row].data, newline=False).decode("ascii")
                if base64
                else vectors[row]
            ),
        }
        for row in order
    ]


def _failure(status: int, message: str, retry_after_seconds: float | None) -> HttpError:
    headers = {}
    if retry_after_seconds is not None:
        headers["retry-after"] = str(math.ceil(retry_after_seconds))
        headers["retry-after-ms"] = str(math.ceil(retry_after_seconds * 1000))
    if status == 429:  # noqa: PLR2004
        kind, code = "requests", "rate_limit_exceeded"
    else:
        kind, code = ("server_error" if status >= 500 else "invalid_request_error"), None  # noqa: PLR2004
    return HttpError(status, message, kind=kind, code=code, headers=headers)
