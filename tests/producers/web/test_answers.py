"""What headers say of a page."""

import pytest

from producers.web.answers import content_type, retry_after_seconds, stamp_of

_DATE = "Tue, 03 Nov 2026 10:00:00 GMT"


def _stamp(**headers: str) -> str:
    return stamp_of({name.replace("_", "-"): value for name, value in headers.items()}, "u")


def test_stamps_that_are_trusted() -> None:
    """An ETag, weak or strong, packed or not; else a time that is over."""
    assert _stamp(etag='"a1"') == _stamp(etag='W/"a1"') == _stamp(etag='"a1-gzip"')
    assert _stamp(etag='"a1"') != _stamp(etag='"a2"')
    assert _stamp(etag='"a1"') != _stamp(etag='"a1"', content_type="text/plain")
    old = "Tue, 03 Nov 2026 09:00:00 GMT"
    assert _stamp(last_modified=old, date=_DATE)
    assert _stamp(etag='"a1"', last_modified=old, date=_DATE) == _stamp(etag='"a1"')


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"etag": ""},
        {"etag": '""'},
        {"etag": "a1"},
        {"etag": '"' + "x" * 600 + '"'},
        {"last_modified": "Tue, 03 Nov 2026 09:59:30 GMT", "date": _DATE},
        {"last_modified": "Tue, 03 Nov 2026 11:00:00 GMT", "date": _DATE},
        {"last_modified": "Tue, 03 Nov 2026 09:00:00 GMT"},
        {"last_modified": "yesterday", "date": _DATE},
    ],
)
def test_stamps_that_are_not(headers: dict[str, str]) -> None:
    """Then the page is read."""
    assert _stamp(**headers) == ""


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("text/html; charset=UTF-8", ("text/html", "utf-8")),
        ('TEXT/HTML;charset="koi8-r"', ("text/html", "koi8-r")),
        ("text/plain", ("text/plain", "")),
        ("", ("", "")),
        ("text/html; charset=a;b\nc", ("text/html", "a")),
    ],
)
def test_types(header: str, found: tuple[str, str]) -> None:
    """In lower case, with nothing in them that could break a line."""
    assert content_type({"content-type": header}) == found


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), ("Tue, 03 Nov 2026 10:00:09 GMT", 9.0), (_DATE, 0.0), ("", None), ("soon", None)],
)
def test_how_long_to_wait(value: str, seconds: float | None) -> None:
    """In seconds, or until a time."""
    assert retry_after_seconds({"retry-after": value}, 1_793_700_000.0) == seconds
