"""The tree of errors: as its page says, and whole after a journey between processes."""

import inspect
import pickle
import re

import pytest

from contract import errors
from contract.errors import (
    BatchDecodeError,
    DocumentError,
    HeadraceError,
    LeaseLostError,
    SettingsError,
    ThrottledError,
    UsageError,
)

ALL = [found for _, found in inspect.getmembers(errors, inspect.isclass)]
SAMPLES = [
    SettingsError(("a: wrong", "b: wrong, too")),
    UsageError("no Redis is configured"),
    ThrottledError("slow down", 1.5),
    ThrottledError("slow down"),
    LeaseLostError("lease on batch 1 is lost"),
    BatchDecodeError("broken", b"\x00\xff"),
    DocumentError("encrypted", "a.pdf: needs a password"),
]


def test_the_page_is_the_tree() -> None:
    """The tree in the module's docstring names every class under its parent."""
    assert errors.__doc__ is not None
    parents: list[str] = []
    told: dict[str, str] = {}
    for line in errors.__doc__.splitlines():
        found = re.match(r"((?:[│ ]   |[├└]── )*)([A-Z]\w+Error)\b(?:\s{2,}|$)", line)
        if found is None:
            continue
        depth, name = len(found[1]) // 4, found[2]
        parents[depth:] = [name]
        told[name] = parents[depth - 1] if depth else "Exception"
    assert told == {each.__name__: each.__base__.__name__ for each in ALL if each.__base__}


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
def test_pickle(error: HeadraceError) -> None:
    """An error keeps its type, words and attributes in another process."""
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


def test_every_error_survives_pickling() -> None:
    """No class of the tree is forgotten: each can be made and pickled."""
    for each in ALL:
        size = len(inspect.signature(each).parameters) if "__init__" in vars(each) else 1
        given = {"SettingsError": (("x",),), "BatchDecodeError": ("x", b"y")}
        error = each(*given.get(each.__name__, ("x",) * min(size, 2)))
        assert vars(pickle.loads(pickle.dumps(error))) == vars(error)  # noqa: S301 - our own


def test_words() -> None:
    """Messages are for people: no tuples, no bytes."""
    problems, _, throttled, _, _, broken, document = SAMPLES
    assert str(problems) == "wrong settings:\n  a: wrong\n  b: wrong, too"
    assert str(throttled) == "slow down"
    assert str(broken) == "broken (2 bytes)"
    assert str(document) == "a.pdf: needs a password"
