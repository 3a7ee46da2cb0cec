"""What the headers of an answer say of a page: its type, its encoding, and its state."""

import re
from collections.abc import Mapping
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Final

STRONG_SECONDS: Final = 60
"""A page that was changed less than this before it was sent may change again in the same second
(as RFC 9110 has it): its time is not trusted."""

_ETAG: Final = re.compile(r'(?:W/)?"([\x21\x23-\x7e\x80-\xff]{1,500})"')
_COMPRESSED: Final = re.compile(r"[-;](?:gzip|br|zstd|df)$")


def stamp_of(headers: Mapping[str, str], url: str) -> str:
    """Name the state of a page; empty where the headers tell none that can be trusted.

    A weak ETag promises the same meaning, which is what a search is about. What servers add to
    one when they compress is taken off, as an answer without a body may lack it.

    Args:
        headers: by their lower-case names.
        url: where the answer came from, after redirects.
    """
    kind = headers.get("content-type", "")
    if etag := _ETAG.fullmatch(headers.get("etag", "").strip()):
        return f"{url} {kind} etag {_COMPRESSED.sub('', etag[1])}"
    modified = _seconds(headers.get("last-modified", ""))
    sent = _seconds(headers.get("date", ""))
    if modified is not None and sent is not None and sent - modified >= STRONG_SECONDS:
        return f"{url} {kind} modified {modified}"
    return ""


def content_type(headers: Mapping[str, str]) -> tuple[str, str]:
    """Give the media type and the charset, in lower case; empty where they are not told."""
    message = Message()
    message["content-type"] = headers.get("content-type", "")[:500]
    kind = message.get_content_type() if headers.get("content-type", "").strip() else ""
    charset = str(message.get_param("charset", "")).lower()
    return kind, charset if re.fullmatch(r"[a-z0-9._:-]{1,40}", charset) else ""


def retry_after_seconds(headers: Mapping[str, str], unix_time_seconds: float) -> float | None:
    """Tell how long a server asks to wait; None if it does not say."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    at = _seconds(value)
    return None if at is None else max(at - unix_time_seconds, 0.0)


def _seconds(value: str) -> float | None:
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError, TypeError):
        return None
