"""What is remembered of changes until it is brought."""

from watchfiles import Change

from producers.sources.folders import Folders
from producers.vigil.changes import LONGEST_DELAY_SECONDS, NEW_FOLDER_SECONDS, Changes, Round


class Clock:
    """A clock that is set by hand."""

    seconds = 0.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.seconds


def test_folders_that_go_are_emptied_and_forgotten() -> None:
    """A folder whose time alone has changed is nothing."""
    folders = Folders()
    folders.enter(b"sub", (1, 1))
    folders.enter(b"sub/deep", (1, 2))
    changes = Changes(folders, None, Clock())
    changes.note(Change.modified, b"sub")
    assert len(changes) == 0
    changes.note(Change.deleted, b"sub")
    changes.note(Change.deleted, b"sub/deep/x.md")
    changes.note(Change.added, b"new")
    assert changes.take() == Round(frozenset({b"sub/deep/x.md", b"new"}), frozenset({b"sub"}))
    assert b"sub/deep" not in folders
    assert len(changes) == 0


def test_hidden_keys_and_others_than_the_one_that_is_watched_are_left_out() -> None:
    """As in a listing."""
    changes = Changes(Folders(), None, Clock())
    for key in (b"", b".x", b"a/.git/b", b".a/b"):
        changes.note(Change.added, key)
    assert len(changes) == 0
    alone = Changes(Folders(), ".x", Clock())
    alone.note(Change.added, b".x")
    alone.note(Change.added, b"y")
    assert alone.take().keys == {b".x"}


def test_a_key_is_spelt_in_all_ways() -> None:
    """Links lead to its folder; the system tells of one of them."""
    folders = Folders()
    for key, identity in {b"": (1, 0), b"sub": (1, 1), b"link": (1, 1)}.items():
        folders.enter(key, identity)
    changes = Changes(folders, None, Clock())
    changes.note(Change.added, b"link/x.md")
    changes.note(Change.added, b"y.md")
    assert changes.take().keys == {b"link/x.md", b"sub/x.md", b"y.md"}


def test_what_does_not_rest_is_looked_at_later_and_later() -> None:
    """Until it rests, or another notice comes."""
    clock = Clock()
    changes = Changes(Folders(), None, clock)
    changes.note(Change.added, b"log.md")
    delays = []
    for _ in range(9):
        taken = changes.take()
        changes.done(taken, [b"log.md"])
        begun = clock.seconds
        while not len(changes):
            assert changes.restless == 1
            clock.seconds += 0.25
            changes.ripen()
        delays.append(clock.seconds - begun)
    assert delays[:4] == [0.5, 1.0, 2.0, 4.0]
    assert delays[-1] == LONGEST_DELAY_SECONDS
    changes.done(changes.take(), [])
    assert (len(changes), changes.restless) == (0, 0)
    changes.postpone([b"log.md"])
    clock.seconds += 0.5
    changes.ripen()
    assert changes.take().keys == {b"log.md"}
    changes.postpone([b"log.md"])
    assert changes.restless == 1
    changes.clear()
    assert changes.restless == 0


def test_a_new_folder_is_looked_at_twice() -> None:
    """Something may have come into it before it was watched; that is no reason to wait."""
    clock = Clock()
    changes = Changes(Folders(), None, clock)
    changes.look_again([b"sub"])
    assert changes.restless == 0
    clock.seconds = NEW_FOLDER_SECONDS
    changes.ripen()
    assert changes.take().keys == {b"sub"}
