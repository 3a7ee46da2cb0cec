"""The part of HTTP/1.1 that the benchmark endpoint speaks: keep-alive, bodies of known length."""

import asyncio
from dataclasses import dataclass, field
from http import HTTPStatus

import orjson

MAX_BODY_BYTES = 64 * 1024 * 1024
MAX_HEAD_BYTES = 64 * 1024


class HttpError(Exception):
    """A request that is answered with an error, in OpenAI's form.

    Attributes:
        status: HTTP status of the answer.
        message: what was wrong, for a person.
        kind: OpenAI's ``type``.
        code: OpenAI's ``code``, or None.
        headers: additional headers of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message
        self.kind = kind
        self.code = code
        self.headers = headers or {}

    def reply(self) -> "Reply":
        """Give the answer to send."""
        error = {"message": self.message, "type": self.kind, "param": None, "code": self.code}
        return Reply(orjson.dumps({"error": error}), self.status, self.headers)


@dataclass(frozen=True, slots=True)
class Request:
    """One request; the names of its headers are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    keep_alive: bool


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer; its body is JSON."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    def encode(self, *, keep_alive: bool) -> bytes:
        """Give the bytes to send."""
        lines = [
            f"HTTP/1.1 {self.status} {_phrase(self.status)}",
            "content-type: application/json",
            f"content-length: {len(self.body)}",
            f"connection: {'keep-alive' if keep_alive else 'close'}",
            *(f"{name}: {value}" for name, value in self.headers.items()),
        ]
        return b"".join(("\r\n".join(lines).encode("latin-1"), b"\r\n\r\n", self.body))


async def read_request(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Request | None:
    """Read the next request of a connection, or None when the other side has gone.

    Raises:
        HttpError: the request can't be read; the connection is of no more use.
    """
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        method, path, version, headers = _parse_head(head)
        length = _body_bytes(method, headers)
        if length and headers.get("expect", "").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await reader.readexactly(length) if length else b""
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    except asyncio.LimitOverrunError as error:
        raise HttpError(431, f"the head is longer than {MAX_HEAD_BYTES} bytes") from error
    connection = headers.get("connection", "").lower()
    keep_alive = connection != "close" and (version == "HTTP/1.1" or connection == "keep-alive")
    return Request(method, path, headers, body, keep_alive)


def _parse_head(head: bytes) -> tuple[str, str, str, dict[str, str]]:
    first, *lines = head.decode("latin-1")[:-4].split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or parts[2] not in ("HTTP/1.1", "HTTP/1.0"):  # noqa: PLR2004
        raise HttpError(400, "the first line is not 'METHOD PATH HTTP/1.1'")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or not name or name != name.strip():
            raise HttpError(400, "a header line is not 'name: value'")
        if name == "content-length" and name in headers:
            raise HttpError(400, "content-length is given twice")
        headers[name] = value.strip()
    return parts[0], parts[1].partition("?")[0], parts[2], headers


def _body_bytes(method: str, headers: dict[str, str]) -> int:
    if "transfer-encoding" in headers:
        raise HttpError(411, "chunked bodies are not read here: send a content-length")
    length = headers.get("content-length")
    if length is None:
        if method == "POST":
            raise HttpError(411, "a POST needs a content-length")
        return 0
    if not (length.isascii() and length.isdigit()):
        raise HttpError(400, "content-length is not a number")
    if int(length) > MAX_BODY_BYTES:
        raise HttpError(413, f"the body is longer than {MAX_BODY_BYTES} bytes")
    return int(length)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
