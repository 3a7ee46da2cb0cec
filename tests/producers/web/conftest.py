"""A site for the tests of what fetches."""

from collections.abc import Iterator

import pytest

from tests.servers.site import Site, running_site


@pytest.fixture
def site() -> Iterator[Site]:
    """Run a site without pages."""
    with running_site() as site:
        yield site
