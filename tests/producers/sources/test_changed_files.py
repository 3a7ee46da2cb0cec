"""Listing what may have changed: what a listing of the whole folder would show of it."""

import os
from pathlib import Path

import pytest

from producers.document import Entry, Omission
from producers.sources.changed_files import ChangedFiles, identity
from producers.sources.files import FileSource, open_source
from producers.sources.folders import Folders


def fill(root: Path, *keys: str) -> None:
    """Write small files."""
    for key in keys:
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"this is " + os.fsencode(key) + b"\n")


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """Give a folder with something of everything."""
    root = tmp_path / "odd"
    fill(root, "a.md", "sub/b.md", "sub/deep/c.txt", ".hidden/d.md", "sub/.e.md", "photo.jpeg")
    (root / "empty.md").touch()
    (root / "link").symlink_to(root / "sub", target_is_directory=True)
    (root / "sub" / "loop").symlink_to(root, target_is_directory=True)
    (root / "nowhere").symlink_to(root / "not-there")
    (root / "alias.md").symlink_to(root / "a.md")
    (root / "circle.md").symlink_to(root / "circle.md")
    return root


def keys_below(root: Path) -> list[bytes]:
    """Name everything below a folder that a way leads to, hidden or not."""
    return [
        os.fsencode(os.path.relpath(os.path.join(folder, name), root))  # noqa: PTH118
        for folder, folders, files in os.walk(root)
        for name in (*folders, *files)
    ]


@pytest.mark.parametrize("glob", [None, "*.md", "sub/**/*.txt"])
def test_each_key_shows_what_the_whole_listing_shows_of_it(odd: Path, glob: str | None) -> None:
    """Files, folders, links, loops, hidden ones: the same items, in the same words."""
    whole = {item.key_bytes: item for item in open_source(str(odd), glob=glob).listing()}
    assert whole
    keys = [*keys_below(odd), b"link/b.md", b"link/deep", b"sub/loop/a.md", b"missing/x.md", b"m"]
    for key in keys:
        shown = {item.key_bytes: item for item in open_source(str(odd), glob=glob).listing_of(key)}
        below = key + b"/"
        expected = {k: v for k, v in whole.items() if k == key or k.startswith(below)}
        if key == b"sub/loop/a.md":  # the way there ends at the loop
            expected = {b"sub/loop": whole[b"sub/loop"]} if b"sub/loop" in whole else {}
            shown = {k: v for k, v in shown.items() if k in expected}
        assert shown == expected, key


def test_a_folder_and_what_is_in_it_are_listed_once(odd: Path) -> None:
    """Names without a parser are passed over: nothing was known of them, and nothing will be."""
    changed = _changed(odd, b"sub/b.md", b"sub", b"photo.jpeg", b"gone.md")
    items = list(changed.listing())
    assert [item.key for item in items if isinstance(item, Entry)] == ["sub/b.md", "sub/deep/c.txt"]
    assert {item.key for item in items if isinstance(item, Omission)} == {"sub/loop"}
    assert changed.complete
    assert changed.entered == [b"sub"]
    candidates = changed.candidates()
    assert candidates is not None
    assert set(candidates) >= {b"sub/b.md", b"sub", b"photo.jpeg", b"gone.md", b"sub/deep/c.txt"}
    assert changed.covers(b"gone.md")
    assert not changed.covers(b"a.md")


def test_an_emptied_folder_covers_all_that_was_in_it(odd: Path) -> None:
    """Which documents these were, only the ledger knows."""
    changed = _changed(odd, emptied=[b"was"])
    assert list(changed.listing()) == []
    assert changed.candidates() is None
    assert changed.covers(b"was/deep/x.md")
    assert not changed.covers(b"was.md")


def test_behind_what_is_shut_nothing_is_gone(odd: Path) -> None:
    """A link that leads nowhere now: there may be a disk behind it."""
    changed = _changed(odd, b"nowhere/x.md", b"nowhere")
    (omission,) = changed.listing()
    assert isinstance(omission, Omission)
    assert (omission.key, omission.reason) == ("nowhere", "broken_link")
    assert not changed.covers(b"nowhere/x.md")


def test_a_folder_that_can_not_be_read_hides_what_is_in_it(unprivileged_folder: Path) -> None:
    """It is reported, and its documents are not gone."""
    fill(unprivileged_folder, "shut/x.md")
    (unprivileged_folder / "shut").chmod(0)
    changed = _changed(unprivileged_folder, b"shut/x.md")
    list(changed.listing())
    whole = _changed(unprivileged_folder, b"shut")
    (omission,) = whole.listing()
    assert isinstance(omission, Omission)
    assert omission.reason == "unreadable"
    assert not whole.covers(b"shut/x.md")
    (unprivileged_folder / "shut").chmod(0o700)


def test_in_another_folder_nothing_is_gone(odd: Path) -> None:
    """The folder was moved away while it was looked at."""
    changed = _changed(odd, b"a.md")
    odd.rename(odd.parent / "away")
    assert list(changed.listing()) == []
    assert not changed.complete
    odd.mkdir()
    list(changed.listing())
    assert not changed.complete


def test_one_file_alone(odd: Path) -> None:
    """Also a hidden one, and none of its neighbours."""
    alone = open_source(str(odd / "sub" / ".e.md"))
    assert [item.key for item in alone.listing_of(b".e.md")] == [".e.md"]
    assert list(alone.listing_of(b"b.md")) == []


def test_folders_are_known_by_all_their_names(odd: Path) -> None:
    """Until they are forgotten, with all below them."""
    folders = Folders()
    source: FileSource = open_source(str(odd)).again(folders)
    list(source.listing())
    assert set(folders.namesakes(b"sub/deep")) == {b"sub/deep", b"link/deep"}
    assert b"" in folders
    assert b"a.md" not in folders
    folders.forget(b"sub")
    assert b"sub/deep" not in folders
    assert set(folders.namesakes(b"link/deep")) == {b"link/deep"}
    assert folders.namesakes(b"sub/deep") == ()


def _changed(root: Path, *keys: bytes, emptied: list[bytes] | None = None) -> ChangedFiles:
    found = identity(str(root))
    assert found is not None
    return ChangedFiles(open_source(str(root)), keys, root=found, emptied=emptied or ())
