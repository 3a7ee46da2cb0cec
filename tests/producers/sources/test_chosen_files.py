"""Promises of files that are chosen by their keys."""

import os
from pathlib import Path

import pytest

from producers.document import Entry, Omission, Reason
from producers.sources.chosen_files import ChosenFiles
from producers.sources.files import open_source


def test_a_chosen_file_is_what_an_import_would_list(tmp_path: Path) -> None:
    """The same entry, whatever bytes its name has; once, however often it is chosen."""
    root = tmp_path / "docs"
    (root / "sub").mkdir(parents=True)
    (root / "sub" / "a.md").write_text("text")
    (root / "b.md").write_text("left alone")
    Path(os.fsdecode(os.fsencode(root) + b"/na\xefve.md")).write_text("text")
    chosen = ChosenFiles("docs", str(root))
    for key in (b"sub/a.md", b"na\xefve.md", b"sub/a.md"):
        assert chosen.why_not(key) == ""
        chosen.choose(key)
    listed = {x.key_bytes: x for x in open_source(str(root)).listing()}
    assert list(chosen.listing()) == [listed[b"sub/a.md"], listed[b"na\xefve.md"]]
    assert chosen.count == 2
    assert chosen.origin == open_source(str(root)).origin


async def test_it_reads_and_parses_like_an_import(tmp_path: Path) -> None:
    """Bytes, fingerprint and document are those of the source itself."""
    (tmp_path / "a.md").write_text("# Title\n\ntext\n")
    chosen, source = ChosenFiles("docs", str(tmp_path)), open_source(str(tmp_path), name="docs")
    chosen.choose(b"a.md")
    (entry,) = chosen.listing()
    assert isinstance(entry, Entry)
    data = await chosen.read(entry, 1_000)
    assert data == await source.read(entry, 1_000)
    assert chosen.fingerprint(entry) == source.fingerprint(entry)
    assert chosen.parse(entry, data) == source.parse(entry, data)


def test_what_is_gone_is_reported(tmp_path: Path) -> None:
    """By its own key, also when its whole folder is gone."""
    chosen = ChosenFiles("docs", str(tmp_path))
    for key in (b"a.md", b"sub/b.md"):
        chosen.choose(key)
    listed = list(chosen.listing())
    assert all(isinstance(item, Omission) for item in listed)
    assert [(x.key, getattr(x, "reason", "")) for x in listed] == [
        ("a.md", Reason.VANISHED),
        ("sub/b.md", Reason.VANISHED),
    ]


@pytest.mark.parametrize(
    "key", [b"../secret.md", b"/etc/passwd", b"a/../../b", b"", b"a\0b", b"sub"]
)
def test_a_key_that_leads_elsewhere_is_refused(tmp_path: Path, key: bytes) -> None:
    """A letter is data: whoever can write one can't have any file of this machine read."""
    (tmp_path / "sub").mkdir()
    assert ChosenFiles("docs", str(tmp_path)).why_not(key)


def test_without_its_folder_nothing_can_be_chosen(tmp_path: Path) -> None:
    """As with a program's own documents, or a folder that was moved."""
    for origin in ("python", "", str(tmp_path / "nowhere")):
        assert "no folder that is there" in ChosenFiles("docs", origin).why_not(b"a.md")
