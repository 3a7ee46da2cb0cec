"""Which URLs are taken, and what pages are called."""

import pytest

from contract.errors import UsageError
from producers.web.address import Address, is_url


@pytest.mark.parametrize(
    ("url", "spelt"),
    [
        ("HTTP://Example.ORG", "http://example.org/"),
        ("https://example.org:443/a/../b/./c?x=1#part", "https://example.org/b/c?x=1"),
        ("http://example.org:8080/a b".replace(" ", "%20"), "http://example.org:8080/a%20b"),
        ("https://bücher.example/größe", "https://xn--bcher-kva.example/gr%C3%B6%C3%9Fe"),
        ("http://[::0:1]:80/", "http://[::1]/"),
        ("http://example.org//a", "http://example.org//a"),
    ],
)
def test_a_page_is_spelt_in_one_way(url: str, spelt: str) -> None:
    """And that again gives the same."""
    assert Address.parse(url).url == spelt
    assert Address.parse(spelt).url == spelt


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://example.org/", "file:///etc/passwd", "http://", "http:///a", "http://a:x/"),
        *("http://a b/", "http://a\n/", "http://exa%6dple/", "http://a\\@b/", "http://[x]/"),
        *("//a/b", "", "http://" + "a" * 3_000),
    ],
)
def test_others_are_refused(url: str) -> None:
    """Before anything is sent."""
    with pytest.raises(UsageError):
        Address.parse(url)


@pytest.mark.parametrize("url", ["https://me:s3cret@example.org/", "https://s3cret@example.org/"])
def test_a_password_is_refused_and_not_repeated(url: str) -> None:
    """It would end in names, logs and the ledger."""
    with pytest.raises(UsageError, match="without them") as caught:
        Address.parse(url)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("page", "key"),
    [
        ("/en/a.html?x=/1", "a.html?x=/1"),
        ("/en/b/c", "b/c"),
        ("/en/", "./"),
        ("/en/?p=1", "./?p=1"),
        ("/en//a", ".//a"),
        ("/a", "/a"),
        ("/", "/"),
        ("/english", "/english"),
    ],
)
def test_a_key_is_the_way_from_the_folder(page: str, key: str) -> None:
    """Different for different pages, and the same wherever the site is."""
    for host in ("http://a.example", "https://b.example:81"):
        start = Address.parse(f"{host}/en/sitemap.xml")
        found = start.key_of(start.join(page))
        assert found == key
        if "//" not in page:
            assert start.join(found) == start.join(page)


def test_what_a_site_is() -> None:
    """Scheme, host and port; plain http also leads to https."""
    home = Address.parse("http://a.example/")
    assert home.is_home_of(Address.parse("http://a.example/x"))
    assert home.is_home_of(Address.parse("https://a.example/x"))
    for other in ("http://b.example/", "http://a.example:8080/", "http://a.example.b/"):
        assert not home.is_home_of(Address.parse(other))
    assert not Address.parse("https://a.example/").is_home_of(home)
    local = Address.parse("http://127.0.0.1:8000/")
    assert not local.is_home_of(Address.parse("https://127.0.0.1/"))


def test_paths_are_no_urls() -> None:
    """Also odd ones."""
    assert is_url("https://a/b")
    assert is_url("s3://bucket/key")
    assert not is_url("docs/http://x")
    assert not is_url("a:b")
