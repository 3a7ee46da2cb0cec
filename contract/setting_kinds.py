"""Kinds of values that settings have, each with what it refuses."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from contract.names import is_collection_name
from contract.sentinel import Sentinels, is_sentinel

Positive = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Port = Annotated[int, Field(ge=0, le=65_535)]


def _collection(name: str) -> str:
    if not is_collection_name(name):
        raise ValueError("a name has letters, digits and _, and does not begin with a digit")
    return name


def _scheme(url: str) -> str:
    """Give the scheme of a URL; the foreign error would repeat a piece of the password."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError("is no URL (in a password, spell / ? # @ as %2F %3F %23 %40)") from None
    return parts.scheme


def _redis_url(url: SecretStr) -> SecretStr:
    if is_sentinel(url.get_secret_value()):
        Sentinels.of(url.get_secret_value())
        return url
    if _scheme(url.get_secret_value()) not in {"redis", "rediss", "unix"}:
        raise ValueError("must begin with redis://, rediss://, unix:// or sentinel://")
    return url


def _cache_url(url: SecretStr) -> SecretStr:
    if is_sentinel(url.get_secret_value()):
        raise ValueError("a cache needs no Sentinels: what is lost is embedded again")
    if _scheme(url.get_secret_value()) != "file":
        return _redis_url(url)
    parts = urlsplit(url.get_secret_value())
    named = parts.path.startswith("/") and parts.path.strip("/")
    if not named or parts.netloc or parts.query or parts.fragment:
        raise ValueError("a file is named by its whole path: file:///path/to/cache.sqlite")
    return url


def _broker_url(url: SecretStr) -> SecretStr:
    if is_sentinel(url.get_secret_value()):
        return _redis_url(url)
    if not _scheme(url.get_secret_value()):
        raise ValueError("must be a URL, as amqp://host or redis://host")
    return url


def _http_url(url: str) -> str:
    if _scheme(url) not in {"http", "https"}:
        raise ValueError("must begin with http:// or https://")
    return url


CollectionName = Annotated[str, AfterValidator(_collection)]
RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]
CacheUrl = Annotated[SecretStr, AfterValidator(_cache_url)]
BrokerUrl = Annotated[SecretStr, AfterValidator(_broker_url)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
