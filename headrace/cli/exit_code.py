"""What the exit codes mean."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The same for every command."""

    DONE = 0
    DEAD_LETTERS = 1
    """Done, but some documents could not be ingested."""
    WRONG_USE = 2
    """Wrong use or configuration; nothing was started."""
    UNREACHABLE = 3
    """A server can't be reached."""
    STOPPED = 4
    """Stopped by the user or by a guard; the same command resumes."""
