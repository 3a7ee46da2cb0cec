"""Sitemaps: lists of a site's pages, as XML (sitemaps.org), or as text with one URL a line."""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from contract.errors import DocumentError
from producers.document import Reason

MOST_BYTES: Final = 64 * 1024 * 1024
"""Of one sitemap, unpacked; the protocol allows 50 MiB."""
_PIECE: Final = 65_536
_ROOT: Final = re.compile(rb"<(?:[\w.-]+:)?(urlset|sitemapindex)[\s/>]")
_OTHER: Final = re.compile(rb"\s*(?:<\?.*?\?>|<!--.*?-->|\s)*", re.DOTALL)
_HEAD_BYTES: Final = 65_536
_GZIP: Final = b"\x1f\x8b"
_MARK: Final = b"\xef\xbb\xbf"
_WEB: Final = re.compile(r"https?://\S+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Found:
    """One line of a sitemap."""

    location: str
    modified_ns: int = 0
    """When its page was changed, as the site says; 0: it does not."""
    is_sitemap: bool = False
    """Not a page, but another list of pages."""


def unpacked(data: bytes) -> bytes:
    """Unpack what is gzipped, whatever its name is.

    Raises:
        DocumentError: it is broken, or larger than a sitemap may be.
    """
    if not data.startswith(_GZIP):
        return data
    unpacking = zlib.decompressobj(wbits=31)
    try:
        plain = unpacking.decompress(data, MOST_BYTES + 1)
    except zlib.error as error:
        raise DocumentError(Reason.MALFORMED, f"it can't be unpacked: {error}") from error
    if len(plain) > MOST_BYTES:
        raise DocumentError(Reason.TOO_BIG, f"a sitemap has at most {MOST_BYTES} bytes, unpacked")
    if not unpacking.eof:
        raise DocumentError(Reason.MALFORMED, "it ends in the middle")
    return plain


def is_xml_sitemap(data: bytes) -> bool:
    """Tell by its first element whether XML is a sitemap, or an index of sitemaps."""
    head = data[:_HEAD_BYTES].removeprefix(_MARK)
    before = _OTHER.match(head)
    return _ROOT.match(head, before.end() if before else 0) is not None


def is_text_sitemap(data: bytes) -> bool:
    """Tell whether each line of a text is a URL, but for blank ones and comments."""
    try:
        lines = [line for line in _lines(data) if line]
    except UnicodeDecodeError:
        return False
    return bool(lines) and all(_WEB.fullmatch(line) for line in lines)


def read_text(data: bytes) -> Iterator[Found]:
    """Give the URLs of a text."""
    return (Found(line) for line in _lines(data) if line)


def read_xml(data: bytes) -> Iterator[Found]:
    """Give what a sitemap lists, as far as it can be read; memory does not grow with it.

    Entities are not expanded, nothing is fetched.

    Raises:
        DocumentError: it is broken or cut off; what came before was given.
    """
    # Imported once it is needed: that takes time for which other sources need not wait.
    from lxml import etree  # noqa: PLC0415

    parser = etree.XMLPullParser(
        events=("end",), resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
    )
    try:
        for start in range(0, len(data), _PIECE):
            parser.feed(data[start : start + _PIECE])
            yield from _found(parser)
        parser.close()
    except etree.XMLSyntaxError as error:
        raise DocumentError(
            Reason.MALFORMED, f"this sitemap is broken or cut off: {error.msg}"
        ) from error
    yield from _found(parser)


def _found(parser: Any) -> Iterator[Found]:
    for _, element in parser.read_events():
        name = _local(element)
        if name not in {"url", "sitemap"}:
            continue
        texts = {_local(child): (child.text or "").strip() for child in element}
        if texts.get("loc"):
            yield Found(texts["loc"], _nanoseconds(texts.get("lastmod", "")), name == "sitemap")
        parent = element.getparent()
        if parent is not None:
            parent.remove(element)


def _local(element: Any) -> str:
    """Name an element without its namespace; those of other vocabularies (images) keep theirs."""
    if not isinstance(element.tag, str):
        return ""  # a comment
    namespace, _, name = element.tag.rpartition("}")
    return name if not namespace or "/sitemap" in namespace.lower() else element.tag


def _nanoseconds(text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return 0
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return round(at.timestamp()) * 1_000_000_000


def _lines(data: bytes) -> Iterator[str]:
    """Give the lines of a text, stripped, comments as empty ones."""
    for line in data.decode("utf-8-sig").splitlines():
        stripped = line.strip()
        yield "" if stripped.startswith("#") else stripped
