"""Promises of ``headrace import URL`` and of schedules of URLs, with a site on loopback.

What it costs to keep up with a site, tests/producers/sources/test_site.py counts.
"""

from pathlib import Path

import pytest

from headrace.local.servers import attach
from tests.integration.test_schedules import counts, runs_of
from tests.servers.command import Command, until
from tests.servers.endpoint import FakeEndpoint
from tests.servers.site import running_site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_PATHS = tuple(f"/docs/page-{number}" for number in range(6))


def test_a_site_is_imported_and_kept_up_with(tmp_path: Path, endpoint: FakeEndpoint) -> None:
    """By a command, and then by scheduled runs in shards, which fetch only what has changed."""
    command = Command(
        tmp_path,
        embedding_provider="openai",
        embedding_base_url=endpoint.url,
        embedding_dimensions=384,
        embedding_api_key="no-key",
    )
    with running_site() as site, command.started("up"):
        for path in _PATHS:
            site.put(path, f"<title>x</title><main><h1>About</h1><p>The mill of {path}.</main>")
        site.write_sitemap(*_PATHS, at="/docs/sitemap.xml")
        url = f"{site.url}/docs/sitemap.xml"
        name = url.removeprefix("http://").removesuffix("/sitemap.xml")
        until(lambda: attach(tmp_path / ".headrace") is not None, "servers", 60)
        servers = attach(tmp_path / ".headrace")
        assert servers is not None
        redis_url = servers.redis_url

        (summary,) = command.run("import", url, "--json").expect(0).json
        assert (summary["source"], summary["new"]) == (name, len(_PATHS))
        hit = command.run("search", "About The mill of /docs/page-3.", "-k", "1", "--json").json[0]
        assert (hit["source"], hit["path"], hit["headings"]) == (name, "page-3", ["About"])

        (tmp_path / "headrace.toml").write_text(
            f'[schedules.web]\npath = "{url}"\nevery = "1s"\nshards = 2\n'
        )

        def has_run(counter: str, count: int) -> bool:
            runs = runs_of(redis_url, "web")
            return any(counts(run, counter) == (count,) and run.state == "done" for run in runs)

        until(lambda: has_run("documents_unchanged", 6), "a run without changes", 60)
        assert site.asked_of_pages("GET") == len(_PATHS)
        site.put(_PATHS[0], "<p>The wheel was mended.")
        site.write_sitemap(*_PATHS[:-1], at="/docs/sitemap.xml")
        until(lambda: has_run("documents_deleted", 1), "the deletion", 60)
        until(lambda: has_run("documents_changed", 1), "the change", 60)
        assert site.asked_of_pages("GET") == len(_PATHS) + 1
