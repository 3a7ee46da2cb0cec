"""Redis keys and names of schedules. No collection's name has a colon, so none shares the tag."""

from typing import Final

from contract.names import PREFIX

RUN_TASK: Final = "headrace.run"
RUN_QUEUE: Final = "headrace.runs"

_TAG: Final = f"{PREFIX}:{{:schedules}}"

DEFINITIONS: Final = f"{_TAG}:definitions"
"""A hash: schedules by name."""
REVISION: Final = f"{_TAG}:revision"
"""A number that grows with every change of a schedule, so that timers hear of it."""
READY: Final = f"{_TAG}:ready"
"""A sorted set: runs that wait for a producer worker, by the ms of their next announcement."""
LEASED: Final = f"{_TAG}:leased"
"""A sorted set: runs under way, by the ms at which their lease ends."""
SOURCES: Final = f"{_TAG}:sources"
"""A hash: collection and source to the run that has it for itself."""

STATE_PREFIX: Final = f"{_TAG}:state:"
"""Of hashes by schedule: the last slot, the run under way, the one that waits behind it."""
HISTORY_PREFIX: Final = f"{_TAG}:runs:"
"""Of sorted sets by schedule: its runs by the ms at which they were due."""
RUN_PREFIX: Final = f"{_TAG}:run:"
"""Of hashes by run."""

TIMER_PREFIX: Final = f"{PREFIX}:{{:timers}}:"
"""Of the keys of celery-redbeat."""


def state(schedule: str) -> str:
    """Name the state of a schedule."""
    return STATE_PREFIX + schedule


def history(schedule: str) -> str:
    """Name the runs of a schedule."""
    return HISTORY_PREFIX + schedule


def run(run_id: str) -> str:
    """Name a run."""
    return RUN_PREFIX + run_id


def source_field(collection: str, source: str) -> str:
    """Name a source in ``SOURCES``."""
    return f"{collection}\0{source}"
