"""What Milvus holds of the collections that have a ledger."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from contract.errors import HeadraceError, TimedOutError, UnreachableError
from headrace.exporter import catalogue as c
from headrace.exporter.milvus_reader import MilvusReader
from headrace.exporter.samples import Samples


@dataclass(frozen=True, slots=True)
class MilvusFacts:
    """Row counts by collection; those that are not there or not loaded are left out."""

    rows: Mapping[str, int]

    def put(self, samples: Samples, now: float) -> None:  # noqa: ARG002 - of all sections
        """Put everything; of more than a hundred collections the first."""
        for at, name in enumerate(sorted(self.rows)):
            samples.add(c.ROWS, self.rows[name], name if at < c.MOST_COLLECTIONS else c.OTHER)


async def read_milvus(reader: MilvusReader, collections: Iterable[str]) -> MilvusFacts:
    """Count the rows of collections.

    Raises:
        TransientError: Milvus does not answer.
    """
    await reader.check()
    rows = {}
    for name in collections:
        try:
            rows[name] = await reader.count(name)
        except (UnreachableError, TimedOutError):
            raise
        except HeadraceError:
            continue
    return MilvusFacts(rows)
