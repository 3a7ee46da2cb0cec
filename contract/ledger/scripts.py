"""The steps of the ledger as scripts that Redis runs, each as one atomic step."""

from functools import cache
from importlib import resources

from redis.asyncio import Redis
from redis.commands.core import AsyncScript

_FOLDER = resources.files("contract.ledger") / "steps"


def script(redis: Redis, name: str) -> AsyncScript:
    """Prepare the script ``steps/<name>.lua``; nothing is sent yet."""
    return redis.register_script(_source(name))


@cache
def _source(name: str) -> str:
    """Read a script, and put ``common.lua`` in it: Redis knows no modules."""
    lines = (_FOLDER / f"{name}.lua").read_text(encoding="utf-8").splitlines(keepends=True)
    flags = 1 if lines[0].startswith("#!") else 0
    common = (_FOLDER / "common.lua").read_text(encoding="utf-8")
    return "".join(lines[:flags]) + common + "".join(lines[flags:])
