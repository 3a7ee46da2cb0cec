"""A headless Chromium, driven by its DevTools protocol."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
_START_SECONDS = 20.0
_ANSWER_SECONDS = 10.0
_POLL_SECONDS = 0.02


class NoBrowserHereError(Exception):
    """Chromium is not installed."""


class Page:
    """One page.

    Attributes:
        errors: what it wrote to its console as an error, and exceptions that nobody caught.
        requests: the URLs that it asked for.
    """

    def __init__(self, connection: ClientConnection) -> None:
        """Listen to all that the page does."""
        self._connection = connection
        self._number = 0
        self.errors: list[str] = []
        self.requests: list[str] = []
        for domain in ("Page", "Runtime", "Network", "Log", "Accessibility"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command, and wait for its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        self._connection.send(json.dumps(message))
        while True:
            told = json.loads(self._connection.recv(_ANSWER_SECONDS))
            if told.get("id") == self._number:
                assert "error" not in told, f"{method}: {told['error']}"
                result: dict[str, Any] = told["result"]
                return result
            self._note(told)

    def _note(self, told: dict[str, Any]) -> None:
        found = told.get("params", {})
        match told.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(found["request"]["url"])
            case "Runtime.exceptionThrown":
                self.errors.append(json.dumps(found["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if found["type"] == "error":
                self.errors.append(json.dumps(found["args"]))
            case "Log.entryAdded" if found["entry"]["level"] == "error":
                self.errors.append(f"{found['entry']['text']} {found['entry'].get('url', '')}")

    def open(self, url: str) -> None:
        """Go there."""
        self.send("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        """Give the JSON value of an expression."""
        said = self.send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in said, said["exceptionDetails"]
        return said["result"].get("value")

    def until(self, script: str, seconds: float = 15.0) -> Any:
        """Wait until an expression is true, and give its value."""
        deadline = time.monotonic() + seconds
        while not (value := self.run(script)):
            assert time.monotonic() < deadline, f"not within {seconds} s: {script}"
            time.sleep(_POLL_SECONDS)
        return value

    def resize(self, width: int, height: int, *, dark: bool = False) -> None:
        """Give it a size in CSS pixels, and a colour scheme."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self, path: Path) -> None:
        """Write all of the page as PNG."""
        told = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(b64decode(told["data"]))


@contextlib.contextmanager
def chromium(folder: Path) -> Iterator[Page]:
    """Run Chromium with one empty page.

    Raises:
        NoBrowserHereError: it is not installed.
    """
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        raise NoBrowserHereError(f"none of {', '.join(PROGRAMS)} is installed")
    profile = folder / "profile"
    command = [
        program, "--headless", "--remote-debugging-port=0", f"--user-data-dir={profile}",
        "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
        "--disable-background-networking", "--disable-component-update",
    ]  # fmt: skip
    if os.geteuid() == 0:
        command.append("--no-sandbox")  # it refuses to run as root with one
    process = subprocess.Popen(
        [*command, "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(folder)},
        start_new_session=True,
    )
    try:
        port, path = _found(lambda: _port(profile))
        address = f"ws://127.0.0.1:{port}"
        with _connected(f"{address}{path}") as browser:
            target = _page_of(browser)
        with _connected(f"{address}/devtools/page/{target}") as connection:
            yield Page(connection)
    finally:
        # Not the process alone: Debian's is a script, and Chromium is its child.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def _connected(url: str) -> ClientConnection:
    # Pictures are large, and no proxy stands before this machine.
    return connect(url, max_size=None, proxy=None)


def _page_of(browser: ClientConnection) -> str:
    """Name the one page."""
    browser.send(json.dumps({"id": 1, "method": "Target.getTargets"}))
    targets = json.loads(browser.recv(_ANSWER_SECONDS))["result"]["targetInfos"]
    return next(str(item["targetId"]) for item in targets if item["type"] == "page")


def _port(profile: Path) -> tuple[str, str] | None:
    """Read where it listens; None as long as it does not."""
    try:
        port, path = (profile / "DevToolsActivePort").read_text(encoding="utf-8").split()
    except (FileNotFoundError, ValueError):
        return None
    return port, path


def _found(look: Callable[[], tuple[str, str] | None]) -> tuple[str, str]:
    deadline = time.monotonic() + _START_SECONDS
    while (value := look()) is None:
        assert time.monotonic() < deadline, "Chromium does not listen"
        time.sleep(_POLL_SECONDS)
    return value
