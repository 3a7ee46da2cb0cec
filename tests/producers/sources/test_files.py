"""Listing folders, globs and single files."""

import os
import shutil
import socket
from pathlib import Path

import pytest

from contract.errors import DocumentError, UsageError
from producers.document import Entry, Omission, Reason
from producers.sources.files import FileSource, open_source


def fill(root: Path, *keys: str) -> None:
    """Write small files."""
    for key in keys:
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"this is " + os.fsencode(key) + b"\n")


def entries(source: FileSource) -> list[str]:
    """Give the keys that can be read."""
    return [item.key for item in source.listing() if isinstance(item, Entry)]


def omissions(source: FileSource) -> dict[str, tuple[str, bool]]:
    """Give reason and failure of what was left out."""
    return {
        item.key: (item.reason, item.failed)
        for item in source.listing()
        if isinstance(item, Omission)
    }


async def test_a_folder_is_listed_and_read(tmp_path: Path) -> None:
    """Entries have the key, the exact bytes, size and time; what they name can be read."""
    fill(tmp_path / "docs", "b.md", "a/z.txt")
    source = open_source(str(tmp_path / "docs"))
    assert (source.name, source.root, source.complete) == ("docs", str(tmp_path / "docs"), False)
    first, second = source.listing()
    status = (tmp_path / "docs/a/z.txt").stat()
    path = str(tmp_path / "docs/a/z.txt")
    expected = Entry("a/z.txt", b"a/z.txt", path, status.st_size, status.st_mtime_ns)
    assert first == expected
    assert isinstance(second, Entry)
    assert source.complete
    assert await source.read(second, 100) == b"this is b.md\n"


def test_keys_are_sorted_by_their_bytes(tmp_path: Path) -> None:
    """The order is that of the whole keys, although the walk goes folder by folder."""
    keys = ["a/b.md", "a.md", "a-b/c.md", "a/a/a.md", "B.md", "é.md", "z/z/z.md", "a0.md"]
    fill(tmp_path, *keys)
    listed = entries(open_source(str(tmp_path)))
    assert listed == sorted(keys, key=str.encode)


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    """What begins with a dot is not even mentioned."""
    fill(tmp_path, ".hidden.md", ".git/config.md", "a/.b/c.md", "a/d.md")
    source = open_source(str(tmp_path))
    assert [item.key for item in source.listing()] == ["a/d.md"]


def test_the_root_may_be_hidden(tmp_path: Path) -> None:
    """What a user names is listed, however it is called."""
    fill(tmp_path, ".notes/a.md")
    assert entries(open_source(str(tmp_path / ".notes"))) == ["a.md"]
    assert entries(open_source(str(tmp_path / ".notes/a.md"))) == ["a.md"]


def test_unknown_types_and_empty_files_are_omitted_on_purpose(tmp_path: Path) -> None:
    """They are no failure, and the listing is complete."""
    fill(tmp_path, "photo.jpeg", "a.md")
    (tmp_path / "empty.txt").touch()
    source = open_source(str(tmp_path))
    assert omissions(source) == {
        "photo.jpeg": ("unknown_type", False),
        "empty.txt": ("empty", False),
    }
    assert source.complete


def test_special_files_are_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A FIFO would block, a socket fail: both are omitted, also behind a link."""
    os.mkfifo(tmp_path / "fifo.md")
    (tmp_path / "null.txt").symlink_to("/dev/null")
    monkeypatch.chdir(tmp_path)  # A socket's path must be short.
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        found = omissions(open_source("."))
    assert found == dict.fromkeys(["fifo.md", "null.txt", "socket"], ("special_file", False))


def test_links_are_followed(tmp_path: Path) -> None:
    """Linked files and folders are listed under the link's key."""
    fill(tmp_path, "outside/a.md", "root/b.md")
    (tmp_path / "root/folder").symlink_to("../outside")
    (tmp_path / "root/file.md").symlink_to("../outside/a.md")
    assert entries(open_source(str(tmp_path / "root"))) == ["b.md", "file.md", "folder/a.md"]


def test_a_loop_of_folders_ends(tmp_path: Path) -> None:
    """A link to a folder above is an omission; everything else is listed once."""
    fill(tmp_path, "a/b/c.md")
    (tmp_path / "a/b/up").symlink_to("..")
    (tmp_path / "a/b/here").symlink_to(".")
    (tmp_path / "a/b/top").symlink_to(tmp_path)
    source = open_source(str(tmp_path))
    assert omissions(source) == {
        "a/b/up": ("symlink_loop", True),
        "a/b/here": ("symlink_loop", True),
        "a/b/top": ("symlink_loop", True),
    }
    assert entries(source) == ["a/b/c.md"]
    assert source.complete


def test_broken_links_are_failures(tmp_path: Path) -> None:
    """A link to nothing and a link to itself are named as what they are."""
    (tmp_path / "gone.md").symlink_to("nowhere")
    (tmp_path / "self.md").symlink_to("self.md")
    assert omissions(open_source(str(tmp_path))) == {
        "gone.md": ("broken_link", True),
        "self.md": ("symlink_loop", True),
    }


def test_names_that_are_not_utf8_are_kept_exactly(tmp_path: Path) -> None:
    """The key can be shown, the bytes are the file system's, and they differ where those do."""
    for name in (b"caf\xe9.md", "café.md".encode(), b"new\nline.md"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text("x")
    listed = [item for item in open_source(str(tmp_path)).listing() if isinstance(item, Entry)]
    assert [(item.key, item.key_bytes) for item in listed] == [
        ("café.md", "café.md".encode()),
        (r"caf\xe9.md", b"caf\xe9.md"),
        (r"new\nline.md", b"new\nline.md"),
    ]


async def test_names_that_are_not_utf8_can_be_read(tmp_path: Path) -> None:
    """Entries with strange names open like others."""
    fill(tmp_path, os.fsdecode(b"\xff\xfe.txt"))
    source = open_source(str(tmp_path))
    (entry,) = source.listing()
    assert isinstance(entry, Entry)
    assert (await source.read(entry, 100)).startswith(b"this is")


def test_a_folder_that_turned_into_a_file_makes_the_listing_incomplete(tmp_path: Path) -> None:
    """What could not be seen must not be taken for gone."""
    fill(tmp_path, "a.md", "b/c.md", "d.md")
    source = open_source(str(tmp_path))
    listing = source.listing()
    next(listing)
    shutil.rmtree(tmp_path / "b")
    (tmp_path / "b").touch()
    rest = list(listing)
    assert [(item.key, isinstance(item, Omission) and item.failed) for item in rest] == [
        ("b", True),
        ("d.md", False),
    ]
    assert not source.complete


def test_a_folder_that_cannot_be_opened_makes_the_listing_incomplete(tmp_path: Path) -> None:
    """A tree deeper than the system's longest path is listed as far as it goes."""
    fill(tmp_path, "a.md")
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("x" * 250, dir_fd=here)
        below = os.open("x" * 250, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    source = open_source(str(tmp_path))
    entry, omission = source.listing()
    assert entry.key == "a.md"
    assert isinstance(omission, Omission)
    assert (omission.reason, omission.failed) == (Reason.UNREADABLE, True)
    assert not source.complete


def test_a_folder_without_permission_makes_the_listing_incomplete(
    unprivileged_folder: Path,
) -> None:
    """A folder that may not be read is a failure, the others are listed."""
    fill(unprivileged_folder, "a.md", "b/c.md")
    (unprivileged_folder / "b").chmod(0)
    source = open_source(str(unprivileged_folder))
    try:
        assert omissions(source) == {"b": ("unreadable", True)}
    finally:
        (unprivileged_folder / "b").chmod(0o700)
    assert not source.complete


def test_a_root_that_vanished_is_an_incomplete_listing(tmp_path: Path) -> None:
    """An unmounted disk deletes nothing."""
    fill(tmp_path, "docs/a.md")
    source = open_source(str(tmp_path / "docs"))
    shutil.rmtree(tmp_path / "docs")
    assert omissions(source) == {".": ("vanished", True)}
    assert not source.complete


def test_what_lies_behind_a_link_that_leads_nowhere_is_not_covered(tmp_path: Path) -> None:
    """It may lie on a disk that is away; the listing is complete for all else."""
    fill(tmp_path / "docs", "a.md", "sub/b.md")
    fill(tmp_path / "disk", "c.md")
    for name in ("linked", "sub/v1.2"):
        (tmp_path / "docs" / name).symlink_to(tmp_path / "disk")
    source = open_source(str(tmp_path / "docs"))
    behind = [b"linked/c.md", b"sub/v1.2/c.md", b"sub/v1.2/deep/d.md"]
    elsewhere = [b"linked", b"linked.md", b"sub/b.md", b"sub/v1/e.md"]
    assert entries(source) == ["a.md", "linked/c.md", "sub/b.md", "sub/v1.2/c.md"]
    assert all(source.covers(key) for key in (*behind, *elsewhere))
    shutil.move(tmp_path / "disk", tmp_path / "away")
    assert entries(source) == ["a.md", "sub/b.md"]
    assert source.complete
    assert not any(source.covers(key) for key in behind)
    assert all(source.covers(key) for key in elsewhere)
    shutil.move(tmp_path / "away", tmp_path / "disk")
    assert len(entries(source)) == 4
    assert all(source.covers(key) for key in behind)


def test_a_listing_that_was_not_finished_is_incomplete(tmp_path: Path) -> None:
    """Whoever stops in the middle has not seen everything, whatever an earlier run saw."""
    fill(tmp_path, "a.md", "b.md")
    source = open_source(str(tmp_path))
    list(source.listing())
    assert source.complete
    next(source.listing())
    assert not source.complete


async def test_a_file_that_vanished_after_the_listing_fails(tmp_path: Path) -> None:
    """The error belongs to the document."""
    fill(tmp_path, "a.md")
    source = open_source(str(tmp_path))
    (entry,) = source.listing()
    (tmp_path / "a.md").unlink()
    assert isinstance(entry, Entry)
    with pytest.raises(DocumentError) as caught:
        await source.read(entry, 100)
    assert caught.value.reason is Reason.VANISHED


async def test_a_file_replaced_by_a_fifo_after_the_listing_is_not_opened(tmp_path: Path) -> None:
    """Reading ends at once."""
    fill(tmp_path, "a.md")
    source = open_source(str(tmp_path))
    (entry,) = source.listing()
    (tmp_path / "a.md").unlink()
    os.mkfifo(tmp_path / "a.md")
    assert isinstance(entry, Entry)
    with pytest.raises(DocumentError) as caught:
        await source.read(entry, 100)
    assert caught.value.reason is Reason.SPECIAL_FILE


@pytest.mark.parametrize(
    ("pattern", "root", "keys"),
    [
        ("docs/**/*.md", "docs", ["a.md", "b/c.md", "b/d/e.md"]),
        ("docs/*.md", "docs", ["a.md"]),
        ("docs/b/**", "docs/b", ["c.md", "d/e.md", "f.txt"]),
        ("*/b/*.md", "", ["docs/b/c.md", "other/b/g.md"]),
        ("docs/?/d/[a-e].md", "docs", ["b/d/e.md"]),
        ("docs/*.rst", "docs", []),
    ],
)
def test_a_glob_lists_what_matches(
    tmp_path: Path, pattern: str, root: str, keys: list[str]
) -> None:
    """The root is the part before the first wildcard; keys are relative to it."""
    fill(tmp_path, *(f"docs/{key}" for key in ("a.md", "b/c.md", "b/d/e.md", "b/f.txt")))
    fill(tmp_path, "other/b/g.md")
    source = open_source(f"{tmp_path}/{pattern}")
    assert source.root == str(tmp_path / root)
    assert entries(source) == keys


def test_a_glob_does_not_enter_folders_in_vain(tmp_path: Path) -> None:
    """A loop in a folder that can't match is not even seen."""
    fill(tmp_path, "a/b.md", "c/d.md")
    (tmp_path / "c/loop").symlink_to("..")
    assert [item.key for item in open_source(f"{tmp_path}/a*/*.md").listing()] == ["a/b.md"]


def test_a_filter_narrows_a_folder(tmp_path: Path) -> None:
    """Files that the filter leaves out are neither listed nor covered."""
    fill(tmp_path, "a.md", "b.txt", "c/d.md")
    source = open_source(str(tmp_path), glob="*.md")
    assert [item.key for item in source.listing()] == ["a.md", "c/d.md"]
    assert [source.covers(key) for key in (b"x/y.md", b"b.txt")] == [True, False]


def test_a_single_file_is_a_source_in_its_folder(tmp_path: Path) -> None:
    """Its id is that of the same file in the folder's listing, and it stands for itself only."""
    fill(tmp_path, "docs/a.md", "docs/b.md")
    source = open_source(str(tmp_path / "docs/a.md"))
    assert (source.name, source.root) == ("docs", str(tmp_path / "docs"))
    assert entries(source) == ["a.md"]
    assert source.complete
    assert source.covers(b"a.md")
    assert not source.covers(b"b.md")


def test_a_single_file_that_vanished_is_a_failure(tmp_path: Path) -> None:
    """It is reported, not silently nothing."""
    fill(tmp_path, "a.md")
    source = open_source(str(tmp_path / "a.md"))
    (tmp_path / "a.md").unlink()
    assert omissions(source) == {"a.md": ("vanished", True)}


def test_an_existing_path_is_never_a_glob(tmp_path: Path) -> None:
    """A folder or file whose name has brackets is taken by its name."""
    fill(tmp_path, "[draft]/a.md", "d/b.md", "x[1].md", "x1.md")
    assert entries(open_source(str(tmp_path / "[draft]"))) == ["a.md"]
    assert entries(open_source(str(tmp_path / "x[1].md"))) == ["x[1].md"]


def test_names_come_from_where_the_root_really_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dot, dots and slashes at the end don't show in the name; a given name wins."""
    fill(tmp_path, "docs/sub/a.md")
    monkeypatch.chdir(tmp_path / "docs")
    for path in (".", "sub/..", "../docs/", "*", "./sub/../**/*.md"):
        assert open_source(path).name == "docs"
    assert open_source(".", name="manual").name == "manual"
    assert open_source("/").name == "/"


@pytest.mark.parametrize("path", ["missing", "missing/*.md", "a.md/b", "a\0b", "", "[", "fifo"])
def test_a_path_that_names_nothing_is_wrong_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """The error names the path, and comes before anything is listed."""
    fill(tmp_path, "a.md")
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="PATH") as caught:
        open_source(path)
    assert path.replace("\0", "\\x00") in str(caught.value)
    assert "name a file, a folder or a glob" in str(caught.value)


def test_a_wide_and_deep_tree_is_listed_lazily(tmp_path: Path) -> None:
    """The first entry is there before later folders are looked at."""
    fill(tmp_path, "a/1.md", "b/2.md")
    listing = open_source(str(tmp_path)).listing()
    assert next(listing).key == "a/1.md"
    fill(tmp_path, "b/3.md")
    assert [item.key for item in listing] == ["b/2.md", "b/3.md"]


@pytest.mark.parametrize("url", ["https://example.org/docs", "s3://me:s3cret@bucket/docs"])
def test_a_url_is_no_folder(url: str) -> None:
    """What needs a folder, such as a watch, says so, and repeats no password."""
    with pytest.raises(UsageError, match="is a URL") as caught:
        open_source(url)
    assert "s3cret" not in str(caught.value)
