"""The programs that check manifests, and how they judge."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = Path(os.environ.get("MANIFEST_TOOLS", ROOT / ".venv-manifests" / "bin"))
SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a program said."""

    code: int
    said: str

    @property
    def is_good(self) -> bool:
        """Tell whether it found nothing."""
        return self.code == 0


def judged(
    command: Sequence[str | Path],
    *,
    text: str = "",
    environment: Mapping[str, str] | None = None,
) -> Verdict:
    """Run a program of ``make manifests``, or one that the machine has; skip without it."""
    name = str(command[0])
    program = TOOLS / name
    found = str(program) if program.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not here; `make manifests` installs what it can")
    ended = subprocess.run(
        [found, *command[1:]],
        input=text,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    return Verdict(ended.returncode, ended.stdout + ended.stderr)
