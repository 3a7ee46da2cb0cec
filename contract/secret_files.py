"""Secrets by file: ``HEADRACE_REDIS_URL_FILE=/run/secrets/redis`` instead of the value itself.

As Docker, Kubernetes and systemd hand secrets over: a variable can be seen by every child process.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

SUFFIX: Final = "_FILE"
MOST_BYTES: Final = 64 * 1024


def with_files(
    variables: Mapping[str, str], names: Collection[str]
) -> tuple[dict[str, str], list[str]]:
    """Put the contents of files in the place of the variables that name them.

    Args:
        variables: the environment.
        names: the variables, without the suffix, that may come by file.

    Returns:
        The variables; and what is wrong with those that can't be had, which are left out.
    """
    found, problems = dict(variables), []
    for name in names:
        path = found.pop(name + SUFFIX, "")
        if not path:
            continue
        if found.get(name):
            problems.append(f"{name} and {name}{SUFFIX} are both set; set one")
            continue
        value, problem = _read(Path(path))
        if problem:
            problems.append(f"{name}{SUFFIX}: {path}: {problem}")
        else:
            found[name] = value
    return found, problems


def _read(path: Path) -> tuple[str, str]:
    """Give what a file holds, or else what is wrong with it."""
    try:
        with path.open("rb") as file:
            value = file.read(MOST_BYTES + 1)
        text = value.decode().rstrip("\r\n")
    except OSError as error:
        return "", error.strerror or type(error).__name__
    except UnicodeDecodeError:
        return "", "is no text"
    if len(value) > MOST_BYTES:
        return "", "is too large for a secret"
    return text, "" if text else "is empty"
