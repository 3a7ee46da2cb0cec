"""``headrace.toml``: settings, and schedules that a scheduler reads."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contract.errors import SettingsError

CONFIG_VARIABLE = "HEADRACE_CONFIG"
"""Names the file; without it, it lies in the working folder."""
CONFIG_FILE = "headrace.toml"
SCHEDULES_TABLE = "schedules"


def config_file(environment: Mapping[str, str], folder: Path) -> Path:
    """Tell which file is read; it need not exist unless the variable names it."""
    named = environment.get(CONFIG_VARIABLE)
    return Path(named) if named else folder / CONFIG_FILE


def read_config(path: Path, *, must_exist: bool = False) -> dict[str, Any]:
    """Read the file; what is not there is empty, unless it must be there.

    Raises:
        SettingsError: it can't be read.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        if isinstance(error, FileNotFoundError) and not must_exist:
            return {}
        raise SettingsError((f"{path}: {error}",)) from error


def settings_of_file(
    environment: Mapping[str, str], folder: Path
) -> tuple[dict[str, Any], dict[str, str]]:
    """Read the settings of the file, and where each was given, for messages.

    Raises:
        SettingsError: it can't be read.
    """
    path = config_file(environment, folder)
    values = read_config(path, must_exist=bool(environment.get(CONFIG_VARIABLE)))
    values.pop(SCHEDULES_TABLE, None)  # no settings: a scheduler reads them
    return values, {name: f"{name} in {path}" for name in values}
