"""An OpenAI-compatible embedding endpoint for benchmarks and tests, as a process of its own.

``python -m headrace.bench.endpoint --port 0 --dimensions 384 --latency-seconds 0.1`` listens on
127.0.0.1 only and prints one line of JSON, ``{"url": "http://127.0.0.1:PORT/v1"}``, when it does.

``POST /v1/embeddings`` as OpenAI has it; ``GET /stats`` gives counts, ``POST /faults`` sets what
it does wrong (the fields of ``headrace.bench.faults.Faults``; those not named stay as they are),
``POST /reset`` sets counts and faults back to the start.
"""

import argparse
import asyncio
import os
import signal
import stat
import sys
import time

import orjson

from headrace.bench.service import Cut, Dropped, Hung, Service
from headrace.bench.wire import MAX_HEAD_BYTES, HttpError, read_request

_PARENT_POLL_SECONDS = 0.2


class Endpoint:
    """Serves the connections of one service and closes them all at the end."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._connections: set[asyncio.Task[None]] = set()

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a new connection."""
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def aclose(self) -> None:
        """Cut every connection, answered or not."""
        connections = tuple(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._serve_one(reader, writer):
                pass
        except ConnectionError:
            pass  # the client has gone; nobody is left to be told
        finally:
            writer.transport.abort() if reader.at_eof() else writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request; tell whether the connection can carry another."""
        keep_alive = False
        try:
            request = await read_request(reader, writer)
            if request is None:
                return False
            keep_alive = request.keep_alive
            reply = await self._service.answer(request)
        except HttpError as error:
            reply = error.reply()
        except Dropped:
            writer.transport.abort()
            return False
        except Cut as cut:
            whole = cut.reply.encode(keep_alive=False)
            writer.write(whole[: len(whole) // 2])
            await writer.drain()
            return False
        except Hung:
            while await reader.read(MAX_HEAD_BYTES):
                pass
            return False
        writer.write(reply.encode(keep_alive=keep_alive))
        await writer.drain()
        return keep_alive


async def serve(*, port: int, dimensions: int, latency_seconds: float, parent: int | None) -> None:
    """Serve until SIGTERM or SIGINT, or until the parent (a process id) has gone, if given."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    endpoint = Endpoint(Service(dimensions, latency_seconds, time.monotonic))
    server = await asyncio.start_server(
        endpoint.connected, "127.0.0.1", port, limit=MAX_HEAD_BYTES, backlog=1024
    )
    watch = None if parent is None else asyncio.create_task(_watch_parent(parent, stopped))
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    sys.stdout.write(orjson.dumps({"url": url}).decode() + "\n")
    sys.stdout.flush()
    try:
        await stopped.wait()
    finally:
        if watch is not None:
            watch.cancel()
        server.close()
        await endpoint.aclose()


async def _watch_parent(parent: int, stopped: asyncio.Event) -> None:
    """Set ``stopped`` when the parent dies, or when the pipe on standard input is closed."""
    mode = os.fstat(0).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        loop = asyncio.get_running_loop()

        def readable() -> None:
            if not os.read(0, MAX_HEAD_BYTES):
                loop.remove_reader(0)
                stopped.set()

        loop.add_reader(0, readable)
    while os.getppid() == parent:  # noqa: ASYNC110 - nothing tells of a parent's death
        await asyncio.sleep(_PARENT_POLL_SECONDS)
    stopped.set()


def main(arguments: list[str] | None = None) -> None:
    """Run the endpoint until it is told to end."""
    # Asked first: a parent that dies once it has the URL must not be mistaken for the next one.
    parent = os.getppid()
    parser = argparse.ArgumentParser(
        prog="python -m headrace.bench.endpoint",
        description="An OpenAI-compatible embedding endpoint on 127.0.0.1.",
    )
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--dimensions", type=int, default=384, help="length of a vector")
    parser.add_argument("--latency-seconds", type=float, default=0.0, help="wait of each answer")
    parser.add_argument(
        "--die-with-parent",
        action="store_true",
        help="end when the parent process dies or closes the pipe on standard input",
    )
    options = parser.parse_args(arguments)
    if options.dimensions < 1 or not 0 <= options.latency_seconds < float("inf"):
        parser.error("--dimensions must be at least 1, --latency-seconds at least 0")
    asyncio.run(
        serve(
            port=options.port,
            dimensions=options.dimensions,
            latency_seconds=options.latency_seconds,
            parent=parent if options.die_with_parent else None,
        )
    )


if __name__ == "__main__":
    main()
