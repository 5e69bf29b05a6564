"""The viewer in headless Chromium, against a real server whose model finds the same cranium in every frame."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from crafted_model import crafted_facts, write_crafted_model
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver

from fetalseg.anatomy import STRUCTURES, VIEWS
from fetalseg.taxonomy import describe
from fetalseg_server.app import STATIC
from fetalseg_server.settings import Settings
from server.live import RunningServer, running

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
CHROMEDRIVER = shutil.which("chromedriver")
needs_browser = pytest.mark.skipif(
    CHROMIUM is None or CHROMEDRIVER is None,
    reason="no browser: install the Debian packages chromium and chromium-driver to test the viewer",
)
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
)
PATIENCE_S = 40  # a loaded machine draws slowly without a graphics card


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    options = Options()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.page_load_strategy = "eager"  # what a test needs to see, it waits for
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    driver = webdriver.Chrome(options=options, service=Service(str(CHROMEDRIVER), env=environment))
    try:
        yield driver
    finally:
        driver.quit()


class Viewer:
    """The page as a person and `window.fetalsegViewer` see it."""

    def __init__(self, browser: WebDriver, url: str) -> None:
        self.browser = browser
        browser.get(url)

    def state(self) -> dict[str, Any]:
        state = self.browser.execute_script("return window.fetalsegViewer")
        assert isinstance(state, dict)
        return state

    def element(self, name: str) -> Any:
        return self.browser.find_element(By.ID, name)

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
        return [
            entry["message"] for entry in self.browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")
        ]


@contextmanager
def opened(browser: WebDriver, url: str) -> Iterator[Viewer]:
    """The viewer at a server, left again afterwards, so that it gives its session back."""
    browser.get_log("browser")
    viewer = Viewer(browser, url)
    try:
        yield viewer
    finally:
        browser.get("about:blank")


def has_contours(state: dict[str, Any]) -> bool:
    return bool(state["frame"]) and state["frame"]["hasContours"] and len(state["overlay"]) > 0


@needs_browser
def test_the_built_in_cine_streams_at_once_and_shows_contours_on_their_own_frames(
    browser: WebDriver, server: RunningServer
) -> None:
    with opened(browser, server.http) as viewer:
        state = viewer.wait(lambda s: s["counts"]["results"] > 20 and has_contours(s), "twenty results")
        assert state["connection"] == "ready"
        assert state["counts"]["skipped"] == 0
        assert state["unanswered"] <= 2
        assert state["latencyMs"]["p50"] <= state["latencyMs"]["p95"]
        assert (state["frame"]["width"], state["frame"]["height"]) == (480, 336)
        assert 0 < state["frame"]["sequence"] <= state["counts"]["sent"]
        assert state["frame"]["view"] == "head"
        (found,) = state["overlay"]
        assert (found["structure"], found["drawn"]) == ("cranium", True)
        assert found["points"] >= 4
        # 480 x 336 is 10:7, the input 32 x 24 is 4:3: scaled by 15, the frame leaves a margin of 0.8 above and below.
        assert found["box"] == pytest.approx([120, 48, 360, 288], abs=12)

        row = browser.find_element(By.CSS_SELECTOR, "[data-structure=cranium]")
        assert row.get_attribute("data-seen") == "true"
        assert re.search(r"Cranium\s+90 %", row.text)
        assert viewer.element("view-name").text.startswith("Head view")
        assert "crafted 1.0.0" in viewer.element("model").text
        assert viewer.element("connection-words").text == "Connected"
        assert "Research use only. Not a medical device." in browser.find_element(By.TAG_NAME, "header").text
        assert int(viewer.element("figure-results").text) > 0
        assert viewer.complaints() == []


@needs_browser
def test_freezing_holds_the_frame_and_structures_can_be_switched_off_on_it(
    browser: WebDriver, server: RunningServer
) -> None:
    with opened(browser, server.http) as viewer:
        viewer.wait(has_contours, "contours")
        viewer.press(" ")
        frozen = viewer.wait(lambda s: s["frozen"], "the freeze")
        assert viewer.element("badge").text == "FROZEN"
        assert viewer.element("freeze").get_attribute("aria-pressed") == "true"
        with_contours = viewer.pixels()
        time.sleep(0.4)
        assert viewer.state()["frame"]["sequence"] == frozen["frame"]["sequence"]
        assert viewer.pixels() == with_contours

        browser.find_element(By.CSS_SELECTOR, "[data-structure=cranium] input").click()
        assert viewer.state()["overlay"][0]["drawn"] is False
        without = viewer.pixels()
        assert without != with_contours
        viewer.element("show-all").click()
        assert viewer.state()["overlay"][0]["drawn"] is True
        assert viewer.pixels() == with_contours

        viewer.element("threshold").send_keys(Keys.END)  # 95 %, and the cranium has 90 %
        assert viewer.state()["overlay"][0]["drawn"] is False
        assert viewer.pixels() == without
        viewer.element("threshold").send_keys(Keys.HOME)
        viewer.press("c")
        viewer.press("n")
        assert viewer.pixels() == without  # neither contours nor names
        viewer.press("c")
        viewer.press("n")
        assert viewer.pixels() == with_contours

        viewer.press(" ")
        viewer.wait(lambda s: s["frame"]["sequence"] > frozen["frame"]["sequence"] + 3, "the live picture")
        assert viewer.complaints() == []


@needs_browser
def test_opacity_is_shown_and_changes_the_picture(browser: WebDriver, server: RunningServer) -> None:
    with opened(browser, server.http) as viewer:
        viewer.wait(has_contours, "contours")
        viewer.press(" ")
        strong = viewer.pixels()
        viewer.press("[")
        assert viewer.element("opacity-value").text == "80 %"
        assert viewer.pixels() != strong
        viewer.press("]")
        assert viewer.pixels() == strong


@needs_browser
def test_a_video_file_is_streamed(browser: WebDriver, server: RunningServer, tmp_path: Path) -> None:
    file = tmp_path / "scan.webm"
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"VP80"), 25, (320, 240))
    for number in range(50):
        image = np.full((240, 320, 3), 30, np.uint8)
        cv2.circle(image, (60 + 4 * number, 120), 40, (90, 90, 90), -1)
        writer.write(image)
    writer.release()
    with opened(browser, server.http) as viewer:
        viewer.wait(has_contours, "contours")
        viewer.element("file").send_keys(str(file))
        state = viewer.wait(lambda s: s["frame"]["width"] == 320 and has_contours(s), "the video")
        assert state["source"] == "scan.webm"
        assert viewer.element("use-file").get_attribute("aria-pressed") == "true"
        assert viewer.element("use-cine").get_attribute("aria-pressed") == "false"
        # 320 x 240 is the input ten times, so the box is exactly ten times the model's.
        assert state["overlay"][0]["box"] == pytest.approx([80, 40, 240, 200], abs=1)
        assert viewer.complaints() == []


@needs_browser
def test_a_file_that_is_no_video_is_said_in_plain_words(
    browser: WebDriver, server: RunningServer, tmp_path: Path
) -> None:
    file = tmp_path / "notes.mp4"
    file.write_text("no video")
    with opened(browser, server.http) as viewer:
        viewer.wait(has_contours, "contours")
        viewer.element("file").send_keys(str(file))
        viewer.wait(lambda s: viewer.element("message").is_displayed(), "a message")
        assert "can't play “notes.mp4”" in viewer.element("message-words").text


@needs_browser
def test_the_camera_is_streamed(browser: WebDriver, server: RunningServer) -> None:
    with opened(browser, server.http) as viewer:
        viewer.wait(has_contours, "contours")
        viewer.element("use-camera").click()
        # Chromium's stand-in for a camera may be too bright for the crafted model: being answered is what counts.
        counts = viewer.wait(lambda s: s["source"] != "Built-in cine (synthetic)", "the camera")["counts"]
        answered = counts["results"] + counts["skipped"]
        viewer.wait(lambda s: s["counts"]["results"] + s["counts"]["skipped"] > answered + 5, "frames of the camera")


@needs_browser
def test_the_legend_lists_the_structures_of_the_model(
    browser: WebDriver, crafted_settings: Settings, tmp_path: Path
) -> None:
    names = ("yolk_sac", "heart", *(f"part {number}" for number in range(3, 18)))
    model = write_crafted_model(tmp_path / "crafted.onnx", facts=crafted_facts(structures=names).to_json())
    with running(replace(crafted_settings, model=str(model))) as other, opened(browser, other.http) as viewer:
        state = viewer.wait(has_contours, "contours")
        assert state["overlay"][0]["structure"] == "yolk_sac"
        assert state["frame"]["view"] is None
        rows = browser.find_elements(By.CSS_SELECTOR, "#legend [data-structure]")
        shown = {
            str(row.get_attribute("data-structure")): (
                row.find_element(By.CLASS_NAME, "name").text,
                browser.execute_script("return arguments[0].style.getPropertyValue('--color')", row),
            )
            for row in rows
        }
        expected = {s.name: (s.title, "rgba({}, {}, {}, 1)".format(*s.color)) for s in describe(names)}
        assert shown == expected
        # The heart belongs to a view, all else to none; and names of views without structures are left out.
        assert [heading.text for heading in browser.find_elements(By.CSS_SELECTOR, "#legend h3")] == ["Thorax", "Other"]
        browser.find_element(By.CSS_SELECTOR, "[data-structure=yolk_sac] input").click()
        assert viewer.state()["overlay"][0]["drawn"] is False
        assert viewer.complaints() == []


@needs_browser
def test_the_token_is_asked_for_and_kept_in_this_tab_only(browser: WebDriver, crafted_settings: Settings) -> None:
    guarded_settings = replace(crafted_settings, tokens="tablet:sesame-sesame-sesame")
    with running(guarded_settings) as guarded, opened(browser, guarded.http) as viewer:
        viewer.wait(lambda s: s["connection"] == "token", "the token field")
        assert "A token is required." in viewer.element("token-form").text
        viewer.element("token").send_keys("sesame-sesame-sesame" + Keys.ENTER)
        viewer.wait(has_contours, "contours")
        assert not viewer.element("token").is_displayed()
        assert browser.execute_script("return localStorage.length + document.cookie.length") == 0
        browser.refresh()
        viewer.wait(has_contours, "contours after a reload")


@needs_browser
def test_a_lost_server_is_said_and_found_again(browser: WebDriver, crafted_settings: Settings) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(running(crafted_settings))
        port = int(first.http.rpartition(":")[2])
        with opened(browser, first.http) as viewer:
            before = viewer.wait(has_contours, "contours")
            stack.close()
            viewer.wait(lambda s: s["connection"] == "waiting", "the loss")
            viewer.wait(lambda s: "Trying again in" in viewer.element("banner").text, "the time of the next attempt")
            assert "Connection lost" in viewer.element("banner").text
            bare = viewer.wait(lambda s: not s["frame"]["hasContours"], "the picture without contours")
            assert bare["overlay"] == []
            assert viewer.element("badge").text == "LIVE PICTURE WITHOUT CONTOURS"
            with running(replace(crafted_settings, port=port)):
                again = viewer.wait(has_contours, "contours after the server came back")
                assert again["session"] != before["session"]
                assert not viewer.element("badge").is_displayed()


@needs_browser
def test_controls_have_names_and_nothing_is_wider_than_a_narrow_window(
    browser: WebDriver, server: RunningServer
) -> None:
    with opened(browser, server.http) as viewer:
        nameless = browser.execute_script(
            "return [...document.querySelectorAll('button, input')].filter((e) =>"
            " !e.textContent.trim() && !e.ariaLabel && !(e.labels && e.labels.length)).map((e) => e.id)"
        )
        assert nameless == []
        viewer.wait(has_contours, "contours")
        browser.set_window_size(500, 900)
        try:
            width, content = browser.execute_script("return [innerWidth, document.documentElement.scrollWidth]")
            assert content <= width
        finally:
            browser.set_window_size(1400, 900)


def test_the_viewers_table_of_structures_is_that_of_the_library() -> None:
    source = (STATIC / "js" / "anatomy.js").read_text()
    pattern = r'\{ id: (\d+), name: "(\w+)", title: "([^"]+)", group: "(\w+)", color: \[(\d+), (\d+), (\d+)\] \}'
    table = [
        (int(number), name, title, group, (int(red), int(green), int(blue)))
        for number, name, title, group, red, green, blue in re.findall(pattern, source)
    ]
    assert table == [(s.id, s.name, s.title, s.group, s.color) for s in STRUCTURES]
    titles = source.partition("VIEW_TITLES")[2].partition("}")[0]
    assert re.findall(r"^  (\w+):", titles, re.MULTILINE) == [view.name for view in VIEWS]


def test_the_viewer_reaches_for_nothing_outside() -> None:
    texts = {
        path.name: path.read_text()
        for path in STATIC.rglob("*")
        if path.suffix in (".html", ".css", ".js", ".svg", ".ts")
    }
    assert {"index.html", "viewer.css", "app.js", "favicon.svg"} <= set(texts)
    outside = {name: re.findall(r"(?:https?:)?//[a-z][\w.-]+\.[a-z]+\S*", text) for name, text in texts.items()}
    assert {name: found for name, found in outside.items() if found} == {
        "favicon.svg": ['http://www.w3.org/2000/svg"']  # the name of the format, not an address that is fetched
    }
