"""A folder of documents of a test's own making."""

import random
from pathlib import Path

_WORDS = ("sluice", "weir", "lock", "basin", "paddle", "race", "wheel", "mill", "stone", "water")


def prose(seed: str, characters: int) -> str:
    """Make paragraphs of nonsense, the same for the same seed."""
    draw = random.Random(seed)  # noqa: S311 - no secret
    paragraphs: list[str] = []
    while sum(map(len, paragraphs)) < characters:
        number = draw.randrange(10**9)
        paragraphs.append(f"{number} " + " ".join(draw.choices(_WORDS, k=60)) + ".")
    return "\n\n".join(paragraphs)


def write_library(folder: Path, documents: int, characters: int, edition: str = "1") -> None:
    """Write Markdown files of about so many characters each; another edition, other texts."""
    for number in range(documents):
        path = folder / f"shelf-{number % 4}" / f"book-{number:03}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = prose(f"{edition}/{number}", characters)
        path.write_text(f"# Book {number}\n\n{text}\n", encoding="utf-8")
