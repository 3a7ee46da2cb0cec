"""A source of documents that do something when they are parsed, in whatever process that is."""

import os
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

from producers.document import Document, Entry, Omission
from producers.drafting import Assignment, Drafter
from producers.reading import Loaded
from producers.splitting import SplitOptions


class BugError(Exception):
    """Nothing that a parser may raise."""


class Deeds:
    """Each document is a word, which says what happens, and what it happens to."""

    name = "deeds"
    shows_all = False
    complete = True
    origin = "nowhere"

    def __init__(self, *texts: str) -> None:
        """Take what is to happen, in order."""
        self.texts = texts

    def listing(self) -> Iterator[Entry | Omission]:
        """List them; keys are numbers."""
        for number, text in enumerate(self.texts):
            yield Entry(str(number), b"%d" % number, None, len(text), 0)

    def covers(self, key_bytes: bytes) -> bool:  # noqa: ARG002
        """Tell that any may come."""
        return True

    async def read(self, entry: Entry, max_bytes: int) -> bytes:  # noqa: ARG002
        """Give the text."""
        return self.texts[int(entry.key)].encode()

    def fingerprint(self, entry: Entry) -> str:  # noqa: ARG002
        """Name this way of reading."""
        return "deeds-1"

    @staticmethod
    def parse(entry: Entry, data: bytes) -> Document:
        """Do it, and tell in which process and thread."""
        text = data.decode()
        deed, _, what = text.partition(" ")
        if deed == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        elif deed == "die-once" and not Path(what).exists():
            Path(what).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        elif deed == "hang":
            re.match(r"(a+)+$", "a" * 64 + "b")  # keeps the interpreter to itself
        elif deed == "linger":
            Path(what).write_text(str(os.getpid()))
            threading.Event().wait()
        elif deed == "bug":
            raise BugError(text)
        where = {"pid": os.getpid(), "is_main": threading.current_thread().name == "MainThread"}
        return Document(entry.key, entry.key_bytes, text, where, (), "text")


class BoundDeeds(Deeds):
    """The same with a parse that another process can't have."""

    def __init__(self, *texts: str) -> None:
        """Hold what can't be copied."""
        super().__init__(*texts)
        self.lock = threading.Lock()

    def parse(self, entry: Entry, data: bytes) -> Document:  # type: ignore[override]
        """Do it here."""
        with self.lock:
            return Deeds.parse(entry, data)


OPTIONS = SplitOptions(20, 0)


def assignments(source: Deeds) -> list[Assignment]:
    """Give what a source has, to be drafted."""
    drafter = Drafter(source, OPTIONS)
    entries = [entry for entry in source.listing() if isinstance(entry, Entry)]
    pairs = zip(entries, source.texts, strict=True)
    return [drafter.assignment(Loaded(entry, text.encode())) for entry, text in pairs]
