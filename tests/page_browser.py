"""A headless Chromium that tests drive: the DevTools protocol over a pipe, so that there is no port
and no library between.

Protocol: https://chromedevtools.github.io/devtools-protocol/; `--remote-debugging-pipe` reads JSON
from file descriptor 3 and writes it to 4, a zero byte behind each message.
"""

import base64
import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from browser_support import browser_command

KEYS = {
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
    "Home": 36,
    "End": 35,
    "Escape": 27,
    "Tab": 9,
}
SHIFT = 8

# puts the pipes where the browser looks for them, and becomes the browser
LAUNCH = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
for place, end in zip((3, 4), ends):
    os.dup2(end, place)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Tab:
    """One page in a browser, and what it did: requests, console messages, exceptions."""

    def __init__(self, write: int, read: int):
        self._write, self._read = write, read
        self._buffer, self._number, self._session = b"", 0, None
        self.requests: list[str] = []
        self.faults: list[str] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        session = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = session["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """The answer to a command; events before it are noted."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self._note(answer)

    def _next(self, seconds: float = 60) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], seconds)
            assert ready, "the browser says nothing"
            part = os.read(self._read, 1 << 20)
            assert part, "the browser is gone"
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def _note(self, event: dict[str, Any]) -> None:
        method, params = event.get("method"), event.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.faults.append(json.dumps(params["exceptionDetails"])[:2000])
        elif method == "Runtime.consoleAPICalled":
            self.faults.append(json.dumps(params["args"])[:2000])
        elif method == "Log.entryAdded":
            self.faults.append(params["entry"]["text"])

    def look(self, width: int, height: int, *, dark: bool = False, touch: bool = False) -> None:
        """The size of the window, the user's colours, and whether fingers or a mouse point."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=touch,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])
        self.ask("Emulation.setTouchEmulationEnabled", enabled=touch)

    def open(self, path: Path, fragment: str = "") -> None:
        """Opens a file and waits until its script has run."""
        self.ask("Page.navigate", url="about:blank")
        self.ask("Page.navigate", url=path.resolve().as_uri() + fragment)
        self.wait("document.documentElement?.dataset.ready === 'yes'")

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression that JSON can hold."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, condition: str, seconds: float = 30) -> None:
        """Until a JavaScript condition is true."""
        end = time.monotonic() + seconds
        while not self.evaluate(condition):
            assert time.monotonic() < end, f"never: {condition}; {self.faults}"
            time.sleep(0.02)

    def press(self, key: str, *, shift: bool = False) -> None:
        code = KEYS.get(key, ord(key.upper()) if len(key) == 1 else 0)
        given = {"key": key, "windowsVirtualKeyCode": code, "modifiers": SHIFT if shift else 0}
        text = {"text": key} if len(key) == 1 else {}
        self.ask("Input.dispatchKeyEvent", type="keyDown", **given, **text)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **given)

    def middle(self, selector: str) -> tuple[float, float]:
        """Where an element is, after it has been scrolled to."""
        x, y = self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'nearest'}); const b = e.getClientRects()[0];"
            "return [b.left + b.width / 2, b.top + b.height / 2]; })()"
        )
        return x, y

    def mouse(self, kind: str, place: tuple[float, float], *, down: bool = False) -> None:
        x, y = place
        pressed = {"button": "left", "buttons": 1, "clickCount": 1} if down else {"button": "none"}
        self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, **pressed)

    def hover(self, selector: str) -> None:
        self.mouse("mouseMoved", self.middle(selector))

    def click(self, selector: str) -> None:
        place = self.middle(selector)
        self.mouse("mouseMoved", place)
        self.mouse("mousePressed", place, down=True)
        self.mouse("mouseReleased", place, down=True)

    def drag(self, start: str, end: str) -> None:
        """With the mouse button held, from one element to another in view."""
        self.mouse("mousePressed", self.middle(start), down=True)
        self.mouse("mouseMoved", self.middle(end), down=True)
        self.mouse("mouseReleased", self.middle(end), down=True)

    def touch(self, selector: str) -> None:
        x, y = self.middle(selector)
        self.ask("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        self.ask("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        answer = self.ask("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))


@contextlib.contextmanager
def browsing() -> Iterator[Tab]:
    """A tab of a browser of its own."""
    to_read, write = os.pipe()
    read, to_write = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = browser_command(Path(profile), "--remote-debugging-pipe", "about:blank")
        process = subprocess.Popen(
            [sys.executable, "-ISc", LAUNCH, str(to_read), str(to_write), *command],
            pass_fds=(to_read, to_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)
        try:
            tab = Tab(write, read)
            yield tab
            tab._session = None
            with contextlib.suppress(AssertionError, OSError):
                tab.ask("Browser.close")
        finally:
            os.close(write)
            os.close(read)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
