"""Environments for the peers, one each: they ask for different versions of pymilvus."""

import asyncio
import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from headrace.bench.process import child

REQUIREMENTS = Path(__file__).with_name("programs") / "requirements"


async def interpreter(folder: Path, peer: str, say: Callable[[str], None]) -> Path:
    """Give the Python of a peer's environment, made anew if its requirements have changed.

    Args:
        folder: holds the environments; made if it is missing.
        peer: which.
        say: takes lines for a person.

    Raises:
        HeadraceError: it can't be made.
    """
    requirements = REQUIREMENTS / f"{peer}.txt"
    home = folder / peer
    python, mark = home / "bin" / "python", home / "ready"
    wanted = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    if mark.is_file() and mark.read_text(encoding="utf-8") == wanted:
        return python
    say(f"{peer}: installing into {home}")
    await asyncio.to_thread(_clear, home)
    await _run(folder, peer, sys.executable, "-m", "venv", str(home))
    pip = (str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    await _run(folder, peer, *pip, "--no-deps", "--requirement", str(requirements))
    mark.write_text(wanted, encoding="utf-8")
    return python


def _clear(home: Path) -> None:
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)


async def _run(folder: Path, peer: str, *command: str) -> None:
    # Ours must not be found there; where packages come from is the user's configuration.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    async with child(command, environment, folder, peer) as started:
        await started.result(f"installing {peer}")
