"""A command that is started again whenever it ends, as a supervisor does."""

import asyncio
import contextlib
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.rig.patience import until
from benchmarks.rig.reaper import Reaper

HEADRACE = (sys.executable, "-c", "from headrace.cli.main import main; main()")
_AGAIN_SECONDS = 0.3
_START_SECONDS = 60.0
_STOP_SECONDS = 20.0


class Program:
    """One place of a supervisor: the process that runs in it now, and how its forerunners ended.

    Attributes:
        name: of its log file.
        ends: exit codes of processes that ended by themselves; negative: a signal not from here.
        starts: how many processes were started.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        reaper: Reaper,
    ) -> None:
        """Remember what to run, where, and who ends it should this process be killed."""
        self.name = name
        self.ends: Counter[int] = Counter()
        self.starts = 0
        self._arguments = arguments
        self._environment = environment
        self._folder = folder
        self._reaper = reaper
        self._process: asyncio.subprocess.Process | None = None
        self._asked: set[int] = set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Keep it running until ``aclose``."""
        self._task = asyncio.create_task(self._keep(), name=self.name)

    @property
    def pid(self) -> int | None:
        """The process that runs now, if one does."""
        return None if self._process is None else self._process.pid

    async def send(self, number: signal.Signals) -> int:
        """Send the process, or the next, a signal (after SIGKILL it is started again).

        Returns:
            Its id.
        """
        pid = 0

        async def sent() -> bool:
            nonlocal pid
            process = self._process
            if process is not None:
                pid = process.pid
                if number is signal.SIGKILL:
                    self._asked.add(pid)
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(number)
            return process is not None

        await until(sent, f"{self.name} to run", _START_SECONDS)
        return pid

    async def aclose(self) -> None:
        """End it for good: in order, and by force after a while."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        process = self._process
        if process is None or process.returncode is not None:
            return
        for number in (signal.SIGCONT, signal.SIGTERM):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        self._reaper.forget(process.pid)

    async def _keep(self) -> None:
        while True:
            with (self._folder / f"{self.name}.log").open("ab") as log:
                stamp = time.strftime("%H:%M:%S", time.gmtime())
                log.write(f"--- started {stamp}\n".encode())
                log.flush()
                process = await asyncio.create_subprocess_exec(
                    *self._arguments,
                    cwd=self._folder,
                    env=self._environment,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            self._process = process
            self._reaper.watch(process.pid)
            self.starts += 1
            code = await process.wait()
            self._process = None
            self._reaper.forget(process.pid)
            if process.pid not in self._asked:
                self.ends[code] += 1
            await asyncio.sleep(_AGAIN_SECONDS)
