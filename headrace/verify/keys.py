"""A document's key from the path that its rows carry. Pure."""

import re
from collections.abc import Callable

from contract.ids import document_id

_ESCAPE = re.compile(r"\\x([0-9a-f]{2})|\\u([0-9a-f]{4})|\\U([0-9a-f]{8})|\\([ntr])")
_CONTROLS = {"n": b"\n", "t": b"\t", "r": b"\r"}


def key_of(source: str, path: str, document: str) -> bytes:
    """Find the exact bytes of a document's key; the id proves them.

    Rows carry the path as people read it, where bytes that can't be shown are escaped. Where
    no spelling of it gives the id (a program's own metadata may name another path), the path
    itself is given: no import takes such a document for another one.
    """
    plain = path.encode()
    for key in (plain, *_unescaped(path)):
        if document_id(source, key) == document:
            return key
    return plain


def _unescaped(path: str) -> tuple[bytes, bytes]:
    r"""Take escapes for what they stand for: ``\xef`` as a byte, or as a character."""

    def character(match: re.Match[str]) -> bytes:
        digits = match[1] or match[2] or match[3]
        if digits is None:
            return _CONTROLS[match[4]]
        return chr(int(digits, 16)).encode("utf-8", "surrogatepass")

    def byte(match: re.Match[str]) -> bytes:
        return bytes.fromhex(match[1]) if match[1] else character(match)

    return _replaced(path, byte), _replaced(path, character)


def _replaced(path: str, meaning: Callable[[re.Match[str]], bytes]) -> bytes:
    parts, at = [], 0
    for match in _ESCAPE.finditer(path):
        parts += [path[at : match.start()].encode(), meaning(match)]
        at = match.end()
    return b"".join([*parts, path[at:].encode()])
