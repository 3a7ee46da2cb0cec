"""Sizes and names that keep the code easy to find one's way in."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("contract", "producers", "worker", "headrace")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
LONGEST_MODULE = 300
LONGEST_FUNCTION = 60
DRAWERS = {"utils", "helpers", "common", "misc", "base", "manager", "core", "lib"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_modules_are_small_and_named_for_a_noun(path: Path) -> None:
    """One module, one noun, at most 300 lines."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_MODULE
    assert path.stem not in DRAWERS


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_functions_fit_a_screen(path: Path) -> None:
    """No function is longer than a screen."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < LONGEST_FUNCTION, node.name


def test_packages_begin_with_a_docstring_and_nothing_else() -> None:
    """An __init__ says what the package is; it does nothing."""
    for path in (path for path in MODULES if path.name == "__init__.py"):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        assert [type(node) for node in body] == [ast.Expr], path


def test_names_of_our_packages_are_not_taken_by_a_dependency() -> None:
    """No installed distribution brings a package of one of our names."""
    from importlib.metadata import packages_distributions  # noqa: PLC0415 - slow

    owners = packages_distributions()
    for package in PACKAGES:
        assert set(owners.get(package, [])) <= {"headrace"}
