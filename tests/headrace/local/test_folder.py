"""Promises of the data folder."""

import os
from pathlib import Path

import pytest

from contract.errors import UsageError
from headrace.local.folder import DataFolder


def _modes(path: Path) -> dict[str, int]:
    """Give the permission bits of everything in a folder, and of itself."""
    return {str(entry): entry.stat().st_mode & 0o777 for entry in (path, *path.rglob("*"))}


def test_everything_in_it_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Folders are 0700 and files 0600, whatever the umask allows."""
    before = os.umask(0)
    try:
        DataFolder(tmp_path / "data").create()
    finally:
        os.umask(before)
    for path, mode in _modes(tmp_path / "data").items():
        assert mode == (0o700 if Path(path).is_dir() else 0o600), path


def test_git_ignores_it(tmp_path: Path) -> None:
    """A ``.gitignore`` in the folder covers all of it."""
    DataFolder(tmp_path / "data").create()
    assert "*" in (tmp_path / "data" / ".gitignore").read_text().splitlines()


def test_an_open_data_folder_is_closed(tmp_path: Path) -> None:
    """A data folder that was made readable for others is owner-only again."""
    folder = DataFolder(tmp_path / "data")
    folder.create()
    folder.path.chmod(0o755)
    folder.create()
    assert folder.path.stat().st_mode & 0o777 == 0o700


def test_a_folder_with_other_content_is_refused_untouched(tmp_path: Path) -> None:
    """A project's own folder is neither closed nor made invisible to git."""
    (tmp_path / "thesis.md").write_text("text")
    tmp_path.chmod(0o755)
    with pytest.raises(UsageError, match=r"thesis\.md"):
        DataFolder(tmp_path).create()
    assert tmp_path.stat().st_mode & 0o777 == 0o755
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.md"]


def test_a_folder_of_someone_else_is_refused(tmp_path: Path) -> None:
    """Neither creating nor looking accepts a folder that another user controls."""
    folder, owner = DataFolder(Path("/")), 0
    if os.geteuid() == 0:  # only root can give a folder away; everyone else has the root's
        folder, owner = DataFolder(tmp_path / "data"), 12345
        folder.create()
        os.chown(folder.path, owner, -1)
    with pytest.raises(UsageError, match=str(owner)):
        folder.create()
    with pytest.raises(UsageError, match=str(owner)):
        folder.exists()


def test_a_file_in_its_place_is_wrong_use(tmp_path: Path) -> None:
    """A path that can't be a folder is reported with the path."""
    (tmp_path / "data").write_text("")
    with pytest.raises(UsageError, match="data: can't be used"):
        DataFolder(tmp_path / "data").create()


def test_looking_changes_nothing(tmp_path: Path) -> None:
    """Asking whether a data folder is there does not make one."""
    assert not DataFolder(tmp_path / "data").exists()
    assert not (tmp_path / "data").exists()
