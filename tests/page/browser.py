"""A headless Chromium, driven by the W3C WebDriver protocol of Debian's chromedriver."""

import base64
import json
import re
from pathlib import Path
from typing import Any

from sandbox.process import Process, free_port, wait_until
from sandbox.web import request

OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
)


class Browser:
    """One window; a profile of its own in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._port = free_port()
        self._directory = directory
        self._driver = Process(["chromedriver", f"--port={self._port}"], log=directory / "chromedriver.log")
        self._session = ""

    def start(self) -> None:
        """Start the driver and the browser."""
        self._driver.start()
        self._driver.wait_until(self._ready, "chromedriver is ready", 30)
        options = {"args": [*OPTIONS, f"--user-data-dir={self._directory / 'profile'}"]}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        session = self._send("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{session['sessionId']}"

    def stop(self) -> None:
        """End the browser, then the driver."""
        if self._session:
            self._send("DELETE", self._session)
        self._driver.stop()

    def open(self, url: str) -> None:
        """Load a page."""
        self._send("POST", f"{self._session}/url", {"url": url})

    def run(self, script: str) -> Any:
        """What a function with this body returns."""
        return self._send("POST", f"{self._session}/execute/sync", {"script": script, "args": []})

    def text(self) -> str:
        """The text that is shown, as the browser lays it out; blanks and line ends are one blank each."""
        return re.sub(r"\s+", " ", str(self.run("return document.body.innerText")))

    def waits_for(self, text: str) -> None:
        """Wait until the page shows the text."""
        wait_until(lambda: text in self.text(), f"the page shows {text!r}", timeout=30, interval=0.2)

    def devtools(self, command: str, **parameters: Any) -> Any:
        """A command of the DevTools protocol."""
        return self._send("POST", f"{self._session}/goog/cdp/execute", {"cmd": command, "params": parameters})

    def resize(self, width: int, height: int, *, dark: bool = False) -> None:
        """Be a screen of this size, in the dark or not."""
        self.devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = "dark" if dark else "light"
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, path: Path) -> None:
        """Save the whole page as PNG."""
        shot = self.devtools("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def errors(self) -> list[str]:
        """What the console has said since the last call, at level WARNING or above."""
        entries = self._send("POST", f"{self._session}/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] in ("WARNING", "SEVERE")]

    def _ready(self) -> bool:
        try:
            return bool(self._send("GET", "/status")["ready"])
        except OSError:
            return False

    def _send(self, method: str, path: str, body: Any = None) -> Any:
        text = None if body is None else json.dumps(body)
        answer = request(("127.0.0.1", self._port), method, path, text, headers={"Content-Type": "application/json"})
        value = json.loads(answer.body)["value"]
        if answer.status != 200:
            raise AssertionError(f"{method} {path}: {value}")
        return value
