"""Runs ``headrace import`` over and over, as a schedule would."""

import asyncio
import contextlib
import json
import random
import signal
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from benchmarks.rig.patience import until
from benchmarks.rig.program import HEADRACE
from benchmarks.rig.reaper import Reaper

_PAUSE_SECONDS = 0.2
_STOP_SECONDS = 20.0
_START_SECONDS = 60.0


class Importer:
    """Imports one folder again and again; one that is killed is simply started again.

    Attributes:
        ends: exit codes.
        summaries: what the imports said of themselves.
    """

    def __init__(
        self, library: Path, environment: Mapping[str, str], folder: Path, reaper: Reaper, seed: str
    ) -> None:
        """Remember what to import; every second import, about, waits for its end."""
        self.ends: Counter[int] = Counter()
        self.summaries: list[dict[str, object]] = []
        self._library = library
        self._environment = environment
        self._folder = folder
        self._reaper = reaper
        self._draw = random.Random(seed)  # noqa: S311 - no secret
        self._process: asyncio.subprocess.Process | None = None
        self._begun = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Import until ``aclose``."""
        self._task = asyncio.create_task(self._keep(), name="importer")

    async def kill(self) -> None:
        """Kill the import that runs, or else the next one."""

        async def killed() -> bool:
            process = self._process
            with contextlib.suppress(ProcessLookupError):
                if process is not None:
                    process.send_signal(signal.SIGKILL)
            return process is not None

        await until(killed, "an import to kill", _START_SECONDS)

    async def stop(self) -> None:
        """Let the import that runs end, and begin no other."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        if self._process is not None:
            await self._ended(self._process)

    async def aclose(self) -> None:
        """End the import that runs, by SIGTERM, and by SIGKILL after a while."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._ended(self._process)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._ended(self._process)

    async def once(self, *, detach: bool = False) -> int:
        """Run one import to its end; returns its exit code."""
        options = ["--json", "--allow-deletes", *(["--detach"] if detach else [])]
        with (
            (self._folder / "import.log").open("ab") as log,
            (self._folder / "import.out").open("wb") as out,
        ):
            self._process = process = await asyncio.create_subprocess_exec(
                *HEADRACE,
                *("import", str(self._library), *options),
                cwd=self._folder,
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                start_new_session=True,
            )
        self._reaper.watch(process.pid)
        return await self._ended(process)

    async def _keep(self) -> None:
        while True:
            await self.once(detach=self._draw.random() < 0.5)  # noqa: PLR2004 - a half
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _ended(self, process: asyncio.subprocess.Process) -> int:
        code = await process.wait()
        if self._process is process:
            self._process = None
            self._reaper.forget(process.pid)
            self.ends[code] += 1
            with contextlib.suppress(ValueError):
                text = (self._folder / "import.out").read_text(encoding="utf-8")
                self.summaries += json.loads(text)
        return code
