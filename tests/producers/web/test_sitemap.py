"""Sitemaps as sites have them."""

import gzip

import pytest

from contract.errors import DocumentError
from producers.web import sitemap
from producers.web.address import Address
from producers.web.robots import Robots
from producers.web.sitemap import (
    Found,
    is_text_sitemap,
    is_xml_sitemap,
    read_text,
    read_xml,
    unpacked,
)

_SITEMAP = b"""<?xml version="1.0" encoding="UTF-8"?>
<!-- made by hand -->
<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"
        xmlns:image="http://www.google.com/schemas/sitemap-image/1.1">
<url><loc> https://a.example/x?a=1&amp;b=2 </loc><lastmod>2026-11-03</lastmod>
<image:image><image:loc>https://a.example/i.png</image:loc></image:image></url>
<url><loc>https://a.example/y</loc><lastmod>2026-11-03T10:00:00+01:00</lastmod></url>
<url><lastmod>nonsense</lastmod></url><url><loc>/z</loc><lastmod>nonsense</lastmod></url>
</urlset>"""
_DAY_NS = 1_793_664_000 * 10**9


def test_pages_with_their_times() -> None:
    """Those of other vocabularies are no pages."""
    assert is_xml_sitemap(_SITEMAP)
    assert list(read_xml(_SITEMAP)) == [
        Found("https://a.example/x?a=1&b=2", _DAY_NS),
        Found("https://a.example/y", _DAY_NS + 9 * 3_600 * 10**9),
        Found("/z"),
    ]


def test_an_index_names_sitemaps() -> None:
    """Also without a namespace."""
    index = b"<sitemapindex><sitemap><loc>/one.xml</loc></sitemap></sitemapindex>"
    assert list(read_xml(index)) == [Found("/one.xml", 0, is_sitemap=True)]


def test_a_sitemap_that_is_cut_off_says_so_after_what_it_has() -> None:
    """So that the listing counts as incomplete."""
    found: list[Found] = []
    with pytest.raises(DocumentError, match="cut off"):
        found.extend(read_xml(_SITEMAP[:-20]))
    assert len(found) <= 3
    for end in range(len(_SITEMAP) - 1):
        with pytest.raises(DocumentError):
            list(read_xml(_SITEMAP[:end]))


def test_entities_are_not_expanded() -> None:
    """Neither files nor laughs."""
    bomb = b"""<!DOCTYPE urlset [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">
    <!ENTITY f SYSTEM "file:///etc/hostname">]>
    <urlset><url><loc>/&b;</loc></url><url><loc>/&f;</loc></url></urlset>"""
    assert {found.location for found in read_xml(bomb)} <= {"/"}


@pytest.mark.parametrize(
    ("data", "is_list"),
    [
        (b"https://a.example/x\n\nhttp://a.example/y\r\n# a comment\n", True),
        (b"\xef\xbb\xbfhttps://a.example/x", True),
        (b"See https://a.example/x", False),
        (b"https://a.example/x and more", False),
        (b"", False),
        (b"# nothing\n", False),
        (b"https://a.example/\xff", False),
        (_SITEMAP, False),
    ],
)
def test_a_text_of_nothing_but_urls(data: bytes, *, is_list: bool) -> None:
    """Is a list; any other is a document."""
    assert is_text_sitemap(data) is is_list
    if is_list:
        assert next(iter(read_text(data))).location == "https://a.example/x"


@pytest.mark.parametrize("data", [b"<html><urlset>", b"<rss></rss>", b"", b"<!-- <urlset> -->"])
def test_what_is_no_sitemap(data: bytes) -> None:
    """Its first element tells."""
    assert not is_xml_sitemap(data)


def test_packed_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever they are called; bounded as they unpack, and whole."""
    packed = gzip.compress(_SITEMAP)
    assert unpacked(packed) == unpacked(_SITEMAP) == _SITEMAP
    for broken in (packed[:-4], packed[:40] + b"xxxx" + packed[44:]):
        with pytest.raises(DocumentError):
            unpacked(broken)
    monkeypatch.setattr(sitemap, "MOST_BYTES", 100)
    with pytest.raises(DocumentError):
        unpacked(packed)


def test_robots() -> None:
    """Rules for us or for all, and which sitemap is the site's."""
    home = Address.parse("https://a.example/")
    rules = b"""User-agent: *\nDisallow: /private\n
User-agent: headrace\nDisallow: /cgi\n
Sitemap: https://a.example/maps/index.xml\nSitemap: https://b.example/x.xml\n"""
    robots = Robots(home, rules)
    assert robots.allows(home.at("/private"))
    assert not robots.allows(home.at("/cgi/x"))
    assert robots.names(home.at("/maps/index.xml"))
    assert not robots.names(home.at("/x.xml"))
    assert not Robots(home, b"User-agent: *\nDisallow: /").allows(home.at("/a"))
    for nothing in (b"", b"\xff\xfe\0", b"<html>not here</html>"):
        assert Robots(home, nothing).allows(home.at("/a"))
