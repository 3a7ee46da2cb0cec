"""HTML: the text that a reader of the page is there for, with its headings.

By libxml2's parser, one event after the other: no tree is made, so memory grows with the text and
not with the tags, and no depth of nesting is too much for the stack.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from contract.errors import DocumentError
from producers.document import Heading, Reading, Reason
from producers.parsing.text import as_title

DEEPEST: Final = 512
"""Elements in one another, as in browsers: an end tag is looked for in all that are open, so the
time that a hostile page takes grows with the depth."""
MOST_ELEMENTS: Final = 2_000_000

_PIECE: Final = 65_536
_BREAK: Final = "\0"
"""Stands for a line break within a block; text has none of its own."""
_CELL: Final = "\x01"

_WITHIN: Final = {"br": _BREAK, "td": _CELL, "th": _CELL}
_HEADINGS: Final = {f"h{level}": level for level in range(1, 7)}
# What is no text, or is on each page of a site alike.
_DROPPED: Final = frozenset(
    {
        *("script", "style", "noscript", "template", "svg", "iframe", "object", "canvas"),
        *("audio", "video", "select", "button", "textarea", "dialog", "nav", "aside", "datalist"),
    }
)
_FRAME: Final = frozenset({"header", "footer"})
_FRAME_ROLES: Final = frozenset({"navigation", "banner", "contentinfo", "search", "complementary"})
_ANCHORS: Final = frozenset({"headerlink", "hash-link", "anchor-link", "anchorjs-link"})
_BLOCKS: Final = frozenset(
    {
        *("address", "article", "blockquote", "body", "center", "dd", "details", "div", "dl", "dt"),
        *("fieldset", "figcaption", "figure", "footer", "form", "header", "hgroup", "hr", "li"),
        *("legend", "main", "ol", "p", "pre", "section", "summary", "table", "tbody", "tfoot"),
        *("thead", "tr", "ul", "caption", *_HEADINGS),
    }
)
_CLOSE: Final = frozenset({"li", "tr", "dt", "dd"})
_DECLARED: Final = re.compile(
    rb"""<meta\s[^>]{0,500}?charset\s*=\s*["']?\s*([A-Za-z0-9._:-]{1,40})""", re.IGNORECASE
)
_DECLARED_WITHIN: Final = 4_096


def declared_charset(data: bytes) -> str:
    """Give the charset that a page says of itself; empty if it says none."""
    found = _DECLARED.search(data[:_DECLARED_WITHIN])
    return found[1].decode().lower() if found else ""


def read(text: str) -> Reading:
    """Read the main text, its headings and the title.

    Main is what ``main`` or ``article`` encloses, else everything but navigation, header and
    footer. Of code the layout is kept; all else is a paragraph, an item or a row.

    Raises:
        DocumentError: elements are nested too deep, or too many.
    """
    # Imported once it is needed: that takes time for which other formats need not wait.
    from lxml import etree  # noqa: PLC0415

    page = _Page()
    parser: Any = etree.HTMLParser(target=page, encoding="utf-8", huge_tree=True, recover=True)
    try:
        for start in range(0, len(text), _PIECE):
            parser.feed(text[start : start + _PIECE].encode())
        parser.close()
    except etree.XMLSyntaxError:
        pass  # nothing in it that is an element: what came so far is all
    return page.reading()


@dataclass(frozen=True, slots=True)
class _Block:
    text: str
    level: int
    """0: no heading."""
    is_main: bool
    is_close: bool
    """Follows one of its kind without a blank line."""


class _Page:
    """Takes the events of the parser."""

    def __init__(self) -> None:
        self._open: list[str] = []
        self._elements = 0
        self._dropped_at = 0
        """Depth of the element whose content is dropped; 0: none is."""
        self._main_at = 0
        self._pre_at = 0
        self._in_title = False
        self._title: list[str] = []
        self._pieces: list[str] = []
        self._level = 0
        self._item = ""
        self._blocks: list[_Block] = []

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        self._open.append(tag)
        self._elements += 1
        if self._elements > MOST_ELEMENTS:
            raise DocumentError(Reason.TOO_BIG, f"more than {MOST_ELEMENTS} elements are in it")
        depth = len(self._open)
        if depth > DEEPEST:
            raise DocumentError(
                Reason.MALFORMED, f"more than {DEEPEST} elements are nested in one another"
            )
        if self._dropped_at:
            return
        if self._is_dropped(tag, attributes):
            self._dropped_at = depth
            return
        if tag in _BLOCKS:
            self._flush()
            self._level = _HEADINGS.get(tag, 0)
            self._item = tag if tag in _CLOSE else self._item
        elif tag == "title":
            self._in_title = not self._title
        elif tag in _WITHIN:
            self._pieces.append("\n" if self._pre_at else _WITHIN[tag])
        self._note_place(tag, attributes, depth)

    def _note_place(self, tag: str, attributes: Mapping[str, str], depth: int) -> None:
        if not self._main_at and (tag in {"main", "article"} or attributes.get("role") == "main"):
            self._flush()
            self._main_at = depth
        if tag == "pre" and not self._pre_at:
            self._pre_at = depth

    def end(self, tag: str) -> None:
        depth = len(self._open)
        if self._dropped_at:
            if depth == self._dropped_at:
                self._dropped_at = 0
        else:
            if tag in _BLOCKS or depth == self._main_at:
                self._flush()
                self._level = 0
                self._item = "" if tag in _CLOSE else self._item
            if tag == "title":
                self._in_title = False
            self._main_at = 0 if depth == self._main_at else self._main_at
            self._pre_at = 0 if depth == self._pre_at else self._pre_at
        self._open.pop()

    def data(self, text: str) -> None:
        if self._in_title:
            self._title.append(text)
        elif not self._dropped_at:
            self._pieces.append(text)

    def comment(self, text: str) -> None:
        """Pass it over."""

    def pi(self, target: str, text: str | None = None) -> None:
        """Pass it over."""

    def close(self) -> None:
        self._flush()

    def _is_dropped(self, tag: str, attributes: Mapping[str, str]) -> bool:
        if tag in _DROPPED or "hidden" in attributes:
            return True
        if tag == "a" and not _ANCHORS.isdisjoint(attributes.get("class", "").split()):
            return True
        return not self._main_at and (tag in _FRAME or attributes.get("role") in _FRAME_ROLES)

    def _flush(self) -> None:
        """End a block, if there is something in it."""
        if not self._pieces:
            return
        raw = "".join(self._pieces)
        self._pieces.clear()
        if self._pre_at:
            text = raw.replace(_BREAK, "\n").replace(_CELL, "").strip("\n").rstrip()
        else:
            lines = (" ".join(line.split()) for line in raw.split(_BREAK))
            text = "\n".join(line for line in lines if line)
        cells = [cell.strip() for cell in text.split(_CELL)]
        text = " | ".join(cell for cell in cells if cell)
        if not text:
            return
        if self._level:
            text = as_title(text)
        elif self._item == "li":
            text = f"- {text}"
        self._blocks.append(_Block(text, self._level, bool(self._main_at), bool(self._item)))
        self._item = " " if self._item else ""  # a further paragraph of the item has no dash

    def reading(self) -> Reading:
        self._flush()
        main = [block for block in self._blocks if block.is_main]
        parts: list[str] = []
        outline: list[Heading] = []
        at, after_close = 0, False
        for block in main or self._blocks:
            if parts:
                gap = "\n" if block.is_close and after_close else "\n\n"
                parts.append(gap)
                at += len(gap)
            if block.level:
                outline.append(Heading(at, block.level, block.text))
            parts.append(block.text)
            at += len(block.text)
            after_close = block.is_close
        title = as_title("".join(self._title)) or (outline[0].title if outline else "")
        return Reading(title or None, tuple(outline), {}, "".join(parts))
