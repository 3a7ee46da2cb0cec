"""What the worker needs of an embedding model."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from worker.embedding.embedded import Embedded


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which model made a vector; vectors of two different ones can't be compared."""

    model: str
    revision: str
    dimension: int

    def __str__(self) -> str:
        revision = f" at revision {self.revision}" if self.revision else ""
        return f"{self.model}{revision} ({self.dimension} dimensions)"

    def as_dict(self) -> dict[str, Any]:
        """Give the fields, to be written down."""
        return asdict(self)


class Embedder(Protocol):
    """An embedding model behind one asynchronous call."""

    async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> Embedded:
        """Embed texts, in order; raises contract.errors' transient and permanent errors.

        Args:
            texts: any number.
            urgent: whether they go before those that are not, if there is a queue.
        """

    async def identify(self, held: ModelIdentity | None = None) -> ModelIdentity:
        """Tell which model this is; may embed one text to learn the dimension.

        Args:
            held: the model of a collection; if it is this one, its dimension is known.
        """

    async def aclose(self) -> None:
        """Close connections and threads."""
