"""What is wrong with a setting, for people."""

from collections.abc import Mapping
from typing import Any


def problem_of(item: Any, origins: Mapping[str, str]) -> str:
    """Say where a wrong setting was given and what is wrong, without its value."""
    name = str(item["loc"][0]) if item["loc"] else ""
    what = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        what = "there is no such setting"
    return f"{origins.get(name, name)}: {what}" if name else what
