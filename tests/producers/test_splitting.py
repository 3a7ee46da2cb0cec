"""Pieces: their places, sizes, overlap and headings."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contract.errors import UsageError
from contract.wordpiece import wordpiece
from producers import splitting as module
from producers.document import Document, Heading, Piece
from producers.length import Unit
from producers.parsing.formats import parse
from producers.splitting import MAX_PIECE_BYTES, SplitOptions, split
from tests.producers import reference_splitting as reference

KEYS = ["a.txt", "a.md", "a.rst"]

MARKDOWN = """\
# Guide

Short.

## Install

Run the first command and wait until it says that it is done.

## Use

One two three four five six seven eight nine ten eleven twelve thirteen fourteen
fifteen sixteen.
"""
RST = """\
PEP: 1
Title: Purpose

Abstract
========

What this is about, in one line of text.

Details
-------

More about it, and then some more, and again.
"""

fragments = st.sampled_from(
    [
        "word",
        "a",
        "x" * 50,
        " ",
        "\n",
        "\n\n",
        "\t",
        "\u3000",
        "。",
        "é",
        "😀",
        "漢字",
        "\x1c",
        "# h\n",
        "## two\n",
        "Title\n=====\n\n",
        "---\n",
        "```\n",
        "    code\n",
        "- ",
        ". ",
    ]
)
texts = st.one_of(st.lists(fragments, max_size=60).map("".join), st.text(max_size=200))


@st.composite
def options(draw: st.DrawFn) -> SplitOptions:
    """Draw any legal options in characters."""
    size = draw(st.integers(1, 60))
    return SplitOptions(size, draw(st.integers(0, size // 2)))


def plain(text: str, format_name: str = "text", outline: tuple[Heading, ...] = ()) -> Document:
    """Make a document of a text."""
    return Document("a", b"a", text, {}, outline, format_name)


def parsed(key: str, text: str) -> Document:
    """Parse a text that may be blank or have characters that no file's text has."""
    clean = text.replace("\0", "").replace("\r", "")
    if not clean.strip():
        return plain(clean)
    return parse(key, key.encode(), b"\xef\xbb\xbf" + clean.encode())


def require_sound(document: Document, pieces: tuple[Piece, ...]) -> None:
    """Check what holds for the pieces of any document in any unit."""
    text = document.text
    covered = 0
    previous = -1
    for piece in pieces:
        end = piece.start + len(piece.text)
        assert text[piece.start : end] == piece.text
        assert piece.start > previous
        assert piece.text
        assert piece.text == piece.text.strip()
        assert len(piece.text.encode()) <= MAX_PIECE_BYTES
        assert not text[covered : piece.start].strip()
        assert end > covered
        assert piece.heading_path == path_at(document, piece.start)
        covered, previous = end, piece.start
    assert not text[covered:].strip()


def path_at(document: Document, offset: int) -> tuple[str, ...]:
    """Give the titles enclosing an offset, the plain way."""
    path: list[Heading] = []
    for heading in document.outline:
        if heading.start <= offset:
            path = [above for above in path if above.level < heading.level] + [heading]
    return tuple(heading.title for heading in path)


@given(texts, options())
@example("a" * 500, SplitOptions(10, 5))
@example("ab " * 100 + "ab" * 100, SplitOptions(7, 3))
@pytest.mark.parametrize("key", KEYS)
def test_pieces_in_characters_are_sound(key: str, text: str, options: SplitOptions) -> None:
    """Exact places, rising starts, nothing lost, nothing blank, nothing too long."""
    document = parsed(key, text)
    pieces = split(document, options)
    require_sound(document, pieces)
    assert all(len(piece.text) <= options.size for piece in pieces)


@given(texts, st.integers(4, 40))
@pytest.mark.parametrize("key", KEYS)
def test_pieces_in_tokens_are_sound(key: str, text: str, size: int) -> None:
    """The same holds in tokens, and no piece has more of them."""
    document = parsed(key, text)
    pieces = split(document, SplitOptions(size, size // 4, "tokens"))
    require_sound(document, pieces)
    assert all(wordpiece().count(piece.text) <= size for piece in pieces)


odd_texts = st.lists(
    st.one_of(
        fragments,
        st.sampled_from(
            [
                *("ab" * 60, "\x0b", "\x0c", "\x85", "\xa0", "\u2028", "\u0301", "\ud800", "\x00"),
                *("words that go on, and on ", "か", "ﬁ", "豈", "www.example.org/a_b?c=d"),
                *(" " * 40, "word " * 30, "\n\n.. note::\n", "\nTwo\n~~~\n", "x\x0cy " * 20),
            ]
        ),
    ),
    max_size=60,
).map("".join)


@settings(deadline=None, max_examples=300)
@given(odd_texts, st.integers(1, 60), st.integers(0, 30), st.sampled_from([50, 400, 1 << 20]))
@pytest.mark.parametrize("format_name", ["text", "markdown", "restructuredtext"])
@pytest.mark.parametrize("unit", ["characters", "tokens"])
def test_pieces_are_those_of_measured_strings(
    unit: Unit, format_name: str, text: str, size: int, overlap: int, window: int
) -> None:
    """The same pieces, starts and headings as when each part was measured by itself."""
    outline = tuple(
        Heading(offset, 1 + offset % 3, f"at {offset}")
        for offset in range(len(text))
        if text.startswith("#", offset)
    )
    document = plain(text, format_name, outline)
    chosen = SplitOptions(size, min(overlap, size // 2), unit)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_WINDOW_CHARACTERS", window)
        patch.setattr(reference, "WINDOW_CHARACTERS", window)
        assert split(document, chosen) == reference.split(document, chosen)


@pytest.mark.corpus
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_corpus_is_cut_as_when_strings_were_measured() -> None:
    """All files, in tokens."""
    folder = os.environ.get("TEST_CORPUS")
    if not folder:
        pytest.skip("TEST_CORPUS names no folder")
    for path in sorted(Path(folder).rglob("*.rst")):
        document = parse(path.name, path.name.encode(), path.read_bytes())
        for chosen in (SplitOptions(200, 20, "tokens"), SplitOptions(50, 25, "tokens")):
            assert split(document, chosen) == reference.split(document, chosen), path


def test_a_markdown_file_is_cut_at_its_headings() -> None:
    """Golden: text, start and headings of each piece."""
    document = parse("a.md", b"a.md", MARKDOWN.encode())
    pieces = split(document, SplitOptions(90, 20))
    assert [(piece.text, piece.heading_path) for piece in pieces] == [
        ("# Guide\n\nShort.", ("Guide",)),
        (
            "## Install\n\nRun the first command and wait until it says that it is done.",
            ("Guide", "Install"),
        ),
        (
            MARKDOWN[MARKDOWN.index("## Use") : MARKDOWN.index("\nfifteen")],
            ("Guide", "Use"),
        ),
        ("thirteen fourteen\nfifteen sixteen.", ("Guide", "Use")),
    ]
    require_sound(document, pieces)


def test_a_pep_is_cut_at_its_titles() -> None:
    """Golden: the title of the header encloses everything."""
    document = parse("a.rst", b"a.rst", RST.encode())
    pieces = split(document, SplitOptions(80, 16))
    assert [(piece.text.split("\n")[0], piece.start, piece.heading_path) for piece in pieces] == [
        ("PEP: 1", 0, ("Purpose",)),
        ("Abstract", RST.index("Abstract"), ("Purpose", "Abstract")),
        ("Details", RST.index("Details"), ("Purpose", "Abstract", "Details")),
    ]


def test_overlap_repeats_whole_words() -> None:
    """A piece begins with the end of the one before, up to the overlap."""
    text = "one two three four five six seven eight nine ten"
    pieces = split(plain(text), SplitOptions(24, 10))
    assert [piece.text for piece in pieces] == [
        "one two three",
        "two three four five six",
        "six seven eight nine ten",
    ]


def test_overlap_never_reaches_over_a_heading() -> None:
    """A piece that begins with a heading begins with nothing else."""
    text = "word " * 30 + "\n\n# One\n\n" + "text " * 30 + "\n\n# Two\n\n" + "more " * 30
    for piece in split(parse("a.md", b"a.md", text.encode()), SplitOptions(60, 30)):
        assert "#" not in piece.text[1:]


def test_a_heading_does_not_stand_alone() -> None:
    """A title is kept with the text below it, though LangChain cuts it off."""
    text = "# A title\n\n" + "x" * 79 + "\n\nend of it, which is long enough to stay alone"
    first, _ = split(parse("a.md", b"a.md", text.encode()), SplitOptions(100, 20))
    assert first.text == "# A title\n\n" + "x" * 79


def test_repeated_text_has_its_own_places() -> None:
    """Equal paragraphs are different pieces at different starts."""
    paragraph = "the same words again and again"
    pieces = split(plain("\n\n".join([paragraph] * 5)), SplitOptions(32, 0))
    assert [piece.start for piece in pieces] == [index * 32 for index in range(5)]


def test_text_without_blanks_is_cut_at_stops() -> None:
    """Chinese and Japanese are cut after a full stop or a comma if one is near."""
    text = "漢字漢字漢字漢。" * 10
    assert {piece.text[-1] for piece in split(plain(text), SplitOptions(30, 0))} == {"。"}


def test_no_piece_is_too_long_for_the_store() -> None:
    """However large the size, a piece is cut at whole characters."""
    document = plain("😀" * 50_000 + " " + "é" * 70_000)
    pieces = split(document, SplitOptions(1_000_000, 1_000))
    require_sound(document, pieces)
    assert max(len(piece.text.encode()) for piece in pieces) > MAX_PIECE_BYTES // 4


def test_long_documents_are_cut_in_windows() -> None:
    """Nothing is lost or doubled where the windows meet."""
    lines = [f"## heading {number}\n\ntext of section {number}\n\n" for number in range(60_000)]
    document = parse("a.md", b"a.md", "".join(lines).encode())
    pieces = split(document, SplitOptions())
    covered = 0
    for piece in pieces:
        assert not document.text[covered : piece.start].strip()
        assert piece.text.startswith("## heading")
        covered = piece.start + len(piece.text)
    assert pieces[-1].text.endswith("text of section 59999")


@pytest.mark.parametrize("unit", ["characters", "tokens"])
@pytest.mark.parametrize("block", ["x", "a ", "\n", "# h\n", "漢", "\t", "\n\n\n=\n"])
def test_hostile_text_takes_linear_time(unit: str, block: str) -> None:
    """Two million characters of one construct are cut in seconds."""
    text = block * (2_000_000 // len(block)) + "end"
    chosen = SplitOptions(200, 20, "tokens") if unit == "tokens" else SplitOptions()
    start = time.perf_counter()
    pieces = split(plain(text, "markdown"), chosen)
    assert time.perf_counter() - start < 20
    assert pieces[-1].text.endswith("end")


def test_a_blank_document_has_no_pieces() -> None:
    """There is nothing to embed."""
    assert split(plain(" \n\t\n"), SplitOptions()) == ()
    assert split(plain(""), SplitOptions()) == ()


@pytest.mark.parametrize(("size", "overlap"), [(0, 0), (-1, 0), (10, -1), (10, 6), (10, 10)])
def test_impossible_options_are_wrong_use(size: int, overlap: int) -> None:
    """The error says which figure is wrong and what is allowed."""
    with pytest.raises(UsageError, match="must be"):
        SplitOptions(size, overlap)


def test_the_fingerprint_tells_options_apart() -> None:
    """Each option is in it."""
    chosen = [
        SplitOptions(),
        SplitOptions(801),
        SplitOptions(overlap=81),
        SplitOptions(unit="tokens"),
    ]
    assert len({option.fingerprint for option in chosen}) == 4
    assert SplitOptions().fingerprint == "recursive-1:800:80:characters"
