"""Fetching from one site: bounded in time, size, requests at once, and in where it is led."""

import asyncio
import functools
import random
import ssl
import time
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import httpx2

from contract.errors import DocumentError, UnreachableError, UsageError
from producers.document import Reason
from producers.web.address import Address
from producers.web.answers import retry_after_seconds
from producers.web.robots import AGENT

REQUESTS_AT_ONCE: Final = 8
MOST_REDIRECTS: Final = 5
MOST_SILENCES: Final = 8
"""So many pages in a row to which no connection could be made: the site is away."""
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_GONE: Final = frozenset({404, 410})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_PIECE: Final = 65_536


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to wait for what; times in seconds."""

    connect_seconds: float = 5.0
    read_seconds: float = 20.0
    """For the next bytes."""
    whole_seconds: float = 120.0
    """For one answer, with its body."""
    tries: int = 3
    backoff_seconds: float = 0.5
    """Before the second try, and twice as long before each further one."""
    patience_seconds: float = 60.0
    """The longest wait that a server may ask for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request."""

    address: Address
    """After redirects."""
    headers: httpx2.Headers
    body: bytes


@dataclass(slots=True)
class _Connections:
    """A client that is open while anybody fetches: nobody has to close it afterwards."""

    client: httpx2.AsyncClient
    turns: asyncio.Semaphore
    users: int = 0


class _PassingError(Exception):
    """A try that failed in a way that may pass."""

    def __init__(self, message: str, wait_seconds: float | None = None) -> None:
        super().__init__(message)
        self.wait_seconds = wait_seconds


class Fetcher:
    """Fetches pages of one site, whose server may be slow, broken or hostile.

    Only that site is spoken to, also by redirects, so a page can't have a program of ours ask a
    machine that is hidden behind it. Loops may differ between bursts of requests, not within one.
    """

    def __init__(self, home: Address, pace: Pace | None = None) -> None:
        """Prepare; nothing is sent yet.

        Args:
            home: an address of the site.
            pace: how long to wait.
        """
        self._home = home
        self._pace = pace or Pace()
        self._connections: _Connections | None = None
        self._not_before = 0.0
        self._silences = 0
        self.may_fetch: Callable[[Address], bool] = lambda _: True

    async def get(
        self,
        address: Address,
        max_bytes: int,
        wants: Callable[[Address, httpx2.Headers], bool] = lambda *_: True,
    ) -> Answer:
        """Fetch a page, with a few tries.

        Args:
            address: of the site.
            max_bytes: of its body, unpacked.
            wants: looks at the headers, and tells whether the body is wanted; may raise.

        Raises:
            DocumentError: it can't be had; with reason ``gone`` where the site says that there is
                none.
            UnreachableError: the whole site is away.
        """
        trouble = ""
        for number in range(self._pace.tries):
            if number:
                jitter = random.uniform(0.5, 1.5)  # noqa: S311 - no secret
                await asyncio.sleep(self._pace.backoff_seconds * 2 ** (number - 1) * jitter)
            try:
                answer = await self._led("GET", address, max_bytes, wants)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                trouble = f"no connection: {_words(error)}"
                self._silences += 1
                if self._silences > MOST_SILENCES * self._pace.tries:
                    raise UnreachableError(f"{self._home.site} does not answer") from error
            except _PassingError as error:
                self._silences = 0
                trouble = str(error)
                if error.wait_seconds is not None:
                    if error.wait_seconds > self._pace.patience_seconds:
                        trouble += f", and asks to come back in {error.wait_seconds:.0f} s"
                        break
                    self._wait(error.wait_seconds)
            except httpx2.HTTPError as error:
                self._silences = 0
                trouble = _words(error)
            else:
                self._silences = 0
                return answer
        raise DocumentError(Reason.UNREADABLE, f"{address.url}: {trouble}")

    async def head(self, address: Address) -> Answer | None:
        """Ask for the headers of a page, once; None where that leads to nothing."""
        try:
            return await self._led("HEAD", address, 0, lambda *_: False)
        except (httpx2.HTTPError, DocumentError):
            return None
        except _PassingError as error:
            if error.wait_seconds is not None:
                self._wait(min(error.wait_seconds, self._pace.patience_seconds))
            return None

    async def _led(
        self,
        method: str,
        address: Address,
        max_bytes: int,
        wants: Callable[[Address, httpx2.Headers], bool],
    ) -> Answer:
        """Follow redirects within the site."""
        at = address
        async with self._open() as connections:
            for _ in range(MOST_REDIRECTS + 1):
                while (seconds := self._not_before - time.monotonic()) > 0:  # noqa: ASYNC110
                    await asyncio.sleep(seconds)
                try:
                    async with connections.turns, asyncio.timeout(self._pace.whole_seconds):
                        found = await self._once(connections.client, method, at, max_bytes, wants)
                except TimeoutError as error:
                    raise DocumentError(
                        Reason.UNREADABLE,
                        f"{at.url}: not through after {self._pace.whole_seconds:g} s",
                    ) from error
                if isinstance(found, Answer):
                    return found
                at = self._followed(at, found)
        raise DocumentError(
            Reason.UNREADABLE, f"{address.url}: more than {MOST_REDIRECTS} redirects"
        )

    def _followed(self, at: Address, reference: str) -> Address:
        try:
            target = at.join(reference)
        except UsageError as error:
            raise DocumentError(Reason.UNREADABLE, f"{at.url}: its redirect: {error}") from error
        if not self._home.is_home_of(target):
            raise DocumentError(
                Reason.UNREADABLE, f"{at.url}: it leads to another site ({target.site})"
            )
        if not self.may_fetch(target):
            raise DocumentError(Reason.DISALLOWED, f"{at.url}: robots.txt forbids where it leads")
        return target

    async def _once(
        self,
        client: httpx2.AsyncClient,
        method: str,
        address: Address,
        max_bytes: int,
        wants: Callable[[Address, httpx2.Headers], bool],
    ) -> Answer | str:
        """Send one request; gives where it leads if that is elsewhere."""
        async with client.stream(method, address.url) as response:
            status, headers = response.status_code, response.headers
            if status in _REDIRECTS and headers.get("location"):
                return str(headers["location"])
            if status in _PASSING:
                wait = retry_after_seconds(headers, time.time()) if status in {429, 503} else None
                raise _PassingError(f"the server says {status}", wait)
            if status in _GONE:
                raise DocumentError(Reason.GONE, f"{address.url}: the server says {status}")
            if status != httpx2.codes.OK:
                raise DocumentError(Reason.UNREADABLE, f"{address.url}: the server says {status}")
            body = b""
            if method == "HEAD":
                await response.aread()  # nothing, but only then is the connection kept
            elif wants(address, headers):
                body = await _body(response, address, max_bytes)
            return Answer(address, headers, body)

    def _wait(self, seconds: float) -> None:
        """Have all requests wait: a server that is asked to slow down means all of them."""
        self._not_before = max(self._not_before, time.monotonic() + seconds)

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[_Connections]:
        if self._connections is None:
            self._connections = _Connections(self._client(), asyncio.Semaphore(REQUESTS_AT_ONCE))
        connections = self._connections
        connections.users += 1
        try:
            yield connections
        finally:
            connections.users -= 1
            if not connections.users:
                self._connections = None
                await connections.client.aclose()

    def _client(self) -> httpx2.AsyncClient:
        pace = self._pace
        return httpx2.AsyncClient(
            headers={"user-agent": f"{AGENT}/{_version()}", "accept-encoding": "gzip"},
            timeout=httpx2.Timeout(pace.read_seconds, connect=pace.connect_seconds, pool=None),
            limits=httpx2.Limits(
                max_connections=REQUESTS_AT_ONCE, max_keepalive_connections=REQUESTS_AT_ONCE
            ),
            verify=_trust(),
            trust_env=self._home.host not in _LOOPBACK,
            follow_redirects=False,
        )


async def _body(response: httpx2.Response, address: Address, max_bytes: int) -> bytes:
    """Read a body, and unpack it here: only so is it bounded whatever it claims to be."""
    packing = response.headers.get("content-encoding", "identity").strip().lower()
    if packing not in {"", "identity", "gzip", "x-gzip"}:
        raise DocumentError(Reason.UNREADABLE, f"{address.url}: packed as {packing[:40]}")
    unpacking = zlib.decompressobj(wbits=31) if "gzip" in packing else None
    body = bytearray()
    async for piece in response.aiter_raw(_PIECE):
        if unpacking is None:
            body += piece
        else:
            try:
                body += unpacking.decompress(piece, max_bytes + 1 - len(body))
            except zlib.error as error:
                raise DocumentError(
                    Reason.UNREADABLE, f"{address.url}: it can't be unpacked"
                ) from error
        if len(body) > max_bytes:
            raise DocumentError(
                Reason.TOO_BIG, f"{address.url}: more than the {max_bytes} bytes that are allowed"
            )
    if unpacking is not None and not unpacking.eof and body:
        raise _PassingError("the answer was cut off")
    return bytes(body)


@functools.cache
def _trust() -> ssl.SSLContext:
    """Read the certificates that are trusted, once: that takes longer than many a request."""
    return httpx2.create_ssl_context()


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _version() -> str:
    try:
        return version("headrace")
    except PackageNotFoundError:
        return "0"
