"""The outline of reStructuredText."""

import time

import pytest

from producers.document import Heading
from producers.parsing.restructuredtext import read

PEP = """\
PEP: 634
Title: Structural Pattern Matching:
  Specification
Author: Someone <someone@example.org>
Status: Final

Abstract
========

Text::

    Not a title
    ===========

=====  =====
A      B
=====  =====
Row
-----  -----

Cell
=====  =====

Details
-------

.. note::

   Neither
   -------

========
Appendix
========

Text over a line
of two lines
----

Details
-------
"""


def outline(text: str) -> list[tuple[int, str]]:
    """Give level and title of each heading."""
    return [(heading.level, heading.title) for heading in read(text).outline]


def test_a_pep_has_its_header_and_sections() -> None:
    """The header gives number and title, the sections their levels by order of appearance."""
    reading = read(PEP)
    title = "Structural Pattern Matching: Specification"
    assert (reading.title, reading.metadata) == (title, {"pep": 634})
    assert reading.outline == (
        Heading(0, 0, title),
        Heading(PEP.index("Abstract"), 1, "Abstract"),
        Heading(PEP.index("Details"), 2, "Details"),
        Heading(PEP.index("========\nAppendix"), 3, "Appendix"),
        Heading(PEP.rindex("Details"), 2, "Details"),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Title\n=====", [(1, "Title")]),
        ("=====\nTitle\n=====\nSub\n===\n", [(1, "Title"), (2, "Sub")]),
        ("===========\n  Indented\n===========\n", [(1, "Indented")]),
        ("A\n=\nB\n-\nC\n~\nD\n=", [(1, "A"), (2, "B"), (3, "C"), (1, "D")]),
        ("A longer title\n====", [(1, "A longer title")]),
        ("Too long\n===", []),
        ("para\n\n----------\n\npara", []),
        ("two\nlines\n=====", []),
        (" indented\n=========", []),
        ("- item\n------", []),
        (".. comment\n----------", []),
        (":field: x\n----------", []),
        (">>> 1\n-----", []),
        ("=====\n=====\n=====", []),
        ("1. Numbered\n===========", [(1, "1. Numbered")]),
        ("=== ===\nA   B\n=== ===\n\nC   D\n\n=== ===\n\nTitle\n=====", []),
        ("=== ===\nA   B\n=== ===\nC   D\n\nE\n---\n=== ===\n\nTitle\n=====", [(1, "Title")]),
        ("+---+\n| a |\n+===+\n| b |\n+---+\n", []),
        ("PEP 8 is not a header\n=====================", [(1, "PEP 8 is not a header")]),
    ],
)
def test_titles_are_those_of_docutils(text: str, expected: list[tuple[int, str]]) -> None:
    """Each case is one rule of the specification."""
    assert outline(text) == expected


def test_without_a_header_the_first_section_is_the_title() -> None:
    """Other files have no `pep`."""
    reading = read("A\n=\n\nB\n=\n")
    assert (reading.title, reading.metadata) == ("A", {})
    assert read("no title").title is None


@pytest.mark.parametrize(
    "block",
    ["h\n=\n", "===\n", "== ==\n", "== ==\n\n", "=", "= ", "a", "PEP: 1\n", "\n", "a\n--- \n"],
)
def test_hostile_text_takes_linear_time(block: str) -> None:
    """A million characters of one construct are read in a moment."""
    start = time.perf_counter()
    read("PEP: 1\n" + block * (1_000_000 // len(block)))
    assert time.perf_counter() - start < 5
