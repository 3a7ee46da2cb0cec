"""From a sorted stream of primary keys to the documents that they belong to. Pure."""

import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

from contract.errors import TransientError

_ID = re.compile(r"([0-9a-f]{32}):([1-9][0-9]{0,17}):(0|[1-9][0-9]{0,9})")
"""As :func:`contract.ids.chunk_id` spells it."""


@dataclass(slots=True)
class Held:
    """The rows that Milvus holds of one document."""

    document_id: str
    versions: dict[int, "array[int]"] = field(default_factory=dict)
    """Version -> the ordinals that are there, each once; 8 bytes each."""

    @property
    def rows(self) -> int:
        """Count the rows."""
        return sum(map(len, self.versions.values()))

    def is_whole(self, version: int, chunk_count: int) -> bool:
        """Tell whether all of a version's rows are there, and no others."""
        ordinals = self.versions[version]
        return len(ordinals) == chunk_count and max(ordinals) == chunk_count - 1


class Grouper:
    """Puts rows together by document; holds one document back, as more of it may come."""

    def __init__(self) -> None:
        """Begin before the first row."""
        self._last: str | None = None
        self._open: Held | None = None

    def add(self, ids: Sequence[str]) -> tuple[list[Held], list[str]]:
        """Take the next ids.

        Returns:
            Documents that are through, and ids that are none of ours.

        Raises:
            TransientError: the ids do not rise, so that one may have been passed over.
        """
        through, foreign = [], []
        for chunk_id in ids:
            if self._last is not None and chunk_id < self._last:
                raise TransientError("Milvus gave its rows out of order; try again")
            if chunk_id == self._last:
                continue  # there twice; counted elsewhere
            self._last = chunk_id
            match = _ID.fullmatch(chunk_id)
            if match is None:
                foreign.append(chunk_id)
                continue
            document, version, ordinal = match[1], int(match[2]), int(match[3])
            if self._open is None or self._open.document_id != document:
                if self._open is not None:
                    through.append(self._open)
                self._open = Held(document)
            self._open.versions.setdefault(version, array("q")).append(ordinal)
        return through, foreign

    def rest(self) -> list[Held]:
        """Give the document that was held back, after the last ids."""
        last, self._open = self._open, None
        return [] if last is None else [last]
