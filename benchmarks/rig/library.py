"""A folder of documents that changes all the time."""

import random
from collections import Counter
from pathlib import Path

from tests.servers.library import prose

POISON = "zyx-poison-zyx"
"""The endpoint refuses every text that has this in it."""

_SHORTEST, _LONGEST = 300, 6_000
"""Characters of a document, about."""
_SHELVES = 5


class Library:
    """Markdown files, changed one at a time by draws from a seed.

    Attributes:
        folder: where the files are.
        poisoned: the one file that can't be ingested.
        changes: what was done, and how often.
    """

    def __init__(self, folder: Path, documents: int, seed: str) -> None:
        """Write the first edition."""
        self.folder = folder
        self.poisoned = folder / "poison.md"
        self.changes: Counter[str] = Counter()
        self._draw = random.Random(seed)  # noqa: S311 - no secret
        self._number = 0
        self._size = documents
        self._attic: list[tuple[Path, str]] = []
        for _ in range(documents):
            self._add()
        self.changes.clear()
        self.poisoned.write_text(f"# Poison\n\n{POISON}\n", encoding="utf-8")

    def change(self) -> str:
        """Change one thing; returns what."""
        acts = {
            "add": self._add,
            "one sentence": self._edit,
            "shrink": self._shrink,
            "grow": self._grow,
            "delete": self._delete,
            "rename": self._rename,
            "bring back": self._bring_back,
            "rewrite": self._rewrite,
        }
        name = self._draw.choice(tuple(acts))
        # Neither the library nor Milvus Lite's time for a search is to grow without end.
        if name == "add" and len(self._books()) > self._size:
            name = "delete"
        acts[name]()
        self.changes[name] += 1
        return name

    def _books(self) -> list[Path]:
        return sorted(self.folder.glob("shelf-*/*.md"))

    def _any(self) -> Path:
        return self._draw.choice(self._books())

    def _add(self) -> None:
        self._number += 1
        length = self._draw.randint(_SHORTEST, _LONGEST)
        _write(self._place(), f"# Book {self._number}\n\n{self._prose(length)}\n")

    def _place(self) -> Path:
        shelf = self._draw.randrange(_SHELVES)
        return self.folder / f"shelf-{shelf}" / f"book-{self._number:05}.md"

    def _prose(self, characters: int) -> str:
        return prose(str(self._draw.random()), characters)

    def _edit(self) -> None:
        book = self._any()
        paragraphs = book.read_text(encoding="utf-8").split("\n\n")
        at = self._draw.randrange(len(paragraphs))
        paragraphs[at] += f" Then came the year {self._draw.randrange(10**6)}."
        _write(book, "\n\n".join(paragraphs))

    def _shrink(self) -> None:
        book = self._any()
        paragraphs = book.read_text(encoding="utf-8").split("\n\n")
        _write(book, "\n\n".join(paragraphs[: max(2, len(paragraphs) // 2)]))

    def _grow(self) -> None:
        book = self._any()
        text = book.read_text(encoding="utf-8")
        if len(text) < 2 * _LONGEST:
            _write(book, f"{text}\n\n{self._prose(1_500)}\n")

    def _rewrite(self) -> None:
        _write(self._any(), f"# Anew\n\n{self._prose(self._draw.randint(_SHORTEST, _LONGEST))}\n")

    def _delete(self) -> None:
        if len(self._books()) > self._size // 2:
            book = self._any()
            self._attic.append((book, book.read_text(encoding="utf-8")))
            book.unlink()

    def _rename(self) -> None:
        book = self._any()
        self._number += 1
        target = self._place()
        target.parent.mkdir(parents=True, exist_ok=True)
        book.rename(target)

    def _bring_back(self) -> None:
        if self._attic:
            book, text = self._attic.pop(self._draw.randrange(len(self._attic)))
            _write(book, text)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
