"""Child processes of a benchmark: started apart, watched, and ended with it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from contract.errors import HeadraceError, UnreachableError, UsageError

STOP_GRACE_SECONDS = 40.0
"""An import stops its workers in order, which may take 30 s."""
WRONG_USE = 2
_TAIL_LINES = 15


@dataclass(frozen=True, slots=True)
class Child:
    """A running child process.

    Attributes:
        process: its handle; standard input and output are pipes.
        errors: the file that takes its standard error.
    """

    process: asyncio.subprocess.Process
    errors: Path

    async def result(self, what: str, told: bytes = b"", good: Sequence[int] = (0,)) -> bytes:
        """Tell it something, wait for its end and give what it printed.

        Args:
            what: what it is, for messages.
            told: goes to its standard input.
            good: exit codes that are no failure.

        Raises:
            UsageError: it ended with 2.
            UnreachableError: it ended in another way than it should.
        """
        printed, _ = await self.process.communicate(told)
        code = self.process.returncode
        if code in good:
            return printed
        text = self.errors.read_text(encoding="utf-8", errors="replace")
        tail = "\n".join(f"  {line}" for line in text.splitlines()[-_TAIL_LINES:])
        error: type[HeadraceError] = UsageError if code == WRONG_USE else UnreachableError
        raise error(f"{what} ended with {code}; the end of what it said:\n{tail}")


@asynccontextmanager
async def child(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, name: str
) -> AsyncIterator[Child]:
    """Run a program while the block lasts; what is left of it then is ended.

    It gets a session of its own, so that Ctrl-C reaches this process alone, which then lets
    it end in order.

    Args:
        command: program and arguments.
        environment: all of it.
        folder: its working folder, which takes the file of its standard error.
        name: of that file.
    """
    errors = folder / f"{name}.log"
    with errors.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command,
            env=environment,
            cwd=folder,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield Child(process, errors)
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOP_GRACE_SECONDS):
            await process.communicate()
    except TimeoutError:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
