"""What is done, in which ways, and with which documents."""

import random
from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

from langchain_core.documents import Document

HITS = 3
"""Hits of a search, as in the tutorial."""


class Operation(StrEnum):
    """What is measured, in the order in which it is done: each needs the one before."""

    ADD = "add"
    UPSERT = "upsert"
    SEARCH = "search"
    DELETE = "delete"


class WayName(StrEnum):
    """The ways of doing it."""

    LOOP = "sync loop"
    """A loop of synchronous calls of langchain-milvus, one document each."""
    GATHER = "asyncio.gather"
    """Asynchronous calls of langchain-milvus, one document each, all at once."""
    HEADRACE = "headrace"
    """The pipeline's writer and searcher: what arrives together goes together."""


class Way(Protocol):
    """One way, with a collection of its own; blocks, and raises the errors of its libraries."""

    def fill(self, documents: Sequence[Document]) -> None:
        """Write documents that are there all the time, however that is fastest."""

    def run(self, operation: Operation, documents: Sequence[Document]) -> list[list[str]]:
        """Do something with each document.

        Args:
            operation: searches look for the documents' own texts.
            documents: each has an id of its own.

        Returns:
            Texts that were found, for each document; empty for what is no search.
        """

    def count(self) -> int:
        """Count the rows of the collection; waits until all that was written can be seen."""

    def close(self) -> None:
        """Let go of connections; the collection stays."""


def documents(count: int, what: str) -> list[Document]:
    """Write short documents; the same for the same arguments, others for others.

    Their ids are quoted by nobody's filters: letters, digits and ``_`` only.
    """
    draw = random.Random(f"headrace bench seed {what}")  # noqa: S311 - no secret
    made = []
    for number in range(count):
        name = f"{what}_{number}"
        text = f"This is document {number} of {what}, with some random content: {draw.random()}"
        metadata = {"id": name, "score": draw.random(), "category": f"category_{number % 5}"}
        made.append(Document(id=name, page_content=text, metadata=metadata))
    return made
