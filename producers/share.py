"""A share of a job that several producers do together."""

from dataclasses import dataclass

from producers.deleting import Candidates, Guard, all_documents
from producers.tally import Tally


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a job that is done by several producers; who has the job seals it."""

    job: str
    tally: Tally
    guard: Guard | None = None
    """Instead of the usual one."""
    among: Candidates = all_documents
    """Of the documents that may be gone."""
