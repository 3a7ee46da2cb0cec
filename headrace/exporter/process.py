"""The exporter as a process of its own: the place where its pages come together."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from contract.settings import Settings
from contract.side_door import Handle
from contract.tasks import end
from headrace.exporter.exporter import Exporter
from worker.parent import end_with_parent

Routes = Mapping[tuple[str, str], Handle]
PAGES: Final[tuple[Callable[[Exporter], Routes], ...]] = ()
"""What it serves besides metrics."""


async def serve(settings: Settings, host: str, port: int, on_port: Callable[[int], None]) -> None:
    """Serve until cancelled, or until the command that started this process has ended.

    Raises:
        UsageError: the address can't be bound, or no Redis is configured.
    """
    exporter = Exporter(settings)
    more: dict[tuple[str, str], Handle] = {}
    for pages in PAGES:
        more |= pages(exporter)
    parent = asyncio.create_task(end_with_parent(), name="parent")
    try:
        await exporter.run(host, port, more, on_port)
    finally:
        await end(parent)
