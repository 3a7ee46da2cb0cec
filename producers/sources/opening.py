"""A source from what a user types: a path, a glob or a URL."""

from producers.sources.files import open_source
from producers.sources.source import Source
from producers.web.address import is_url


def open_any(path: str, *, glob: str | None = None, name: str | None = None) -> Source:
    """Make a source; of a URL nothing is fetched yet.

    Args:
        path: a folder, a file, a glob, or an http(s) URL.
        glob: lists only keys that match.
        name: the source's name instead of the one that the path gives.

    Raises:
        UsageError: there is no such file or folder, or the URL is none that is taken.
    """
    if not is_url(path):
        return open_source(path, glob=glob, name=name)
    # Imported once it is needed: that takes time for which folders need not wait.
    from producers.sources.site import open_site  # noqa: PLC0415

    return open_site(path, glob=glob, name=name)
