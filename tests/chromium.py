"""Headless Chromium, driven over a pipe with nothing but the standard library.

Chrome's DevTools protocol (https://chromedevtools.github.io/devtools-protocol/) speaks JSON on file descriptors 3 and
4, each message ended by a NUL, when it is started with `--remote-debugging-pipe`: no port, no driver, no package.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    *("--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"),
    *("--no-first-run", "--no-default-browser-check", "--disable-extensions", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--mute-audio", "--hide-scrollbars"),
)
BECOME = "import os, sys; r, w, *c = sys.argv[1:]; os.dup2(int(r), 3); os.dup2(int(w), 4); os.execv(c[0], c)"
"""What the child does before it is the browser: put the pipes where it looks for them."""
TIMEOUT_S = 30.0
ABSENT = "no Chromium is installed (apt-get install chromium), so what a browser makes of the page is not checked"


def find() -> str | None:
    """Return the browser of this machine; None when there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One browser with one page; a context manager, which ends it."""

    def __init__(self, executable: str) -> None:
        self._profile = tempfile.mkdtemp(prefix="chromium-")
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()
        # Both are moved out of the way first: one may be number 3 or 4 itself.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (to_browser, from_browser)]
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                BECOME,
                *map(str, ends),
                executable,
                *FLAGS,
                f"--user-data-dir={self._profile}",
                "about:blank",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=ends,
        )
        for end in (to_browser, from_browser, *ends):
            os.close(end)
        self._buffer, self._number, self._session = b"", 0, None
        self.events: list[dict[str, Any]] = []
        page = next(t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._session = None
            self.call("Browser.close")
        except (OSError, TimeoutError):
            self._process.kill()
        self._process.wait(TIMEOUT_S)
        os.close(self._in)
        os.close(self._out)
        shutil.rmtree(self._profile, ignore_errors=True)

    # ── the protocol ──────────────────────────────────────────────────────────────────────────────

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result; events that come meanwhile are kept in `events`."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            answer = self._read(deadline)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def _read(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(deadline - time.monotonic(), 0.0))
            got = os.read(self._in, 1 << 20) if ready else b""
            if not got:
                raise TimeoutError("the browser does not answer")
            self._buffer += got
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message

    # ── what a reader does ────────────────────────────────────────────────────────────────────────

    def look(self, width: int, height: int, scheme: str = "light", scale: float = 1.0) -> None:
        """Set the window and whether the reader likes it dark; a narrow one is a phone."""
        phone = width < 600
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=phone
        )
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def open(self, page: Path) -> float:
        """Open a file and return how long it took to load, in seconds; events of before are forgotten."""
        self.events.clear()
        began, url = time.monotonic(), page.resolve().as_uri()
        self.call("Page.navigate", url=url)
        while not self._is_open(url):
            if time.monotonic() > began + TIMEOUT_S:
                raise TimeoutError(f"{url} does not load")
        return time.monotonic() - began

    def _is_open(self, url: str) -> bool:
        try:
            return bool(self.run("document.readyState + ' ' + location.href") == f"complete {url}")
        except RuntimeError:  # between two pages there is nothing to run it in
            return False

    def run(self, script: str) -> Any:
        """Return the value of a JavaScript expression."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def named(self, *methods: str) -> list[Mapping[str, Any]]:
        """Return the parameters of the events of some names so far."""
        self.run("0")  # what the page did before has been told when this has been answered
        return [event["params"] for event in self.events if event.get("method") in methods]

    def screenshot(self, *, whole: bool = False, clip: Mapping[str, float] | None = None) -> bytes:
        """Return a PNG of the window, of the whole page, or of a part of it."""
        more: dict[str, Any] = {"clip": {**clip, "scale": 1}} if clip else {}
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole or bool(clip), **more)
        return base64.b64decode(shot["data"])
