"""What an expression asks for, as far as it can be told without Prometheus."""

import re
from dataclasses import dataclass

_SELECTOR = re.compile(r"\b(headrace_\w+)\s*(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_GROUPING = re.compile(r"\b(?:by|on|without|group_left)\s*\(([^)]*)\)")
_RECORDING = re.compile(r"\bheadrace:\w+(?::\w+)?")


@dataclass(frozen=True, slots=True)
class Selector:
    """A metric that is asked for, with its matchers: label, operator, value."""

    metric: str
    matchers: tuple[tuple[str, str, str], ...]


def selectors(expr: str) -> list[Selector]:
    """Find the metrics of headrace that an expression asks for."""
    return [
        Selector(name, tuple(_MATCHER.findall(inside or "")))
        for name, inside in _SELECTOR.findall(expr)
    ]


def recordings(expr: str) -> set[str]:
    """Find the recorded series that an expression asks for."""
    return set(_RECORDING.findall(expr))


def grouping(expr: str) -> set[str]:
    """Find the labels by which an expression groups or joins."""
    return {
        label.strip()
        for inside in _GROUPING.findall(expr)
        for label in inside.split(",")
        if label.strip()
    }
