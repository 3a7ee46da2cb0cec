"""The command that started this process, if it is to end with it."""

import asyncio
import logging
import os
import signal
from typing import Final

from contract.settings import PARENT_VARIABLE

LOOK_SECONDS: Final = 0.5

logger = logging.getLogger(__name__)


async def end_with_parent() -> None:
    """End this process in order once its parent has ended, also when that was killed.

    Returns at once where the process is nobody's child in that sense.
    """
    parent = int(os.environ.get(PARENT_VARIABLE, "0"))
    if not parent:
        return
    while os.getppid() == parent:  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(LOOK_SECONDS)
    logger.warning("parent is gone", extra={"event": "parent_gone"})
    os.kill(os.getpid(), signal.SIGTERM)
