"""An HTTP server inside the test that gives every request the same answer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def scripted(answer: Answer) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that keeps the heads of requests and answers each in the same way."""
    heads: list[bytes] = []
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            await answer(writer)
        with contextlib.suppress(ConnectionError):
            writer.close()
            await writer.wait_closed()

    server = await asyncio.start_server(
        lambda reader, writer: connections.add(asyncio.create_task(serve(reader, writer))),
        "127.0.0.1",
        0,
    )
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", heads
        await asyncio.gather(*connections)


def http_answer(body: bytes, status: str = "200 OK", *headers: str) -> Answer:
    """An answer, after which the connection is closed."""
    head = (f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close", *headers)

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        await writer.drain()

    return answer


async def trickle(writer: asyncio.StreamWriter) -> None:
    """An answer that comes byte by byte, for as long as the client stays."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)
