"""Runs the command line of milvus-lite with signals that end it cleanly.

Started by its path in a process of its own. On its own, ``milvus-lite server`` dies of
SIGTERM without closing its data, and is deaf to SIGINT when it was started from a shell
script's background, where SIGINT is ignored.
"""

import signal
import sys
from types import FrameType


def main() -> int:
    """Run ``milvus-lite`` with the arguments of this process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    # Imported once the signals are in place: it takes seconds.
    from milvus_lite.cmdline import (  # noqa: PLC0415
        main as milvus_lite,
    )

    return int(milvus_lite(sys.argv[1:]) or 0)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """End the server's wait once; a second signal must not break into its closing."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
