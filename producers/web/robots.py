"""robots.txt: what a site lets programs fetch."""

from collections.abc import Iterable
from typing import Final
from urllib.robotparser import RobotFileParser

from contract.errors import UsageError
from producers.web.address import Address

MOST_BYTES: Final = 512 * 1024
"""What is read of one, as RFC 9309 has it."""
AGENT: Final = "headrace"


class Robots:
    """The rules of one site."""

    def __init__(self, home: Address, data: bytes = b"") -> None:
        """Read the rules; of an empty file: everything may be fetched."""
        self._home = home
        self._rules = RobotFileParser()
        text = data[:MOST_BYTES].decode("utf-8", "replace").removeprefix("\ufeff")
        self._rules.parse(text.splitlines())

    def allows(self, address: Address) -> bool:
        """Tell whether a page may be fetched."""
        return self._rules.can_fetch(AGENT, address.url)

    def names(self, sitemap: Address) -> bool:
        """Tell whether the site calls this its sitemap: it speaks for all of the site then."""
        return sitemap.reference in set(self._named())

    def _named(self) -> Iterable[str]:
        for reference in self._rules.site_maps() or []:
            try:
                named = self._home.join(reference)
            except UsageError:
                continue
            if self._home.is_home_of(named) or named.is_home_of(self._home):
                yield named.reference
