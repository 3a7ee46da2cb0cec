"""Steps as scripts that Redis runs, each as one atomic step."""

from functools import cache
from importlib import resources

from redis.asyncio import Redis
from redis.commands.core import AsyncScript


def script(redis: Redis, name: str, package: str = "contract.ledger") -> AsyncScript:
    """Prepare the script ``steps/<name>.lua`` of a package; nothing is sent yet."""
    return redis.register_script(_source(package, name))


@cache
def _source(package: str, name: str) -> str:
    """Read a script, and put ``common.lua`` in it: Redis knows no modules."""
    folder = resources.files(package) / "steps"
    lines = (folder / f"{name}.lua").read_text(encoding="utf-8").splitlines(keepends=True)
    flags = 1 if lines[0].startswith("#!") else 0
    common = (folder / "common.lua").read_text(encoding="utf-8")
    return "".join(lines[:flags]) + common + "".join(lines[flags:])
