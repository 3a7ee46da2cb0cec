"""The outline of Markdown."""

import time

import pytest

from producers.document import Heading
from producers.parsing.markdown import read

SAMPLE = """\
---
title: "Front: matter"
tags: [a]
# no heading
---

Intro
=====

Text.

## Install ##

```sh
# a comment
```

A setext heading
over two lines
---

<!--
# hidden
-->

* item
---

    # code

### `C#` and #tags
#no heading
#######no heading
"""


def outline(text: str) -> list[tuple[int, str]]:
    """Give level and title of each heading."""
    return [(heading.level, heading.title) for heading in read(text).outline]


def test_the_sample_has_its_headings() -> None:
    """ATX and setext headings are found with their exact starts; look-alikes are not."""
    reading = read(SAMPLE)
    assert reading.title == "Front: matter"
    assert reading.outline == (
        Heading(SAMPLE.index("Intro"), 1, "Intro"),
        Heading(SAMPLE.index("## Install"), 2, "Install"),
        Heading(SAMPLE.index("A setext"), 2, "A setext heading over two lines"),
        Heading(SAMPLE.index("### `C#`"), 3, "`C#` and #tags"),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# a", [(1, "a")]),
        ("#\n\n# \n", []),
        ("   ###### deep ######  ", [(6, "deep")]),
        ("# C#\n# a #b", [(1, "C#"), (1, "a #b")]),
        ("a\n\n---\nb", []),
        ("> quote\n---", []),
        ("| a |\n---", []),
        ("1. item\n---", []),
        ("one\ntwo\nthree\nfour\n---", []),
        ("# a\nb\n===", [(1, "a"), (1, "b")]),
        ("~~~\n# a\n```\n~~~\n# b", [(1, "b")]),
        ("````\n```\n# a\n````\n# b", [(1, "b")]),
        ("```\n# never closed", []),
        ("``` `inline` ```\n# a", [(1, "a")]),
        ("<pre>\n# a\n</pre>\n# b", [(1, "b")]),
        ("<!-- one line -->\n# b", [(1, "b")]),
        ("---\n# no front matter: never closed", [(1, "no front matter: never closed")]),
        ("---\na: b\n...\n# c", [(1, "c")]),
    ],
)
def test_headings_are_those_of_commonmark(text: str, expected: list[tuple[int, str]]) -> None:
    """Each case is one rule of the specification."""
    assert outline(text) == expected


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("---\ntitle: Plain\n---\n# Other", "Plain"),
        ("---\ntitle: 'Quoted'\n---\n", "Quoted"),
        ("---\ntitle: >\n  folded\n---\n# Other", "Other"),
        ("## Low\n# High\n# Later", "High"),
        ("no heading", None),
    ],
)
def test_the_title_is_the_front_matters_or_the_highest_heading(
    text: str, title: str | None
) -> None:
    """What YAML writes on several lines is left to the headings."""
    assert read(text).title == title


@pytest.mark.parametrize(
    "block",
    [
        "# h\n",
        "a\n---\n",
        "```\n",
        "<!--\n",
        "---\n",
        "#" * 9,
        "`" * 9,
        "a" * 9,
        "- a\n===\n",
        "# #",
    ],
)
def test_hostile_text_takes_linear_time(block: str) -> None:
    """A million characters of one construct are read in a moment."""
    start = time.perf_counter()
    read(block * (1_000_000 // len(block)))
    assert time.perf_counter() - start < 5
