"""Pages of a site: those that a sitemap lists, or a single one."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Final

from contract.errors import DocumentError, UsageError
from producers.document import Document, Entry, Omission, Reason
from producers.parsing.formats import PARSERS, parse_with, parser_for_type
from producers.sources.glob import KeyGlob
from producers.web import robots, sitemap
from producers.web.address import Address
from producers.web.answers import content_type, stamp_of
from producers.web.fetching import Answer, Fetcher, Pace
from producers.web.pages import Pages, entry_of
from producers.web.robots import Robots

_VERSION: Final = 1
_LISTS: Final = (".xml", ".xml.gz", ".txt")
_XML: Final = (".xml", ".xml.gz")


class SiteSource:
    """Pages of one site.

    What the URL stands for is told by what is there: a sitemap, an index of sitemaps, a text of
    nothing but URLs, or else one document. Only pages of the same site are taken, and of those of
    a sitemap only what is below its folder, unless robots.txt calls it the sitemap of the site.

    Attributes:
        name: the source's name.
        shows_all: a page that a complete listing does not show is gone.
        complete: whether the last listing ran to its end and saw every sitemap.
        remote: itself, as its listing shows no stamps.
    """

    def __init__(
        self, name: str, start: Address, globs: tuple[KeyGlob, ...] = (), pace: Pace | None = None
    ) -> None:
        """Keep what to list; nothing is sent yet.

        Args:
            name: the source's name.
            start: where the listing begins.
            globs: a key must match them all.
            pace: how long to wait for what.
        """
        self.name = name
        self.shows_all = True
        self.complete = False
        self.remote = self
        self._start = start
        self._globs = globs
        self._pace = pace
        self._fetcher = Fetcher(start, pace)
        self._robots = Robots(start)
        self._only: bytes | None = b""
        """Key of the one page that is listed; None: all that sitemaps list. As long as nothing
        was listed, nothing is covered."""

    @property
    def origin(self) -> str:
        """The URL."""
        return self._start.url

    def covers(self, key_bytes: bytes) -> bool:
        """Tell whether the last listing would have shown this key if the page were there."""
        return key_bytes == self._only if self._only is not None else self._matches(key_bytes)

    def listing(self) -> Iterator[Entry | Omission]:
        """List the pages, each once; a sitemap that can't be had is reported, others go on.

        Raises:
            UnreachableError: the site does not answer.
            UsageError: there is nothing at the URL that can be listed or read.
        """
        self.complete, self._only = False, b""
        # Of its own, as a listing runs in a loop of its own, beside reading.
        fetcher = Fetcher(self._start, self._pace)
        self._robots = asyncio.run(_robots(fetcher, self._start))
        fetcher.may_fetch = self._fetcher.may_fetch = self._robots.allows
        first = self._first(fetcher)
        if first is None:
            page = entry_of(self._start, self._start)
            self._only = page.key_bytes
            yield page
            self.complete = True
            return
        self._only = None
        pages = Pages(self._start, self._robots, fetcher)
        for item in pages.listed(first):
            if self._matches(item.key_bytes):
                yield item
        self.complete = not pages.has_missed

    async def read(self, entry: Entry, max_bytes: int) -> bytes:
        """Give one page, with what its header says of it.

        Raises:
            DocumentError: it can't be had, is too big, or of a type that no parser knows.
            UnreachableError: the site does not answer any more.
        """
        data, _ = await self.read_stamped(entry, max_bytes)
        return data

    async def read_stamped(self, entry: Entry, max_bytes: int) -> tuple[bytes, str]:
        """Give one page, and its stamp.

        Raises:
            DocumentError: as of ``read``.
            UnreachableError: likewise.
        """

        def wants(address: Address, headers: Mapping[str, str]) -> bool:
            kind, _ = content_type(headers)
            if parser_for_type(kind, address.path) is None:
                raise DocumentError(Reason.UNKNOWN_TYPE, f"no parser knows {kind or 'its type'}")
            return True

        page = Address.parse(entry.path or "")
        answer = await self._fetcher.get(page, max_bytes, wants)
        kind, charset = content_type(answer.headers)
        # The bytes alone don't tell how to read them.
        head = f"{kind};{charset};{answer.address.path}\n".encode()
        return head + answer.body, stamp_of(answer.headers, answer.address.url)

    async def probe(self, entry: Entry) -> str:
        """Ask for the stamp of a page without its content; empty where that leads to none."""
        answer = await self._fetcher.head(Address.parse(entry.path or ""))
        return stamp_of(answer.headers, answer.address.url) if answer else ""

    def fingerprint(self, entry: Entry) -> str:  # noqa: ARG002 - only an answer tells the type
        """Name all parsers, with their versions."""
        versions = {parser.name: parser.version for parser in PARSERS.values()}
        return f"web-{_VERSION}." + ".".join(str(versions[name]) for name in sorted(versions))

    @staticmethod
    def parse(entry: Entry, data: bytes) -> Document:
        """Make a document of a page.

        Raises:
            DocumentError: it is binary, undecodable or blank.
        """
        head, _, body = data.partition(b"\n")
        kind, charset, path = head.decode().split(";", 2)
        parser = parser_for_type(kind, path)
        if parser is None:
            raise DocumentError(Reason.UNKNOWN_TYPE, f"no parser knows {kind or 'its type'}")
        document = parse_with(parser, entry.key, entry.key_bytes, body, charset)
        title = document.metadata["title"] or entry.path
        metadata = {**document.metadata, "title": title, "url": entry.path}
        return Document(
            document.key,
            document.key_bytes,
            document.text,
            metadata,
            document.outline,
            document.format,
        )

    def _first(self, fetcher: Fetcher) -> bytes | None:
        """Fetch what is at the URL; None when that is no list of pages."""
        start = self._start
        if not self._robots.allows(start):
            raise UsageError(f"{start.url}: robots.txt of the site forbids it")

        def wants(address: Address, headers: Mapping[str, str]) -> bool:
            kind, _ = content_type(headers)
            parser = parser_for_type(kind, address.path)
            return parser is None or kind in {"", "text/plain"} or _is_list(start)

        try:
            answer: Answer = asyncio.run(fetcher.get(start, sitemap.MOST_BYTES, wants))
            data = sitemap.unpacked(answer.body)
        except DocumentError as error:
            raise UsageError(str(error)) from error
        if sitemap.is_xml_sitemap(data) or sitemap.is_text_sitemap(data):
            return data
        if start.path.lower().endswith(_XML):
            raise UsageError(f"{start.url} is no sitemap: nothing was listed, nothing is deleted")
        return None

    def _matches(self, key_bytes: bytes) -> bool:
        key = key_bytes.decode(errors="replace")
        return all(glob.matches(key) for glob in self._globs)


def open_site(url: str, *, glob: str | None = None, name: str | None = None) -> SiteSource:
    """Make a source from a URL; nothing is sent.

    Args:
        url: http or https.
        glob: lists only pages whose key matches; one without a slash is about the last part.
        name: the source's name instead of host and path.

    Raises:
        UsageError: the URL is none that is taken.
    """
    start = Address.parse(url)
    path = start.folder if _is_list(start) else start.path
    globs = () if glob is None else (KeyGlob.floating(glob),)
    return SiteSource(name or f"{start.site}{path}".rstrip("/"), start, globs)


def _is_list(start: Address) -> bool:
    return start.path.lower().endswith(_LISTS)


async def _robots(fetcher: Fetcher, start: Address) -> Robots:
    """Read the rules of the site; a site that has none allows everything.

    Raises:
        UsageError: they can't be had: as RFC 9309 has it, nothing may be fetched then.
    """
    home = start.at("/robots.txt")
    try:
        answer = await fetcher.get(home, 8 * robots.MOST_BYTES)
    except DocumentError as error:
        if error.reason == Reason.GONE or "the server says 4" in error.message:
            return Robots(start)
        raise UsageError(f"{error}: without it nothing is fetched from this site") from error
    return Robots(start, answer.body)
