"""Rest: everything that has begun comes to its end."""

import random
from collections.abc import Iterable, Iterator

from contract.ledger.control import Halt, JobControl
from contract.ledger.ledger import Ledger
from tests.contract.ledger.machine_janitor import Janitor, end_quarantine
from tests.contract.ledger.machine_producers import Producer
from tests.contract.ledger.worker_model import Worker
from tests.contract.ledger.world import World

ROUNDS = 3
"""Of sweeping until nothing is left: what was given up, what was split, nothing."""


async def come_to_rest(
    ledger: Ledger, world: World, owners: Iterator[str], zombies: Iterable[Worker]
) -> None:
    """Let one more import and all that is left to do run to their ends.

    Args:
        ledger: of the collection.
        world: holds files and rows.
        owners: names that no worker has had.
        zombies: workers that are silent now, and will still do their next step.
    """
    control = JobControl(ledger.redis, ledger.collection)
    for job in world.jobs:
        await control.halt(job, Halt.NONE)
    await Producer(ledger, world).run()
    for _ in range(ROUNDS):
        swept = await ledger.sweep(grace_seconds=0, silent_owner="w")
        for batch_id in mixed(world, swept.oldest):
            await Worker(ledger, world, batch_id, next(owners)).run()
    await Janitor(ledger, world).run()
    for zombie in zombies:
        await zombie.step()
    await end_quarantine(ledger, world)


def mixed(world: World, batch_ids: Iterable[str]) -> list[str]:
    """Put batches in any order, but not in that of their ids, which are others at each replay."""
    made = [batch.id for batch in world.batches]
    found = sorted(batch_ids, key=made.index)
    random.Random(len(made)).shuffle(found)  # noqa: S311 - no secret
    return found
