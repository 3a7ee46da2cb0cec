"""Shell patterns on keys."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.sources.glob import KeyGlob, is_magic


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("*.md", ["a.md", ".md"], ["a/b.md", "a.mdx", "a.MD"]),
        ("**/*.md", ["a.md", "a/b.md", "a/b/c.md"], ["a.txt", "a.md/b"]),
        ("a/**/z", ["a/z", "a/b/z", "a/b/c/z"], ["z", "b/z", "a/zz"]),
        ("a/**", ["a/b", "a/b/c"], ["a", "b/a"]),
        ("**", ["a", "a/b"], []),
        ("**/b/**/d", ["b/d", "a/b/c/d", "b/b/d"], ["b", "d", "a/d"]),
        ("?[ab][!c]", ["xad"], ["xac", "xc", "xadd", "x/d"]),
        ("./a//*.md", ["a/b.md"], ["b.md"]),
        ("[", ["["], ["a"]),
    ],
)
def test_a_pattern_matches_component_by_component(
    pattern: str, matching: list[str], other: list[str]
) -> None:
    """Wildcards don't cross a slash, ** stands for any number of folders."""
    glob = KeyGlob(pattern)
    assert [key for key in [*matching, *other] if glob.matches(key)] == matching


def test_a_filter_without_a_slash_is_about_names() -> None:
    """--glob '*.md' finds files in all folders, --glob 'a/*.md' only there."""
    assert KeyGlob.floating("*.md").matches("a/b/c.md")
    assert KeyGlob.floating("a/*.md").matches("a/c.md")
    assert not KeyGlob.floating("a/*.md").matches("b/a/c.md")


def test_folders_below_which_nothing_can_match_are_known() -> None:
    """The states are empty exactly where a walk need not go on."""
    glob = KeyGlob("docs/*/x.md")
    docs = glob.step(glob.start(), "docs")
    assert docs
    assert not glob.step(glob.start(), "src")
    assert not glob.step(glob.step(glob.step(docs, "a"), "b"), "c")


@given(
    st.lists(st.sampled_from(["a", "b", "*", "**", "?b"]), min_size=1, max_size=5),
    st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=5),
)
def test_it_agrees_with_a_regular_expression(pattern: list[str], key: list[str]) -> None:
    """The stepwise match is that of the pattern as one expression over the whole key."""
    parts = {"*": "[^/]+", "**": "(?:[^/]+/)*", "?b": "[^/]b"}
    if pattern[-1] == "**":
        pattern = [*pattern, "*"]
    whole = "".join(parts.get(part, part) + ("" if part == "**" else "/") for part in pattern)
    expected = re.fullmatch(whole, "/".join(key) + "/") is not None
    assert KeyGlob("/".join(pattern)).matches("/".join(key)) == expected


def test_magic_is_seen() -> None:
    """Wildcards are what fnmatch takes for such."""
    assert [path for path in ["a*", "a?", "[a]", "a", "{a,b}", "[", "["] if is_magic(path)] == [
        "a*",
        "a?",
        "[a]",
    ]
