"""A process that writes to a cache file: ``cache_writer.py PATH MOST_BYTES NAME BATCHES``.

Values are the key, many times. It says a line after each batch of 16 values, and goes on for
ever when BATCHES is 0.
"""

import asyncio
import itertools
import sys
from pathlib import Path

from worker.embedding.file_cache import FileCache

TIMES = 100
IN_BATCH = 16


async def write(path: str, most_bytes: int, name: str, batches: int) -> None:
    """Write, and read each batch back."""
    cache = FileCache(Path(path), most_bytes)
    for batch in range(batches) if batches else itertools.count():
        keys = [f"{name} {batch * IN_BATCH + number}".encode() for number in range(IN_BATCH)]
        await cache.write({key: key * TIMES for key in keys})
        assert await cache.read(keys[-1:]) == [keys[-1] * TIMES]
        sys.stdout.write(f"{batch}\n")
        sys.stdout.flush()
    await cache.aclose()


if __name__ == "__main__":
    asyncio.run(write(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
