"""The folders of a source that listings have entered: what a key that is gone may have been."""

from collections.abc import Collection
from typing import TypeAlias

Identity: TypeAlias = tuple[int, int]
"""Device and inode, by which a folder is known whatever leads to it."""


class Folders:
    """Remembers folders by key, and which keys lead to the same one; never the files in them."""

    def __init__(self) -> None:
        """Know of none."""
        self._identities: dict[bytes, Identity] = {}
        self._first: dict[Identity, bytes] = {}
        self._others: dict[Identity, set[bytes]] = {}
        """Further keys of a folder: links lead to it."""

    def __contains__(self, key_bytes: bytes) -> bool:
        """Tell whether a listing has entered this folder; the root's key is empty."""
        return key_bytes in self._identities

    def enter(self, key_bytes: bytes, identity: Identity) -> None:
        """Note that a listing has entered a folder."""
        if self._identities.get(key_bytes) == identity:
            return
        self._drop(key_bytes)
        self._identities[key_bytes] = identity
        if self._first.setdefault(identity, key_bytes) != key_bytes:
            self._others.setdefault(identity, set()).add(key_bytes)

    def namesakes(self, key_bytes: bytes) -> Collection[bytes]:
        """Give all keys that lead to a folder, this one among them if it is known."""
        identity = self._identities.get(key_bytes)
        if identity is None:
            return ()
        return {self._first[identity], *self._others.get(identity, ())}

    def forget(self, key_bytes: bytes) -> None:
        """Forget a folder and all below it."""
        below = key_bytes + b"/"
        for key in list(self._identities):  # a listing in a thread may add to it
            if key == key_bytes or key.startswith(below):
                self._drop(key)

    def _drop(self, key_bytes: bytes) -> None:
        identity = self._identities.pop(key_bytes, None)
        if identity is None:
            return
        others = self._others.get(identity, set())
        others.discard(key_bytes)
        if self._first[identity] == key_bytes:
            if others:
                self._first[identity] = others.pop()
            else:
                del self._first[identity]
        if not others:
            self._others.pop(identity, None)
