"""A headless Chromium for tests, driven through its debugging pipe; no test of its own."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_START = 'exec "$@" 3<&"$TO_BROWSER" 4>&"$FROM_BROWSER"'  # Chromium wants the pipes as 3 and 4
_PATIENCE_S = 60  # machines are busy; a browser that hangs fails the test all the same


class Page:
    """One page of the browser: opens addresses, runs scripts, gives key strokes and a mouse."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        """Opens an empty page whose requests and dialogs are noted."""
        self._to, self._from = to_browser, from_browser
        self._number, self._session, self._rest = 0, "", b""
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the DevTools protocol and its answer; events on the way are noted."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return dict(answer["result"])

    def open(self, address: str) -> None:
        """Opens an address and waits until it is loaded; what was noted before is forgotten."""
        self.events.clear()
        self.call("Page.navigate", url=address)
        until = time.monotonic() + _PATIENCE_S
        while not self.noted("Page.loadEventFired"):
            assert time.monotonic() < until, f"{address} does not load"
            self._receive()

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        done = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def press(self, key: str, code: int, *, text: str = "") -> None:
        """Presses a key for whatever has the focus."""
        for kind in ("keyDown", "keyUp"):
            said = {"text": text} if text and kind == "keyDown" else {}
            self.call(
                "Input.dispatchKeyEvent",
                type=kind, key=key, code=key, windowsVirtualKeyCode=code, **said,
            )  # fmt: skip

    def click(self, x: float, y: float) -> None:
        """Clicks with the mouse at a place of the window."""
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def noted(self, method: str) -> list[dict[str, Any]]:
        """What the browser told of one kind since the page was opened."""
        return [event["params"] for event in self.events if event["method"] == method]

    def requests(self) -> list[str]:
        """Addresses that were asked for since the page was opened, pictures in it aside."""
        urls = [str(event["request"]["url"]) for event in self.noted("Network.requestWillBeSent")]
        return [url for url in urls if not url.startswith("data:")]

    def resize(self, width: int, height: int, *, phone: bool = False, dark: bool = False) -> None:
        """Makes the window another device's."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=2 if phone else 1, mobile=phone,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def shoot(self, path: Path) -> None:
        """Saves what the window shows as a PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            got = os.read(self._from, 1 << 16)
            assert got, "the browser ended"
            self._rest += got
        line, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        if "method" in message:
            self.events.append(message)
        return message


@contextmanager
def browsing(profile: Path) -> Iterator[Page]:
    """A page of a browser that keeps its files in `profile`; skips where there is no browser."""
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip("no Chromium to test pages with; on Debian: apt-get install chromium")
    to_read, to_write = os.pipe()
    from_read, from_write = os.pipe()
    command = [
        program, "--headless", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run",
        "--disable-dev-shm-usage", "--disable-background-networking", "--hide-scrollbars",
        f"--user-data-dir={profile}",
    ]  # fmt: skip
    if os.geteuid() == 0:  # as in containers: Chromium's own sandbox does not start there
        command.append("--no-sandbox")
    with subprocess.Popen(
        ["bash", "-c", _START, "bash", *command],
        env={**os.environ, "TO_BROWSER": str(to_read), "FROM_BROWSER": str(from_write)},
        pass_fds=(to_read, from_write),
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    ) as process:
        os.close(to_read)
        os.close(from_write)
        try:
            yield Page(to_write, from_read)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
            os.close(to_write)
            os.close(from_read)
