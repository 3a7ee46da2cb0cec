"""Promises of ``headrace import URL`` and of schedules of URLs, with a site on loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.local.servers import attach
from tests.integration.conftest import Place
from tests.integration.test_schedules import counts, runs_of
from tests.servers.command import Command, until
from tests.servers.endpoint import FakeEndpoint
from tests.servers.site import Site, running_site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_PATHS = tuple(f"/docs/page-{number}" for number in range(6))


@pytest.fixture
def site() -> Iterator[Site]:
    """Run a site of six pages, and a sitemap of them."""
    with running_site() as site:
        for path in _PATHS:
            site.put(
                path, f"<title>{path}</title><main><h1>About</h1><p>The mill of {path}.</main>"
            )
        site.write_sitemap(*_PATHS, at="/docs/sitemap.xml")
        yield site


def _done(command: Command, url: str, code: int = 0) -> dict[str, int]:
    (summary,) = command.run("import", url, "--json").expect(code).json
    names = ("new", "changed", "unchanged", "deleted", "failed")
    return {name: summary[name] for name in names if summary[name]}


def test_a_site_is_kept_up_with(place: Place, headrace: Command, site: Site) -> None:
    """Only what has changed is fetched; what is listed no more goes; a broken sitemap does no harm."""
    command = headrace.with_settings(collection="web")
    url = f"{site.url}/docs/sitemap.xml"
    name = url.removeprefix("http://").removesuffix("/sitemap.xml")
    (forecast,) = command.run("import", url, "--dry-run", "--json").expect(0).json
    assert forecast["new"] == len(_PATHS)
    assert _done(command, url) == {"new": 6}
    hit = command.run("search", "About The mill of /docs/page-3.", "-k", "1", "--json").json[0]
    assert (hit["source"], hit["path"], hit["headings"]) == (name, "page-3", ["About"])
    site.forget()
    assert _done(command, url) == {"unchanged": 6}
    assert (site.asked_of_pages("GET"), site.asked_of_pages("HEAD")) == (0, 6)
    site.put(_PATHS[0], "<p>The wheel was mended.")
    site.write_sitemap(*_PATHS[:-1], at="/docs/sitemap.xml")
    assert _done(command, url) == {"changed": 1, "unchanged": 4, "deleted": 1}
    page = site.pages["/docs/sitemap.xml"]
    page.body = page.body[:-100]
    command.run("import", url).expect(1)
    page.status = 500
    assert "500" in command.run("import", url).expect(2).err
    shown = command.run("sources", "show", name, "--json").expect(0).json
    assert (shown["origin"], shown["documents"]) == (url, 5)
    assert "is a URL" in command.run("watch", url).expect(2).err
    secret = command.run("import", url.replace("//", "//me:s3cret@")).expect(2)
    assert "s3cret" not in secret.err
    command.run("sources", "remove", name, "--yes").expect(0)
    place.servers.assert_holds("web", {})


def test_a_url_is_brought_in_on_schedule(
    tmp_path: Path, endpoint: FakeEndpoint, site: Site
) -> None:
    """By producer workers, in shards, and again only what has changed."""
    (tmp_path / "headrace.toml").write_text(
        f'[schedules.web]\npath = "{site.url}/docs/sitemap.xml"\nevery = "2s"\nshards = 2\n'
    )
    command = Command(
        tmp_path,
        embedding_provider="openai",
        embedding_base_url=endpoint.url,
        embedding_dimensions=384,
        embedding_api_key="no-key",
    )
    with command.started("up"):
        until(lambda: attach(tmp_path / ".headrace") is not None, "servers", 60)
        servers = attach(tmp_path / ".headrace")
        assert servers is not None
        redis_url = servers.redis_url

        def has_run(name: str, count: int) -> bool:
            runs = runs_of(redis_url, "web")
            return any(counts(run, name) == (count,) and run.state == "done" for run in runs)

        until(lambda: has_run("documents_new", 6), "the first run", 90)
        until(lambda: has_run("documents_unchanged", 6), "a run without changes", 60)
        assert site.asked_of_pages("GET") == len(_PATHS)
        site.put(_PATHS[0], "<p>The wheel was mended.")
        site.write_sitemap(*_PATHS[:-1], at="/docs/sitemap.xml")
        until(lambda: has_run("documents_deleted", 1), "the deletion", 60)
        until(lambda: has_run("documents_unchanged", 5), "rest", 60)
        assert site.asked_of_pages("GET") == len(_PATHS) + 1
