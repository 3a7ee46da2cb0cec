"""Shell patterns on keys, matched folder by folder."""

import fnmatch
import re
from collections.abc import Iterable
from typing import Final, TypeAlias

States: TypeAlias = frozenset[int]
"""How many components of the pattern may be matched so far; empty: nothing below can match."""

_MAGIC: Final = re.compile(r"[*?]|\[[^/]+\]")


def is_magic(path: str) -> bool:
    """Tell whether a path has a wildcard."""
    return _MAGIC.search(path) is not None


class KeyGlob:
    """A pattern such as ``guide/**/*.md``.

    ``*``, ``?`` and ``[...]`` stay within one component, ``**`` stands for any number of
    folders, also none. A walk carries the states down, so that it never enters a folder below
    which nothing can match, and each name costs one step.
    """

    def __init__(self, pattern: str) -> None:
        """Compile a pattern with / between its components."""
        components = [part for part in pattern.split("/") if part not in ("", ".")]
        if components and components[-1] == "**":
            components.append("*")
        self._components = [
            None if part == "**" else re.compile(fnmatch.translate(part)) for part in components
        ]

    @classmethod
    def floating(cls, pattern: str) -> "KeyGlob":
        """Compile a filter: one without a / is about the file's name, in whatever folder."""
        return cls(pattern if "/" in pattern else f"**/{pattern}")

    def start(self) -> States:
        """Give the states at the root."""
        return self._closed([0])

    def step(self, states: States, name: str) -> States:
        """Give the states after one more component of the key."""
        following: list[int] = []
        for state in states:
            if state == len(self._components):
                continue
            component = self._components[state]
            if component is None:
                following.append(state)
            elif component.match(name):
                following.append(state + 1)
        return self._closed(following)

    def accepts(self, states: States) -> bool:
        """Tell whether a key that ends here matches."""
        return len(self._components) in states

    def matches(self, key: str) -> bool:
        """Tell whether a whole key matches."""
        states = self.start()
        for name in key.split("/"):
            states = self.step(states, name)
        return self.accepts(states)

    def _closed(self, states: Iterable[int]) -> States:
        """Add what is reached by letting a ** stand for nothing."""
        closed = set[int]()
        for first in states:
            state = first
            closed.add(state)
            while state < len(self._components) and self._components[state] is None:
                state += 1
                closed.add(state)
        return frozenset(closed)
