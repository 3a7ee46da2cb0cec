"""Redis behind Sentinels: one URL names them all, ``sentinel://:password@a:26379,b:26379/main/0``.

The password is that of Redis itself; then come the Sentinels, the name that they know the master
by, and the database.
"""

from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import quote, unquote, urlsplit

from redis.asyncio.sentinel import Sentinel

SCHEME: Final = "sentinel"
PORT: Final = 26379


@dataclass(frozen=True, slots=True)
class Sentinels:
    """Who knows where the master is."""

    addresses: tuple[tuple[str, int], ...]
    master: str
    database: int
    username: str | None
    password: str | None

    @classmethod
    def of(cls, url: str) -> Self:
        """Read a URL.

        Raises:
            ValueError: it is none of this kind; the message repeats nothing of it.
        """
        parts = urlsplit(url)
        account, _, hosts = parts.netloc.rpartition("@")
        master, _, database = parts.path.strip("/").partition("/")
        if parts.scheme != SCHEME or not hosts or not master or parts.query:
            raise ValueError("must be sentinel://:password@host:port,host:port/master/0")
        username, _, password = account.partition(":")
        try:
            addresses = tuple(_address(host) for host in hosts.split(","))
            number = int(database or 0)
        except ValueError:
            raise ValueError("has a port or a database that is no number") from None
        return cls(addresses, master, number, unquote(username) or None, unquote(password) or None)

    @property
    def broker_url(self) -> str:
        """Spell it as kombu wants it: a URL for each Sentinel."""
        account = f"{quote(self.username or '', safe='')}:{quote(self.password or '', safe='')}@"
        return ";".join(
            f"{SCHEME}://{account if self.password else ''}{host}:{port}/{self.database}"
            for host, port in self.addresses
        )

    def asyncio_sentinel(self, **connection: object) -> Sentinel:
        """Make redis-py's Sentinel; nothing is sent yet."""
        asked = {key: value for key, value in connection.items() if key.startswith("socket_")}
        account = {"username": self.username, "password": self.password}
        return Sentinel(  # type: ignore[no-untyped-call]
            self.addresses,
            sentinel_kwargs=asked,
            db=self.database,
            **{key: value for key, value in account.items() if value},
            **connection,
        )


def is_sentinel(url: str) -> bool:
    """Tell whether a URL is of this kind."""
    return url.startswith(f"{SCHEME}://")


def _address(host: str) -> tuple[str, int]:
    name, _, port = host.rpartition(":") if ":" in host else (host, "", str(PORT))
    return name, int(port)
