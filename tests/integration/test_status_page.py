"""Promises of the status page, in a real browser, with the real system behind it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.browser import NoBrowserHereError, Page, chromium
from tests.servers.command import Command
from tests.servers.endpoint import FakeEndpoint
from tests.servers.library import write_library
from tests.servers.redis import free_port
from tests.servers.worker import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

MARKER = "REFUSE-ME"
HOSTILE = "<img src=x onerror='window.hurt=1'>.md"
CHECKS = Path(__file__).with_name("page_checks.js").read_text(encoding="utf-8")
TOKEN = "sésame"  # noqa: S105 - of this test


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """Give a page of a browser; at home it may be missing."""
    folder = tmp_path / "browser"
    folder.mkdir()
    try:
        with chromium(folder) as found:
            yield found
    except NoBrowserHereError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no Chromium here: {error}")


def test_the_status_page(tmp_path: Path, endpoint: FakeEndpoint, page: Page) -> None:
    """Live figures, harmless names, replay by token, for everybody, from one place alone."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    command = Command(
        tmp_path,
        embedding_provider="openai",
        embedding_base_url=endpoint.url,
        embedding_dimensions=384,
        embedding_api_key="no-key",
        exporter_port=port,
        status_token=TOKEN,
    )
    with command.started("up") as up:
        until(lambda: "metrics: " in up.said, "the servers", 60)
        page.resize(1100, 900)
        _open(page, url)
        assert page.run("document.querySelector('#verdict-word').textContent") == "Fine"
        assert page.run("document.querySelector('#letters-count').textContent") == "0"
        _import(command, endpoint)
        _assert_live(page)
        _assert_usable(page)
        _assert_replay(page, endpoint)
        assert page.run("window.hurt ?? null") is None
        assert all(asked.startswith(url) for asked in page.requests), set(page.requests)
        refused = [error for error in page.errors if "403" in error]
        assert (len(refused), page.errors) == (1, refused)
    page.until("document.querySelector('#verdict').dataset.verdict === 'trouble'")
    assert "does not answer" in page.run("document.querySelector('#sentence').textContent")


def _open(page: Page, url: str) -> None:
    """Come back until someone answers: the exporter takes a moment."""

    def is_there() -> bool:
        page.open(url)
        return bool(page.run("Boolean(document.querySelector('#verdict'))"))

    until(is_there, "the page", 30)
    page.until("document.querySelectorAll('#processes tbody tr').length >= 2", 30)
    page.errors.clear()
    page.requests.clear()


def _import(command: Command, endpoint: FakeEndpoint) -> None:
    """Bring in documents, of which one is refused and has the name of an attack."""
    docs = command.folder / "docs"
    write_library(docs, 20, 2_000)
    (docs / HOSTILE).write_text(f"Here it says {MARKER}.\n", encoding="utf-8")
    endpoint.faults(refuse_marker=MARKER)
    ended = command.run("import", "docs", "--detach")
    assert ended.code in {0, 1}, ended.err  # 1: the dead letter was there before its end


def _assert_live(page: Page) -> None:
    """The figures follow without a reload, and say what is not fine."""
    page.until("document.querySelector('#letters-count').textContent === '1'")
    page.until("document.querySelector('#chunks').textContent !== '0'")
    assert page.run("document.querySelector('#verdict').dataset.verdict") == "attention"
    assert "1 dead letter" in page.run("document.querySelector('#sentence').textContent")
    assert "1 dead letter" in page.run("document.querySelector('#announced').textContent")
    (letter,) = page.run(
        "[...document.querySelectorAll('#letters tbody th span span')].map(e => e.textContent)"
    )
    assert letter == HOSTILE
    assert page.run("document.querySelectorAll('img').length") == 0
    (source,) = page.run(
        "[...document.querySelectorAll('#sources tbody tr')].map(e => e.innerText)"
    )
    assert "docs" in source
    assert "21" in source


def _assert_usable(page: Page) -> None:
    """At three sizes, in light and dark, and by keyboard."""
    for width, dark in ((1100, False), (1100, True), (700, False), (360, False), (360, True)):
        page.resize(width, 800, dark=dark)
        assert page.run(CHECKS) == [], (width, dark)
    page.resize(1100, 900)
    outline = "getComputedStyle(document.activeElement).outlineWidth"
    outlines = []
    for _ in range(5):
        for kind in ("keyDown", "keyUp"):
            page.send(
                "Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9
            )
        outlines.append(page.run(f"[document.activeElement.tagName, {outline}]"))
    assert [tag for tag, _ in outlines[:3]] == ["A", "A", "INPUT"]
    assert all(width == "3px" for _, width in outlines), outlines


def _assert_replay(page: Page, endpoint: FakeEndpoint) -> None:
    """A wrong token does nothing; the right one brings the document in."""
    endpoint.faults(refuse_marker=None)
    assert page.run("document.querySelector('#replay-button').disabled") is True
    page.run("document.querySelector('#letters input').click()")
    assert page.run("document.querySelector('#replay-button').textContent") == "Replay 1 document"
    _ask(page, "not the token", "wrong token")
    assert page.run("document.querySelector('#letters-count').textContent") == "1"
    assert page.run("document.querySelector('#letters input').checked") is True
    _ask(page, TOKEN, "1 on their way")
    page.until("document.querySelector('#letters-count').textContent === '0'", 30)
    page.until("document.querySelectorAll('#letters tbody tr').length === 0")
    page.until("document.querySelector('#verdict').dataset.verdict === 'fine'")


def _ask(page: Page, token: str, answer: str) -> None:
    """Press the button, and wait for what is said then."""
    page.run(f"document.querySelector('#token').value = {token!r}")
    page.run("document.querySelector('#replay-button').click()")
    page.until(f"document.querySelector('#replayed').textContent === {answer!r}", 30)
