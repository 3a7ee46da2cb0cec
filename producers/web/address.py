"""Web addresses: which are taken, how they are spelt, and what a page is called below another."""

import ipaddress
import re
from dataclasses import dataclass, replace
from typing import Final, Self
from urllib.parse import quote, urljoin, urlsplit

from contract.errors import UsageError

LONGEST: Final = 2_048
"""Characters of a URL; a longer one is refused, as by the protocol of sitemaps."""

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_PORTS: Final = {"http": 80, "https": 443}
_HOST: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_.])?")
_KEPT: Final = "/%:@!$&'()*+,;=~-._"


def is_url(path: str) -> bool:
    """Tell a URL of any scheme from a path."""
    return _SCHEME.match(path) is not None


@dataclass(frozen=True, slots=True)
class Address:
    """An http or https URL, spelt in one way: the same page has the same."""

    scheme: str
    host: str
    """In lower case, as DNS has it; one of IPv6 in brackets."""
    port: int
    path: str
    """Begins with a slash, without dot segments."""
    query: str = ""

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read a URL; its fragment is dropped.

        Raises:
            UsageError: it is none that is taken; what could be a password is not repeated.
        """
        url = url.strip()
        if len(url) > LONGEST or any(c.isspace() or not c.isprintable() for c in url):
            raise UsageError(f"a URL has at most {LONGEST} characters, and no blanks")
        try:
            parts = urlsplit(url)
            scheme, port = parts.scheme.lower(), parts.port
            host = _host(parts.hostname or "")
        except (ValueError, UnicodeError):
            raise UsageError("this is no URL that can be read") from None
        if scheme not in _PORTS:
            raise UsageError(f"URLs of {scheme or 'no scheme'} are not read, only http and https")
        if "@" in parts.netloc:
            raise UsageError(
                "user and password in a URL would end in names and logs: give a URL without them"
            )
        # urljoin, as it takes out dot segments.
        path = urljoin("http://h/", quote(parts.path or "/", safe=_KEPT)).removeprefix("http://h")
        if parts.path.startswith("//"):  # which urljoin takes for a host
            path = quote(parts.path, safe=_KEPT)
        return cls(scheme, host, port or _PORTS[scheme], path, quote(parts.query, safe=_KEPT + "?"))

    @property
    def url(self) -> str:
        """Spell it."""
        return f"{self.scheme}://{self.site}{self.reference}"

    @property
    def site(self) -> str:
        """Give the host, with its port unless it is the usual one."""
        return self.host if self.port == _PORTS[self.scheme] else f"{self.host}:{self.port}"

    @property
    def reference(self) -> str:
        """Give path and query."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def folder(self) -> str:
        """Give the path up to its last slash."""
        return self.path.rpartition("/")[0] + "/"

    def at(self, path: str) -> Self:
        """Give another path of the same site."""
        return replace(self, path=path, query="")

    def join(self, reference: str) -> Self:
        """Follow a reference that is found here.

        Raises:
            UsageError: it leads to nothing that is taken.
        """
        try:
            return self.parse(urljoin(self.url, reference.strip()))
        except ValueError:
            raise UsageError("this is no URL that can be read") from None

    def is_home_of(self, other: "Address") -> bool:
        """Tell whether another address is of the same site: scheme, host and port.

        That of plain http also has the same host by https: sites lead from one to the other.
        """
        if self.host != other.host:
            return False
        if (self.scheme, self.port) == (other.scheme, other.port):
            return True
        return (self.scheme, self.port, other.scheme, other.port) == ("http", 80, "https", 443)

    def key_of(self, page: "Address") -> str:
        """Name a page of the same site by where it is from the folder of this address."""
        if not page.path.startswith(self.folder):
            return page.reference
        below = page.reference.removeprefix(self.folder)
        # Neither empty nor like the name of a page that is not below.
        return f"./{below}" if not below or below[0] in "/?" else below


def _host(name: str) -> str:
    """Spell a host's name.

    Raises:
        ValueError: it is none.
    """
    if ":" in name:
        return f"[{ipaddress.IPv6Address(name)}]"
    name = name if name.isascii() else name.encode("idna").decode()
    if not _HOST.fullmatch(name.lower()):
        raise ValueError(name)
    return name.lower()
