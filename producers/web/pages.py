"""The pages of a site, as its sitemaps list them."""

import asyncio
import re
from collections import deque
from collections.abc import Iterator
from typing import Final

from contract.errors import DocumentError, UsageError
from producers.document import Entry, Omission, Reason, printable
from producers.web import sitemap
from producers.web.address import Address
from producers.web.fetching import Fetcher
from producers.web.robots import Robots

_CREDENTIALS: Final = re.compile(r"//[^/?#]*@")
MOST_SITEMAPS: Final = 50_000
DEEPEST_INDEX: Final = 3
ASSUMED_BYTES: Final = 256 * 1024
"""Of a page, whose size no listing tells: so few are read at once that larger ones fit, too."""


class Pages:
    """Walks through a sitemap, and those that it names.

    Attributes:
        has_missed: whether there may be pages that were not listed.
    """

    def __init__(self, start: Address, robots: Robots, fetcher: Fetcher) -> None:
        """Prepare; nothing is sent yet.

        Args:
            start: where the first sitemap is.
            robots: rules of the site.
            fetcher: of the same site.
        """
        self.has_missed = False
        self._start = start
        self._robots = robots
        self._fetcher = fetcher

    def listed(self, first: bytes) -> Iterator[Entry | Omission]:
        """Give the pages, each once; a sitemap that can't be had is reported, others go on.

        Args:
            first: the sitemap of the start.
        """
        # As text sitemaps have no place of their own, they may name any page of the site.
        anywhere = not sitemap.is_xml_sitemap(first) or self._robots.names(self._start)
        waiting: deque[tuple[Address, int]] = deque([(self._start, 0)])
        known = {self._start}
        pages: set[str] = set()
        while waiting:
            at, depth = waiting.popleft()
            try:
                data = first if at == self._start else self._sitemap(at)
                for found in _read(data):
                    if found.is_sitemap:
                        more = self._index_line(at, found.location)
                        if isinstance(more, Omission):
                            yield more
                        elif more not in known and not (
                            depth < DEEPEST_INDEX and len(known) < MOST_SITEMAPS
                        ):
                            yield self._unreadable(more.url, "too many sitemaps within sitemaps")
                        elif more not in known:
                            known.add(more)
                            waiting.append((more, depth + 1))
                        continue
                    item = self._page(at, found, anywhere=anywhere)
                    if item.key not in pages:
                        pages.add(item.key)
                        yield item
            except DocumentError as error:
                yield self._unreadable(at.url, str(error))

    def _index_line(self, at: Address, location: str) -> Address | Omission:
        """Give a sitemap that an index names, if it is of this site."""
        try:
            address = at.join(location)
        except UsageError as error:
            return self._unreadable(location, str(error))
        if not self._start.is_home_of(address):
            return _left_out(location, Reason.OUTSIDE, "a sitemap of another site")
        return address

    def _page(self, at: Address, found: sitemap.Found, *, anywhere: bool) -> Entry | Omission:
        try:
            page = at.join(found.location)
        except UsageError as error:
            return _left_out(found.location, Reason.MALFORMED, str(error))
        if not self._start.is_home_of(page):
            return _left_out(page.url, Reason.OUTSIDE, "a page of another site")
        key = self._start.key_of(page)
        if not anywhere and not page.path.startswith(self._start.folder):
            return _left_out(
                key,
                Reason.OUTSIDE,
                f"it is not below {self._start.folder}, and robots.txt does not call this the "
                "sitemap of the site",
            )
        if not self._robots.allows(page):
            return _left_out(key, Reason.DISALLOWED, "robots.txt of the site forbids it")
        return entry_of(self._start, page, found.modified_ns)

    def _sitemap(self, at: Address) -> bytes:
        answer = asyncio.run(self._fetcher.get(at, sitemap.MOST_BYTES))
        return sitemap.unpacked(answer.body)

    def _unreadable(self, where: str, message: str) -> Omission:
        """Report a sitemap: what it lists is not known."""
        self.has_missed = True
        return _left_out(where, Reason.UNREADABLE, message)


def entry_of(start: Address, page: Address, modified_ns: int = 0) -> Entry:
    """Make an entry of a page.

    Args:
        start: where the listing began.
        page: of the same site.
        modified_ns: when the page was changed; 0: nobody said.
    """
    key = start.key_of(page)
    return Entry(key, key.encode(), page.url, ASSUMED_BYTES, modified_ns)


def _read(data: bytes) -> Iterator[sitemap.Found]:
    if sitemap.is_xml_sitemap(data):
        return sitemap.read_xml(data)
    if sitemap.is_text_sitemap(data):
        return sitemap.read_text(data)
    raise DocumentError(Reason.MALFORMED, "it is no sitemap")


def _left_out(where: str, reason: Reason, message: str) -> Omission:
    where = _CREDENTIALS.sub("//", where)
    key = printable(where.encode(errors="replace"))[:1_000]
    return Omission(key, reason, message, failed=reason.failed, key_bytes=key.encode())
