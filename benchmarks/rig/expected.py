"""What a collection should hold: a folder, read and split by the product in a fresh process.

``python -m benchmarks.rig.expected FOLDER`` prints it as JSON; the settings that say how to
split are those of the environment.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from contract.settings import load_settings
from tests.servers.contents import pieces_of

_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Passage:
    """One chunk that should be there."""

    text: str
    start: int
    headings: tuple[str, ...]


def expected(folder: Path, environment: Mapping[str, str]) -> dict[str, list[Passage]]:
    """Give the passages of each document, in their order, by the document's id."""
    done = subprocess.run(  # noqa: S603 - this module
        [sys.executable, "-m", "benchmarks.rig.expected", str(folder)],
        env=dict(environment),
        cwd=Path(__file__).resolve().parents[2],
        check=True,
        capture_output=True,
        timeout=_SECONDS,
    )
    return {
        document: [Passage(one["text"], one["start"], tuple(one["headings"])) for one in passages]
        for document, passages in json.loads(done.stdout).items()
    }


def main() -> None:
    """Print the passages of a folder's documents."""
    found = {
        document: [asdict(Passage(piece.text, piece.start, piece.heading_path)) for piece in pieces]
        for document, pieces in pieces_of(Path(sys.argv[1]), load_settings())
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
