"""Fetching from servers that are slow, broken or hostile."""

import asyncio
import gzip
import time
import tracemalloc

import pytest

from contract.errors import DocumentError, UnreachableError
from producers.document import Reason
from producers.web.address import Address
from producers.web.fetching import MOST_SILENCES, REQUESTS_AT_ONCE, Fetcher, Pace
from tests.servers.site import Page, Site

_QUICK = Pace(connect_seconds=0.5, read_seconds=0.3, whole_seconds=0.6, backoff_seconds=0.01)
_MOST = 10_000


def _fetcher(site: Site, pace: Pace = _QUICK) -> Fetcher:
    return Fetcher(Address.parse(site.url), pace)


async def _get(site: Site, path: str, most: int = _MOST) -> bytes:
    return (await _fetcher(site).get(Address.parse(site.url + path), most)).body


async def _refused(site: Site, path: str, most: int = _MOST) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        await _get(site, path, most)
    return caught.value


async def test_a_page_is_fetched_and_says_who_asks(site: Site) -> None:
    """Packed or not."""
    site.put("/a", "text " * 500)
    site.put("/b", "text " * 500, is_packed=True)
    assert await _get(site, "/a") == await _get(site, "/b") == b"text " * 500
    assert site.body_bytes < 3_000
    assert {agent.partition("/")[0] for agent in site.agents} == {"headrace"}


async def test_trouble_that_passes_is_tried_again(site: Site) -> None:
    """A few times; then the page can't be had."""
    site.put("/a", "text", statuses=[503, 500])
    assert await _get(site, "/a") == b"text"
    assert site.asked["GET /a"] == 3
    site.put("/b", "text", statuses=[502] * 3)
    assert (await _refused(site, "/b")).reason == Reason.UNREADABLE
    site.put("/c", "text", status=403)
    assert "403" in (await _refused(site, "/c")).message
    assert site.asked["GET /c"] == 1


async def test_what_is_gone(site: Site) -> None:
    """Is said by the server, and is nothing else."""
    site.put("/a", "", status=410)
    for path in ("/a", "/never"):
        assert (await _refused(site, path)).reason == Reason.GONE
        assert site.asked[f"GET {path}"] == 1


async def test_a_server_that_asks_to_wait_is_waited_for(site: Site) -> None:
    """By all requests; but not for ever."""
    site.put("/a", "text", statuses=[429], headers={"Retry-After": "1"})
    site.put("/b", "text")
    fetcher = _fetcher(site)
    begun = time.monotonic()
    first = asyncio.create_task(fetcher.get(Address.parse(f"{site.url}/a"), _MOST))
    while not site.asked["GET /a"]:  # noqa: ASYNC110 - the site tells in another thread
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    await fetcher.get(Address.parse(f"{site.url}/b"), _MOST)
    assert time.monotonic() - begun > 0.9
    await first
    site.put("/c", "text", statuses=[503], headers={"Retry-After": "3600"})
    assert "3600 s" in (await _refused(site, "/c")).message


@pytest.mark.parametrize("is_packed", [True, False])
async def test_no_more_is_read_than_is_allowed(site: Site, *, is_packed: bool) -> None:
    """Of a bomb that is small as it is sent, too."""
    site.put("/a", "x" * 10_000_000, is_packed=is_packed)
    assert (await _refused(site, "/a")).reason == Reason.TOO_BIG
    assert await _get(site, "/a", 10_000_000) == b"x" * 10_000_000


async def test_a_bomb_takes_no_memory(site: Site) -> None:
    """Though one piece of what is sent becomes 50 MB."""
    site.pages["/a"] = Page(gzip.compress(bytes(50_000_000)), headers={"Content-Encoding": "gzip"})
    tracemalloc.start()
    try:
        assert (await _refused(site, "/a")).reason == Reason.TOO_BIG
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("is_packed", [True, False])
async def test_an_answer_that_is_cut_off_is_none(site: Site, *, is_packed: bool) -> None:
    """Half a page must not replace a whole one."""
    site.put("/a", "x" * 1_000, is_packed=is_packed, cut_at=10)
    assert (await _refused(site, "/a")).reason == Reason.UNREADABLE
    assert site.asked["GET /a"] == 3
    length = {"Content-Length": "20"}
    site.put("/b", "x" * 1_000, is_packed=is_packed, cut_at=20, headers=length)
    assert is_packed is False or (await _refused(site, "/b")).reason == Reason.UNREADABLE


async def test_packings_that_nobody_asked_for(site: Site) -> None:
    """Are not unpacked."""
    site.put("/a", "x", headers={"Content-Encoding": "zstd"})
    assert "zstd" in (await _refused(site, "/a")).message


async def test_a_body_that_trickles_ends_in_time(site: Site) -> None:
    """Each byte comes soon enough, but the whole does not."""
    site.put("/a", "x" * 1_000, drip_seconds=0.02)
    begun = time.monotonic()
    assert "not through" in (await _refused(site, "/a")).message
    assert time.monotonic() - begun < 2


async def test_redirects_stay_within_the_site(site: Site) -> None:
    """And are not followed for ever: no page has us ask another machine."""
    for path, target in {
        "/a": "/b",
        "/loop": "/loop",
        "/away": "http://localhost:1/secret",
        "/meta": "http://169.254.169.254/latest",
        "/file": "file:///etc/passwd",
        "/pass": "http://me:s3cret@127.0.0.1/",
    }.items():
        site.put(path, "", status=302, headers={"Location": target})
    site.put("/b", "text")
    answer = await _fetcher(site).get(Address.parse(f"{site.url}/a"), _MOST)
    assert (answer.body, answer.address.path) == (b"text", "/b")
    for path, said in {
        "/loop": "redirects",
        "/away": "another site",
        "/meta": "another site",
        "/file": "file",
        "/pass": "without them",
    }.items():
        message = (await _refused(site, path)).message
        assert said in message
        assert "s3cret" not in message


async def test_a_redirect_to_what_robots_forbid(site: Site) -> None:
    """Is not followed."""
    site.put("/a", "", status=301, headers={"Location": "/b"})
    fetcher = _fetcher(site)
    fetcher.may_fetch = lambda address: address.path != "/b"
    with pytest.raises(DocumentError) as caught:
        await fetcher.get(Address.parse(f"{site.url}/a"), _MOST)
    assert caught.value.reason == Reason.DISALLOWED
    assert not site.asked["GET /b"]


async def test_few_requests_at_once(site: Site) -> None:
    """However many pages are wanted."""
    for number in range(40):
        site.put(f"/{number}", "xx", drip_seconds=0.01)
    fetcher = _fetcher(site)
    await asyncio.gather(
        *(fetcher.get(Address.parse(f"{site.url}/{number}"), _MOST) for number in range(40))
    )
    assert 1 < site.most_at_once <= REQUESTS_AT_ONCE


async def test_a_site_that_is_away_ends_it() -> None:
    """Rather than making a dead letter of each of its pages."""
    home = Address.parse("http://127.0.0.1:9/")
    fetcher = Fetcher(home, _QUICK)
    for _ in range(MOST_SILENCES):
        with pytest.raises(DocumentError):
            await fetcher.get(home, _MOST)
    with pytest.raises(UnreachableError):
        await fetcher.get(home, _MOST)


async def test_headers_alone(site: Site) -> None:
    """Cost no body, and nothing where they can't be had."""
    site.put("/a", "text")
    site.put("/b", "", status=405)
    site.put("/c", "", statuses=[503])
    fetcher = _fetcher(site)
    answer = await fetcher.head(Address.parse(f"{site.url}/a"))
    assert answer is not None
    assert answer.headers["etag"] == site.pages["/a"].etag
    for path in ("/b", "/c", "/never"):
        assert await fetcher.head(Address.parse(site.url + path)) is None
    assert site.body_bytes == 0


async def test_cancelled_it_lets_go(site: Site) -> None:
    """At once, and leaves no connection open."""
    site.put("/a", "x" * 1_000, drip_seconds=0.05)
    fetcher = _fetcher(site, Pace())
    task = asyncio.create_task(fetcher.get(Address.parse(f"{site.url}/a"), _MOST))
    while not site.asked["GET /a"]:  # noqa: ASYNC110 - the site tells in another thread
        await asyncio.sleep(0.01)
    task.cancel()
    begun = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - begun < 0.5
