"""Promises of the proxy that breaks connections."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from benchmarks.rig.proxy import HOST, Proxy

_MOMENT_SECONDS = 0.2


@pytest.fixture
async def echo() -> AsyncIterator[int]:
    """Run a server that sends back what it gets."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(1000):
            writer.write(chunk)
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.fixture
async def proxy(echo: int) -> AsyncIterator[Proxy]:
    """Stand before it."""
    proxy = Proxy(echo)
    await proxy.open()
    yield proxy
    await proxy.aclose()


class Client:
    """A connection through the proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def of(cls, proxy: Proxy) -> "Client":
        """Connect."""
        return cls(*await asyncio.open_connection(HOST, proxy.port))

    async def says(self, word: bytes) -> bytes:
        """Send a word; give what comes back within a moment."""
        self.writer.write(word)
        async with asyncio.timeout(_MOMENT_SECONDS):
            return await self.reader.read(100)


async def test_it_passes_on_what_comes(proxy: Proxy) -> None:
    """Both ways, and the end too."""
    client = await Client.of(proxy)
    assert await client.says(b"hello") == b"hello"
    client.writer.write_eof()
    assert await client.reader.read() == b""
    client.writer.close()


async def test_dropped_connections_are_reset_and_new_ones_pass(proxy: Proxy) -> None:
    """The client learns of it at once."""
    client = await Client.of(proxy)
    assert await client.says(b"hello") == b"hello"
    proxy.drop()
    with pytest.raises(ConnectionError):
        await client.says(b"again")
    client.writer.close()
    new = await Client.of(proxy)
    assert await new.says(b"again") == b"again"
    new.writer.close()


async def test_it_refuses_and_takes_again_at_the_same_port(proxy: Proxy) -> None:
    """While it refuses, nobody else can have the port."""
    port = proxy.port
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        await Client.of(proxy)
    await proxy.open()
    assert proxy.port == port
    client = await Client.of(proxy)
    assert await client.says(b"hello") == b"hello"
    client.writer.close()


async def test_what_is_swallowed_stays_lost(proxy: Proxy) -> None:
    """No answer and no end, on old connections and new ones; only later ones pass again."""
    old = await Client.of(proxy)
    assert await old.says(b"hello") == b"hello"
    proxy.swallow()
    new = await Client.of(proxy)
    for client in (old, new):
        with pytest.raises(TimeoutError):
            await client.says(b"anyone?")
    proxy.heal()
    for client in (old, new):
        with pytest.raises(TimeoutError):
            await client.says(b"anyone?")
        client.writer.close()
    later = await Client.of(proxy)
    assert await later.says(b"hello") == b"hello"
    later.writer.close()


async def test_what_is_held_arrives_late(proxy: Proxy) -> None:
    """It waits for its release, and arrives."""
    client = await Client.of(proxy)
    proxy.hold()
    with pytest.raises(TimeoutError):
        await client.says(b"hello")
    assert proxy.held_bytes == len(b"hello")
    proxy.release()
    async with asyncio.timeout(1):
        assert await client.reader.read(100) == b"hello"
    client.writer.close()
