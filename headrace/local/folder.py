"""The folder in which everything of an unconfigured headrace lies."""

import os
from pathlib import Path

from contract.errors import UsageError
from headrace.local.lock import FileLock

_OWNER_ONLY = 0o700
_GITIGNORE = "# Data of headrace, nothing to keep under version control.\n*\n"
_OWN_NAMES = frozenset({".gitignore", "logs", "milvus", "redis", "run"})


class DataFolder:
    """A folder of one user: ``redis/``, ``milvus/``, ``logs/``, and ``run/`` for locks and state.

    Nothing is read or written before ``create`` or ``exists``.
    """

    def __init__(self, path: Path) -> None:
        # Resolved, because servers are recognized by the paths on their command line.
        self.path = path.resolve()
        self.redis = self.path / "redis"
        self.milvus = self.path / "milvus"
        self.logs = self.path / "logs"
        self.run = self.path / "run"

    def create(self) -> None:
        """Make the folder and what is missing in it, readable by its owner alone.

        Raises:
            UsageError: it belongs to someone else, holds something else, or can't be made.
        """
        try:
            self.path.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)
            self._check_owner()
            self._check_content()
            self.path.chmod(_OWNER_ONLY)
            for folder in (self.run, self.logs, self.redis, self.milvus):
                folder.mkdir(mode=_OWNER_ONLY, exist_ok=True)
            gitignore = self.path / ".gitignore"
            if not gitignore.exists():
                gitignore.touch(mode=0o600)
                gitignore.write_text(_GITIGNORE, encoding="utf-8")
        except OSError as error:
            raise UsageError(
                f"{self.path}: can't be used as data folder ({error.strerror}); "
                "choose a folder that you can write to"
            ) from error

    def exists(self) -> bool:
        """Say whether a data folder is there, without changing anything.

        Raises:
            UsageError: it belongs to someone else.
        """
        if not self.path.is_dir():
            return False
        self._check_owner()
        return self.run.is_dir()

    def start_lock(self) -> FileLock:
        """Give the lock to hold alone while servers are looked for, started or stopped."""
        return FileLock(self.run / "start.lock")

    def users_lock(self) -> FileLock:
        """Give the lock to share as long as a command uses the servers."""
        return FileLock(self.run / "users.lock")

    def _check_owner(self) -> None:
        owner = self.path.stat().st_uid
        if owner != os.geteuid():
            raise UsageError(
                f"{self.path}: belongs to user id {owner}, you are {os.geteuid()}; "
                "choose a data folder of your own"
            )

    def _check_content(self) -> None:
        """Refuse a folder with other content: it is about to be closed and ignored by git."""
        if (self.run / "start.lock").exists():
            return
        foreign = sorted({entry.name for entry in self.path.iterdir()} - _OWN_NAMES)
        if foreign:
            raise UsageError(
                f"{self.path}: is no data folder of headrace (it holds {foreign[0]!r}); "
                "choose a new or an empty folder"
            )
