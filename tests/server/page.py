"""A browser, and the viewer in it as a person and `window.fetalsegViewer` see it."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement

__all__ = [
    "ELSEWHERE",
    "PATIENCE_S",
    "Viewer",
    "chromium",
    "downloaded",
    "has_contours",
    "missing_browser",
    "opened",
    "requested",
    "run_module",
    "sized",
]

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
CHROMEDRIVER = shutil.which("chromedriver")
# A name that is no loopback name to the browser, so that pages from there are not trusted with a camera.
ELSEWHERE = "console.test"
# Chromium would look for a proxy even on the way to this computer.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,900",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1",
)
PATIENCE_S = 40  # a loaded machine draws slowly without a graphics card


def missing_browser() -> str | None:
    """What to install, None where there is a browser."""
    if CHROMIUM is None or CHROMEDRIVER is None:
        return "no browser: install the Debian packages chromium and chromium-driver to test the viewer"
    return None


@contextmanager
def chromium(profile: Path, downloads: Path) -> Iterator[WebDriver]:
    """A browser with an empty profile."""
    options = Options()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.page_load_strategy = "eager"  # what a test needs to see, it waits for
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    driver: WebDriver = webdriver.Chrome(options=options, service=Service(str(CHROMEDRIVER), env=environment))
    try:
        behavior = {"behavior": "allow", "downloadPath": str(downloads)}
        driver.execute_cdp_cmd("Browser.setDownloadBehavior", behavior)
        driver.set_script_timeout(PATIENCE_S + 10)
        yield driver
    finally:
        driver.quit()


def run_module(browser: WebDriver, server: str, script: str, *arguments: object) -> Any:
    """Runs a script with the client's modules, without the viewer.

    Args:
        browser: any page is left.
        server: its address.
        script: body of an async function; `load(name)` gives a module of the client.
        arguments: `args` of the script, as JSON.
    """
    browser.get(f"{server}/client/index.js")  # shown as text: a page of the server's origin that runs nothing
    wrapped = f"""
        const [args, done] = arguments;
        const load = (name) => import("/client/" + name);
        (async () => {{ {script} }})().then((value) => done([value, null]), (error) => done([null, String(error)]));
    """
    value, error = browser.execute_async_script(wrapped, arguments)
    assert error is None, error
    return value


def _log(browser: WebDriver, kind: str) -> list[dict[str, Any]]:
    """Entries since the last call; `get_log` of the browser has no types."""
    entries: list[dict[str, Any]] = browser.execute("getLog", {"type": kind})["value"]
    return entries


def requested(browser: WebDriver) -> set[str]:
    """Addresses that the browser asked for since the last call, WebSockets among them."""
    addresses = set()
    for entry in _log(browser, "performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            addresses.add(str(message["params"]["request"]["url"]))
        elif message["method"] == "Network.webSocketCreated":
            addresses.add(str(message["params"]["url"]))
    return addresses


class Viewer:
    """The open page."""

    def __init__(self, browser: WebDriver, url: str) -> None:
        self.browser = browser
        browser.get(url)

    def state(self) -> dict[str, Any]:
        state = self.browser.execute_script("return window.fetalsegViewer")
        assert isinstance(state, dict)
        return state

    def element(self, name: str) -> WebElement:
        return self.browser.find_element(By.ID, name)

    def structure(self, name: str) -> WebElement:
        """Its row in the list."""
        return self.browser.find_element(By.CSS_SELECTOR, f"[data-structure={name}]")

    def wait(self, condition: Callable[[dict[str, Any]], object], what: str) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_S
        while not condition(state := self.state()):
            words = self.element("connection-words").text
            assert time.monotonic() < deadline, f"waited for {what}; {words}; {json.dumps(state)[:600]}"
            time.sleep(0.05)
        return state

    def press(self, key: str) -> None:
        self.browser.find_element(By.TAG_NAME, "body").send_keys(key)

    def pixels(self) -> bytes:
        """What the canvas shows."""
        data = self.browser.execute_script("return document.getElementById('screen').toDataURL('image/png')")
        return str(data).encode()

    def complaints(self) -> list[str]:
        """What the browser's console complains about since the last call."""
        return [entry["message"] for entry in _log(self.browser, "browser") if entry["level"] in ("SEVERE", "WARNING")]


@contextmanager
def opened(browser: WebDriver, url: str) -> Iterator[Viewer]:
    """The viewer at a server, left again afterwards, so that it gives its session back."""
    _log(browser, "browser")
    viewer = Viewer(browser, url)
    try:
        yield viewer
    finally:
        browser.get("about:blank")


@contextmanager
def sized(browser: WebDriver, width: int, height: int) -> Iterator[None]:
    """The page as wide and high as this, in CSS pixels, whatever the window's frame takes."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        yield
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def has_contours(state: dict[str, Any]) -> bool:
    return bool(state["frame"]) and state["frame"]["hasContours"] and len(state["overlay"]) > 0


def downloaded(folder: Path, pattern: str) -> Path:
    """Waits for a download to be complete."""
    deadline = time.monotonic() + PATIENCE_S
    while not (files := sorted(folder.glob(pattern))):
        assert time.monotonic() < deadline, f"no download {pattern}"
        time.sleep(0.05)
    return files[-1]
