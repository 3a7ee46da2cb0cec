"""Writes the dashboards: ``python -m grafana``."""

from pathlib import Path
from typing import Final

from grafana.board import Board
from grafana.embedding import embedding
from grafana.jobs import jobs
from grafana.overview import overview
from grafana.stores import stores

FOLDER: Final = Path(__file__).with_name("dashboards")


def boards() -> list[Board]:
    """Build all of them."""
    return [overview(), embedding(), jobs(), stores()]


def written(folder: Path) -> list[Path]:
    """Write them to a folder, each to a file of its uid."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for board in boards():
        path = folder / f"{board.uid.removeprefix('headrace-')}.json"
        path.write_text(board.json(), encoding="utf-8")
        paths.append(path)
    return paths


if __name__ == "__main__":
    written(FOLDER)
