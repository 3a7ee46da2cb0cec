"""A cache of vectors in one SQLite file, shared by the worker processes of one machine."""

import asyncio
import contextlib
import fcntl
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from contract.errors import TransientError, UsageError

APPLICATION_ID: Final = 0x48524356
"""Stands in the header of our files (``HRCV``), so that no other program's is ever touched."""

_ID_AT: Final = slice(68, 72)  # https://www.sqlite.org/fileformat2.html
_BROKEN: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_BUSY_SECONDS: Final = 0.8
_CLOSE_SECONDS: Final = 2.0
_LOCK_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.01
_FULL: Final = 0.95  # of the bound: pages that are half empty, and SQLite's own, need the rest
_SLICE: Final = 0.02
"""Share of the bound that is evicted at once."""
_HOUR_SECONDS: Final = 3600
_SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS vectors (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE,
        used INTEGER NOT NULL, value BLOB NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS by_use ON vectors (used)",
)

logger = logging.getLogger(__name__)

T = TypeVar("T")


class FileCache:
    """Vectors in a file of bounded size; of those that were not used for longest it forgets some.

    Any number of processes may use it at once, and be killed while they do; the file lies on a
    local disk. One of ours that is damaged is put aside (``.broken``) and begun anew; one that
    is not ours is left alone. Use is noted by the hour, so that reading seldom writes.

    Args:
        path: the file, in a folder that is there; only its owner may read it.
        most_bytes: of the file; the log beside it (``-wal``) adds some megabytes.
        unix_time_seconds: the clock that notes when a value was used.
    """

    def __init__(
        self, path: Path, most_bytes: int, unix_time_seconds: Callable[[], float] = time.time
    ) -> None:
        self._path = path
        self._most_bytes = most_bytes
        self._unix_time_seconds = unix_time_seconds
        # One thread, which SQLite's connection belongs to.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="embedding-cache")
        self._connection: sqlite3.Connection | None = None
        self._file = (0, 0)

    async def check(self) -> None:
        """Open the file, and make it if it is not there.

        Raises:
            UsageError: it can't be a file of ours; says why.
            TransientError: it can't be opened now.
        """
        await self._run(lambda _: None)

    async def read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """Give the values in the order of the keys, None for those that are not there."""
        return await self._run(lambda connection: self._read(connection, keys))

    async def write(self, values: Mapping[bytes, bytes]) -> None:
        """Keep values, and forget old ones where there is no room."""
        await self._run(lambda connection: self._write(connection, values))

    async def aclose(self) -> None:
        """Close the file and end the thread; not waited for if that hangs."""
        closing = self._thread.submit(self._close)
        self._thread.shutdown(wait=False)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await asyncio.wrap_future(closing)

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do something on the thread; given up, it does not begin what waits."""
        future = self._thread.submit(self._do, work)
        try:
            return await asyncio.wrap_future(future)
        finally:
            future.cancel()

    def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._connection is None:
                self._connection = self._open()
            return work(self._connection)
        except sqlite3.Error as error:
            if _is_broken(error):
                self._mend()
            raise TransientError(f"the embedding cache {self._path}: {error}") from error

    def _read(self, connection: sqlite3.Connection, keys: Sequence[bytes]) -> list[bytes | None]:
        places = ",".join("?" * len(keys))
        rows = connection.execute(
            f"SELECT key, value, used, id FROM vectors WHERE key IN ({places})",  # noqa: S608 - marks
            keys,
        ).fetchall()
        hour = self._hour()
        late = [(hour, row[3]) for row in rows if row[2] < hour]
        if late:
            with contextlib.suppress(sqlite3.OperationalError), _step(connection):
                connection.executemany("UPDATE vectors SET used = ? WHERE id = ?", late)
        found: dict[bytes, bytes] = {row[0]: row[1] for row in rows}
        return [found.get(key) for key in keys]

    def _write(self, connection: sqlite3.Connection, values: Mapping[bytes, bytes]) -> None:
        hour = self._hour()
        with _step(connection):
            room = 0
            for key, value in values.items():
                need = 2 * len(key) + len(value) + 64
                if room < need:
                    room = self._make_room(connection, need)
                room -= need
                connection.execute(
                    "INSERT INTO vectors (key, used, value) VALUES (?, ?, ?)"
                    " ON CONFLICT (key) DO UPDATE SET used = excluded.used, value = excluded.value",
                    (key, hour, value),
                )

    def _make_room(self, connection: sqlite3.Connection, need: int) -> int:
        """Forget the least used until some room is left; gives how many bytes."""
        wanted = max(need, round(self._most_bytes * _SLICE))
        bound = self._most_bytes * _FULL
        while (used := _used_bytes(connection)) + need > bound:
            slice_rows = max(1, wanted // need)
            if not connection.execute(
                "DELETE FROM vectors WHERE id IN"
                " (SELECT id FROM vectors ORDER BY used, id LIMIT ?)",
                (slice_rows,),
            ).rowcount:
                break
        # Half of it, as pages are seldom full.
        return max(need, min(wanted, round(bound - used) // 2))

    def _hour(self) -> int:
        return int(self._unix_time_seconds() // _HOUR_SECONDS)

    def _open(self) -> sqlite3.Connection:
        """Open the file under a lock, so that processes that come together make or mend it once."""
        try:
            with _locked(self._path):
                self._refuse_foreign()
                try:
                    return self._connect()
                except sqlite3.Error as error:
                    if not _is_broken(error):
                        raise
                    self._put_aside()
                    return self._connect()
        except OSError as error:
            raise UsageError(
                f"the embedding cache {self._path} can't be opened: {error.strerror}; name a file "
                "in a folder that is there and may be written to"
            ) from error

    def _refuse_foreign(self) -> None:
        # Made by this if it is not there: SQLite would let others read it.
        descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            head = os.pread(descriptor, _ID_AT.stop, 0)
        finally:
            os.close(descriptor)
        if head and int.from_bytes(head[_ID_AT]) != APPLICATION_ID:
            raise UsageError(
                f"{self._path} is no embedding cache: name another file, or remove this one"
            )

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)
        try:
            if connection.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute("PRAGMA journal_mode = WAL")
            # The file stays whole at a loss of power; what was written last may be missing.
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA journal_size_limit = {self._most_bytes // 16}")
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.execute("SELECT key, value, used, id FROM vectors LIMIT 1").fetchall()
        except BaseException:
            connection.close()
            raise
        self._file = _identity(self._path)
        return connection

    def _mend(self) -> None:
        """Put a damaged file aside, unless another process has done so; the next call opens it."""
        self._close()
        with contextlib.suppress(OSError, TransientError), _locked(self._path):
            if _identity(self._path) == self._file:
                self._put_aside()

    def _put_aside(self) -> None:
        broken = self._path.with_name(self._path.name + ".broken")
        logger.warning(
            "a broken embedding cache is put aside",
            extra={"event": "embedding_cache_broken", "path": str(broken)},
        )
        for suffix in ("-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        self._path.replace(broken)

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()


def _is_broken(error: sqlite3.Error) -> bool:
    # An error of Python's own module has no code.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _BROKEN


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _used_bytes(connection: sqlite3.Connection) -> int:
    pages, free, size = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock beside the file; the kernel frees it when its holder dies."""
    descriptor = os.open(path.with_name(path.name + ".lock"), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        give_up_at = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > give_up_at:
                    raise TransientError(f"the embedding cache {path} stays locked") from error
                time.sleep(_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _step(connection: sqlite3.Connection) -> Iterator[None]:
    """Make what follows one step: all of it stays, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise
