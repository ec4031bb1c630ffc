"""Chromium without a window, spoken to by its DevTools protocol over a pair of pipes.

``--remote-debugging-pipe``: JSON messages that end in a zero byte, to the browser on its file
descriptor 3, from it on 4 (Chromium, ``content/browser/devtools/devtools_pipe_handler.cc``). The
messages are https://chromedevtools.github.io/devtools-protocol/.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Browser", "Page", "start_browser"]

ANSWER_SECONDS = 60.0
# As ./bootstrap looks for it.
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@dataclass
class Page:
    """What became of a page: its errors, what it asked for, and the way to ask it."""

    browser: Browser
    session: str
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page."""
        answer = self.browser.call(
            "Runtime.evaluate",
            session=self.session,
            expression=expression,
            returnByValue=True,
            awaitPromise=True,
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def resize(self, width: int, height: int) -> None:
        """Show the page on a screen of so many CSS pixels, and let its charts follow."""
        self.browser.call(
            "Emulation.setDeviceMetricsOverride",
            session=self.session,
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.evaluate("new Promise(done => setTimeout(done, 400))")

    def prefer(self, scheme: str) -> None:
        """Have the system prefer ``light`` or ``dark``."""
        self.browser.call(
            "Emulation.setEmulatedMedia",
            session=self.session,
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )

    def hover(self, selector: str) -> None:
        """Move the mouse onto the first element that a CSS selector finds, scrolled into view."""
        x, y = self.evaluate(
            f"(() => {{ const one = document.querySelector({json.dumps(selector)});"
            "one.scrollIntoView({block: 'center', behavior: 'instant'});"
            "const box = one.getBoundingClientRect();"
            "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for place in (x + 40, x):
            self.browser.call(
                "Input.dispatchMouseEvent", session=self.session, type="mouseMoved", x=place, y=y
            )
            self.evaluate("new Promise(done => setTimeout(done, 150))")

    def screenshot(self, path: Path) -> None:
        """Write the whole page as a PNG."""
        answer = self.browser.call(
            "Page.captureScreenshot", session=self.session, captureBeyondViewport=True
        )
        path.write_bytes(base64.b64decode(answer["data"]))


class Browser:
    """A browser that runs; ``to`` and ``by`` are the ends of its pipes."""

    def __init__(self, to: int, by: int) -> None:
        self._to, self._by = to, by
        self._numbers = itertools.count(1)
        self._pending = b""
        self._pages: dict[str, Page] = {}

    def call(self, method: str, *, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result; what happens meanwhile is noted."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._to, data) :]
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result
            self._note(answer)

    def open(self, path: Path, width: int = 1280, height: int = 900) -> Page:
        """Open a file and wait until it is loaded."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self._pages[session] = Page(self, session)
        for domain in ("Runtime", "Log", "Network", "Page"):
            self.call(f"{domain}.enable", session=session)
        page.resize(width, height)
        page.errors.clear()
        page.requests.clear()
        self.call("Page.navigate", session=session, url=path.as_uri())
        deadline = time.monotonic() + ANSWER_SECONDS
        while page.evaluate("document.readyState + location.protocol") != "completefile:":
            assert time.monotonic() < deadline, f"{path} is not loaded"
            time.sleep(0.05)
        return page

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._pending:
            ready, _, _ = select.select([self._by], [], [], ANSWER_SECONDS)
            assert ready, "Chromium does not answer"
            data = os.read(self._by, 1 << 20)
            assert data, "Chromium ended"
            self._pending += data
        line, _, self._pending = self._pending.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message

    def _note(self, message: dict[str, Any]) -> None:
        page = self._pages.get(message.get("sessionId", ""))
        if not page:
            return
        parameters = message["params"]
        match message["method"]:
            case "Runtime.exceptionThrown":
                page.errors.append(json.dumps(parameters["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if parameters["type"] in ("error", "warning", "assert"):
                page.errors.append(json.dumps(parameters["args"]))
            case "Log.entryAdded" if parameters["entry"]["level"] in ("error", "warning"):
                page.errors.append(parameters["entry"]["text"])
            case "Network.requestWillBeSent":
                page.requests.append(parameters["request"]["url"])


@contextmanager
def start_browser(profile: Path) -> Iterator[Browser]:
    """Run Chromium with an empty profile, unable to find any host, until the block ends."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    assert program, "there is no chromium: `./bootstrap nox` installs it on Debian and Ubuntu"
    read_by_browser, to = os.pipe()
    by, written_by_browser = os.pipe()

    def place() -> None:
        # The other ends first get out of the way of 3 and 4.
        reads, writes = os.dup(read_by_browser), os.dup(written_by_browser)
        os.dup2(reads, 3)
        os.dup2(writes, 4)

    process = subprocess.Popen(
        [
            program,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-first-run",
            "--hide-scrollbars",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={profile}",
            "--remote-debugging-pipe",
            "about:blank",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=place,
        close_fds=False,
        start_new_session=True,
    )
    os.close(read_by_browser)
    os.close(written_by_browser)
    try:
        yield Browser(to, by)
    finally:
        os.close(to)
        os.close(by)
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
