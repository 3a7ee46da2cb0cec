"""The import graph is a rule of this repository, not a habit."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAY_IMPORT = {
    "contract": set(),
    "producers": {"contract"},
    "worker": {"contract"},
    "headrace": {"contract", "producers", "worker"},
}
PURE = {
    "contract/batch.py",
    "contract/ids.py",
    "contract/errors.py",
    "contract/names.py",
    "producers/batching.py",
    "producers/document.py",
    "producers/splitting.py",
    "producers/parsing/encoding.py",
    "producers/parsing/markdown.py",
    "producers/parsing/restructuredtext.py",
    "worker/isolation.py",
    "worker/embedding/checks.py",
    "headrace/progress.py",
    "headrace/summary.py",
}
IMPURE = {"os", "socket", "subprocess", "time", "asyncio", "logging", "redis", "pymilvus", "celery"}
FORBIDDEN = {
    "producers": {"pymilvus", "langchain_milvus", "langchain_openai", "onnxruntime"},
    "worker": {"charset_normalizer", "langchain_text_splitters"},
}


def imported(path: Path) -> set[str]:
    """Name the top-level packages that a module imports, wherever it does."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    names |= {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_packages_import_only_what_they_may(package: str) -> None:
    """Headrace -> producers, worker -> contract, and nothing else."""
    ours = set(MAY_IMPORT) - {package}
    for path in (ROOT / package).rglob("*.py"):
        assert imported(path) & ours <= MAY_IMPORT[package], path


@pytest.mark.parametrize("package", FORBIDDEN)
def test_each_side_does_without_the_other_sides_libraries(package: str) -> None:
    """Producers don't import Milvus' clients, the worker no parsers."""
    for path in (ROOT / package).rglob("*.py"):
        assert not imported(path) & FORBIDDEN[package], path


@pytest.mark.parametrize("name", sorted(PURE))
def test_the_core_is_pure(name: str) -> None:
    """Values in, values out: no clock, no files, no network."""
    assert not imported(ROOT / name) & IMPURE


def test_onnxruntime_is_imported_where_its_telemetry_is_turned_off() -> None:
    """One module imports onnxruntime: the one that tells it not to phone home."""
    users = [
        path.relative_to(ROOT).as_posix()
        for package in MAY_IMPORT
        for path in (ROOT / package).rglob("*.py")
        if "onnxruntime" in imported(path)
    ]
    assert users == ["worker/embedding/graph.py"]
