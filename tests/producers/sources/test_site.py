"""Promises of a site as a source: what is listed, what is read, what is deleted."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from contract.errors import GuardError, UsageError
from contract.ledger.records import Outcome
from headrace.dry_run import DryRun
from producers.deleting import Deletions
from producers.document import Entry, Omission, Reason
from producers.producer import Producer
from producers.sources.shard import Remainder, Shard
from producers.sources.site import SiteSource, open_site
from producers.sources.source import Source
from producers.web.address import Address
from producers.web.fetching import Pace
from tests.producers.mill import COLLECTION, Mill
from tests.servers.site import DATE, Page, Site, running_site

_QUICK = Pace(connect_seconds=0.5, read_seconds=1.0, whole_seconds=2.0, backoff_seconds=0.01)
_NAMES = ("a", "b", "c", "d", "e", "f")


@pytest.fixture
def site() -> Iterator[Site]:
    """Run a site of six pages, and a sitemap of them."""
    with running_site() as site:
        for name in _NAMES:
            site.put(f"/docs/{name}", f"<p>page {name}")
        site.write_sitemap(*(f"/docs/{name}" for name in _NAMES), at="/docs/sitemap.xml")
        yield site


def _open(site: Site, path: str = "/docs/sitemap.xml") -> SiteSource:
    return SiteSource("site", Address.parse(site.url + path), pace=_QUICK)


async def _listed(source: Source) -> list[Entry | Omission]:
    return await asyncio.to_thread(lambda: list(source.listing()))


def _keys(items: Sequence[Entry | Omission]) -> list[str]:
    return [item.key for item in items if isinstance(item, Entry)]


def _left(items: Sequence[Entry | Omission]) -> dict[str, str]:
    return {item.key: item.reason for item in items if isinstance(item, Omission)}


async def test_a_sitemap_lists_its_pages(site: Site) -> None:
    """Once each, by where they are below it; nothing but it and robots.txt is fetched."""
    site.write_sitemap("/docs/a", "/docs/b/c?x=1", "/docs/a#part", "/docs/", at="/docs/sitemap.xml")
    source = _open(site)
    assert _keys(await _listed(source)) == ["a", "b/c?x=1", "./"]
    assert source.complete
    assert source.covers(b"a")
    assert sum(site.asked.values()) == 2


async def test_pages_of_strangers_are_left_out(site: Site) -> None:
    """Of other sites always, beside the sitemap unless robots.txt calls it the site's."""
    locations = [
        "/docs/a",
        "/other",
        "http://169.254.169.254/",
        "http://localhost:6379/",
        "ftp://x",
    ]
    lines = "".join(f"<url><loc>{location}</loc></url>" for location in locations)
    site.put("/docs/sitemap.xml", f"<urlset>{lines}</urlset>")
    source = _open(site)
    items = await _listed(source)
    assert _keys(items) == ["a"]
    assert list(_left(items).values()) == ["outside", "outside", "outside", "malformed"]
    assert source.complete
    site.put("/robots.txt", f"Sitemap: {site.url}/docs/sitemap.xml\n")
    assert _keys(await _listed(source)) == ["a", "/other"]
    site.put("/robots.txt", "User-agent: headrace\nDisallow: /docs/a\n")
    assert _left(await _listed(source))["a"] == "disallowed"
    site.put("/docs/sitemap.xml", "<urlset><url><loc>http://me:s3cret@x/a</loc></url></urlset>")
    assert _left(await _listed(source)) == {"http://x/a": "malformed"}


async def test_an_index_of_sitemaps(site: Site) -> None:
    """One that fails leaves the listing incomplete, and its pages alone."""
    lines = "".join(
        f"<sitemap><loc>{name}</loc></sitemap>"
        for name in ("sitemap-1.xml", "sitemap-2.xml.gz", "sitemap.xml", "http://b.example/s.xml")
    )
    site.put("/docs/sitemap.xml", f"<sitemapindex>{lines}</sitemapindex>")
    site.write_sitemap("/docs/a", at="/docs/sitemap-1.xml")
    site.write_sitemap("/docs/b", at="/docs/sitemap-2.xml.gz")
    source = _open(site)
    items = await _listed(source)
    assert _keys(items) == ["a", "b"]
    assert _left(items) == {"http://b.example/s.xml": "outside"}
    assert source.complete
    whole = site.pages["/docs/sitemap-2.xml.gz"]
    for broken in (Page(status=500), Page(status=404), Page(whole.body[:-9]), Page(b"<p>Log in")):
        site.pages["/docs/sitemap-2.xml.gz"] = broken
        items = await _listed(source)
        assert _keys(items)[0] == "a"
        assert _left(items)[f"{site.url}/docs/sitemap-2.xml.gz"] == "unreadable"
        assert not source.complete


async def test_a_text_of_urls_is_a_list(site: Site) -> None:
    """Of pages anywhere on the site; any other text is a document."""
    site.put("/pages.txt", f"{site.url}/docs/a\n{site.url}/x\n", kind="text/plain")
    source = _open(site, "/pages.txt")
    assert _keys(await _listed(source)) == ["docs/a", "x"]
    site.put("/pages.txt", f"See {site.url}/docs/a\n", kind="text/plain")
    assert _keys(await _listed(source)) == ["pages.txt"]
    assert source.complete
    assert not source.covers(b"docs/a"), "a list that is broken deletes nothing"


async def test_any_other_page_is_a_document(site: Site) -> None:
    """Whose body is fetched once, as it is read."""
    source = _open(site, "/docs/a")
    (entry,) = await _listed(source)
    assert isinstance(entry, Entry)
    assert (source.covers(b"a"), source.covers(b"b")) == (True, False)
    site.forget()
    document = source.parse(entry, await source.read(entry, 1_000))
    assert document.text == "page a"
    assert document.metadata["url"] == f"{site.url}/docs/a"
    assert site.asked == {"GET /docs/a": 1}


@pytest.mark.parametrize(
    "page",
    [Page(status=404), Page(status=500), Page(b"<html>Log in"), Page(b"<rss/>", "text/xml")],
)
async def test_a_site_without_its_sitemap_is_not_listed(site: Site, page: Page) -> None:
    """Nor taken for a document of that name, and nothing is covered."""
    source = _open(site)
    site.pages["/docs/sitemap.xml"] = page
    with pytest.raises(UsageError):
        await _listed(source)
    assert not source.complete
    assert not source.covers(b"a")


async def test_rules_that_cannot_be_had_forbid_everything(site: Site) -> None:
    """As RFC 9309 has it; a site that has none allows everything."""
    site.put("/robots.txt", "", status=500)
    with pytest.raises(UsageError, match="nothing is fetched"):
        await _listed(_open(site))
    for status in (401, 403, 404, 410):
        site.put("/robots.txt", "", status=status)
        assert len(await _listed(_open(site))) == len(_NAMES)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://a.example/docs/sitemap.xml", "a.example/docs"),
        ("https://a.example/sitemap.xml.gz", "a.example"),
        ("http://a.example:8080/pages.txt", "a.example:8080"),
        ("https://a.example/docs/a.html", "a.example/docs/a.html"),
        ("https://a.example/docs/", "a.example/docs"),
    ],
)
def test_names(url: str, name: str) -> None:
    """Host and path; of a list those of its folder."""
    source = open_site(url)
    assert (source.name, source.origin) == (name, url)
    assert open_site(url, name="mine").name == "mine"


def test_a_glob_chooses_pages() -> None:
    """By their keys."""
    source = open_site("https://a.example/sitemap.xml", glob="en/**")
    source._only = None
    assert source.covers(b"en/a/b")
    assert not source.covers(b"de/a")


@dataclass
class _Import:
    """Brings a site into a mill."""

    mill: Mill
    site: Site

    async def bring(
        self,
        deletions: Deletions = Deletions.GUARDED,
        *,
        source: Source | None = None,
        verify_contents: bool = False,
    ) -> Producer:
        """Import, with the counts of the site begun anew."""
        self.site.forget()
        made = Producer(
            self.mill.redis,
            self.mill.settings,
            source or _open(self.site),
            COLLECTION,
            deletions=deletions,
            verify_contents=verify_contents,
        )
        await self.mill.work(await self.mill.publish(made))
        return made

    @property
    def texts(self) -> list[str]:
        """What can be found."""
        return sorted(self.mill.rows.values())


@pytest.fixture
async def brought(mill: Mill, site: Site) -> _Import:
    """Give a site that was imported."""
    found = _Import(mill, site)
    await found.bring()
    assert site.asked_of_pages("GET") == len(_NAMES)
    assert site.asked_of_pages("HEAD") == 0
    return found


async def test_what_has_not_changed_costs_no_body(brought: _Import) -> None:
    """Only its headers; what has changed is fetched, and alone."""
    again = await brought.bring()
    assert again.tally.outcomes == {Outcome.UNCHANGED: len(_NAMES)}
    assert brought.site.asked_of_pages("GET") == 0
    assert brought.site.asked_of_pages("HEAD") == len(_NAMES)
    brought.site.put("/docs/b", "<p>page x")
    again = await brought.bring()
    assert again.tally.outcomes == {Outcome.UNCHANGED: len(_NAMES) - 1, Outcome.CHANGED: 1}
    assert brought.site.asked_of_pages("GET") == 1
    assert brought.texts == ["page a", "page c", "page d", "page e", "page f", "page x"]


async def test_verified_contents_are_fetched(brought: _Import) -> None:
    """All of them, also where the server's ETag lies."""
    lying = brought.site.pages["/docs/a"].etag
    brought.site.put("/docs/a", "<p>new a", headers={"ETag": lying}, has_etag=False)
    await brought.bring()
    assert "page a" in brought.texts
    await brought.bring(verify_contents=True)
    assert brought.site.asked_of_pages("HEAD") == 0
    assert "new a" in brought.texts
    assert "page a" not in brought.texts


async def test_a_server_that_tells_nothing_is_read_each_time(mill: Mill, site: Site) -> None:
    """And its pages are known by their hashes; times are enough where they are over."""
    for name in _NAMES:
        site.put(f"/docs/{name}", f"<p>page {name}", has_etag=False)
    importing = _Import(mill, site)
    await importing.bring()
    again = await importing.bring()
    assert again.tally.outcomes == {Outcome.UNCHANGED: len(_NAMES)}
    assert site.asked_of_pages("GET") == len(_NAMES)
    for page in site.pages.values():
        page.headers = {"Last-Modified": "Mon, 02 Nov 2026 10:00:00 GMT"}
    await importing.bring()
    await importing.bring()
    assert site.asked_of_pages("GET") == 0
    site.pages["/docs/a"].headers = {"Last-Modified": DATE}
    for _ in range(2):
        await importing.bring()
        assert site.asked_of_pages("GET") == 1


async def test_the_stamp_is_that_of_what_was_read(brought: _Import) -> None:
    """A server behind which some are late may answer the two questions differently."""
    source = _open(brought.site)
    (entry, *_) = await _listed(source)
    assert isinstance(entry, Entry)
    before = await source.probe(entry)
    brought.site.put("/docs/a", "<p>new a")
    _, stamp = await source.read_stamped(entry, 1_000)
    assert stamp != before
    assert stamp == await source.probe(entry)


async def test_a_page_that_the_sitemap_lists_no_more_is_deleted(brought: _Import) -> None:
    """And so is one that is gone, though it is listed."""
    brought.site.write_sitemap(*(f"/docs/{n}" for n in "abcde"), at="/docs/sitemap.xml")
    done = await brought.bring()
    assert done.tally.outcomes[Outcome.DELETED] == 1
    del brought.site.pages["/docs/e"]
    done = await brought.bring()
    assert done.tally.outcomes[Outcome.DELETED] == 1
    assert (done.tally.failed, done.tally.skipped) == (0, 1)
    assert brought.texts == ["page a", "page b", "page c", "page d"]


async def test_a_site_that_has_lost_its_pages_is_guarded(brought: _Import) -> None:
    """Be it by an empty sitemap, or by saying of each that it is not there."""
    for name in _NAMES:
        brought.site.pages[f"/docs/{name}"].status = 404
    with pytest.raises(GuardError):
        await brought.bring()
    brought.site.write_sitemap(at="/docs/sitemap.xml")
    with pytest.raises(GuardError):
        await brought.bring()
    assert len(brought.texts) == len(_NAMES)


async def test_a_page_that_fails_is_kept(brought: _Import) -> None:
    """It is a failure, and no deletion; it comes with the next import."""
    brought.site.put("/docs/a", "<p>new a", statuses=[500] * 8)
    done = await brought.bring(Deletions.ALLOWED)
    assert (done.tally.failed, done.tally.outcomes[Outcome.DELETED]) == (1, 0)
    assert "page a" in brought.texts
    brought.site.pages["/docs/a"].statuses.clear()
    await brought.bring()
    assert "new a" in brought.texts


@pytest.mark.parametrize("cut", [1, 40, 150])
async def test_a_sitemap_that_is_broken_deletes_nothing(brought: _Import, cut: int) -> None:
    """What it lists is brought all the same."""
    page = brought.site.pages["/docs/sitemap.xml"]
    page.body = page.body[:-cut]
    brought.site.put("/docs/a", "<p>new a")
    done = await brought.bring(Deletions.ALLOWED)
    assert done.tally.incomplete
    assert "new a" in brought.texts
    assert len(brought.texts) == len(_NAMES)
    letters = [letter.key async for letter in brought.mill.ledger.letters.scan()]
    assert letters == [f"{brought.site.url}/docs/sitemap.xml"]
    brought.site.write_sitemap(*(f"/docs/{n}" for n in _NAMES), at="/docs/sitemap.xml")
    await brought.bring()
    assert [letter.key async for letter in brought.mill.ledger.letters.scan()] == []


async def test_types_and_sizes(mill: Mill, site: Site) -> None:
    """By what the server says; what nobody can read is left out before its body comes."""
    site.put("/docs/a", "# Title\n\nmarked", kind="text/markdown")
    site.put("/docs/b", "%PDF" + "x" * 100, kind="application/pdf")
    site.put("/docs/c", "x" * 1_000_000)
    short = mill.settings.model_copy(update={"max_document_bytes": 10_000})
    mill.settings = short
    done = await _Import(mill, site).bring()
    reasons = {item.key: item.reason for item in done.tally.omissions}
    assert reasons == {"b": Reason.UNKNOWN_TYPE, "c": Reason.TOO_BIG}


async def test_shards_ask_only_for_their_own(brought: _Import) -> None:
    """Together for each page once; the remainder asks for none."""
    asked = 0
    for number in range(3):
        await brought.bring(source=Shard(_open(brought.site), number, 3))
        asked += brought.site.asked_of_pages("HEAD")
        assert brought.site.asked_of_pages("GET") == 0
    assert asked == len(_NAMES)
    remainder = Remainder(_open(brought.site))
    assert _keys(await _listed(remainder)) == []
    assert remainder.complete


async def test_a_dry_run_changes_nothing(brought: _Import) -> None:
    """And tells of what is new, changed and gone, by the same questions."""
    site, mill = brought.site, brought.mill
    site.put("/docs/a", "<p>new a")
    site.put("/docs/g", "<p>page g")
    site.write_sitemap(*(f"/docs/{n}" for n in "abcdeg"), at="/docs/sitemap.xml")
    site.forget()
    look = DryRun(mill.settings, _open(site), COLLECTION, mill.ledger.promises)
    forecast = await look.look()
    assert (forecast.new, forecast.changed, forecast.deleted, forecast.unchanged) == (1, 1, 1, 4)
    assert site.asked_of_pages("GET") == 2
