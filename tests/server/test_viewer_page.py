"""The viewer as a page: what it asks for, what it leaves behind, who can use it, and on which screens."""

from __future__ import annotations

import re
import socket
import urllib.error
import urllib.request
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver

from fetalseg.anatomy import STRUCTURES, VIEWS
from fetalseg_server.app import STATIC
from fetalseg_server.settings import Settings
from server.live import RunningServer, running
from server.page import ELSEWHERE, has_contours, opened, requested, sized

# Each element with text of its own, and the contrast of that text to the ground behind it (WCAG 2.2, 1.4.3).
CONTRASTS = """
const parse = (color) => {
  const numbers = color.match(/[\\d.]+/g).map(Number);
  const scale = color.startsWith('color(') ? 255 : 1;
  return [...numbers.slice(0, 3).map((n) => n * scale), numbers[3] ?? 1];
};
const over = (top, ground) => [0, 1, 2].map((i) => top[i] * top[3] + ground[i] * (1 - top[3])).concat(1);
const ground = (e) => {
  if (!e) return [0, 0, 0, 1];
  const own = parse(getComputedStyle(e).backgroundColor);
  return own[3] === 1 ? own : over(own, ground(e.parentElement));
};
const luminance = (c) => {
  const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const [r, g, b] = c.slice(0, 3).map((v) => linear(v / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const found = [];
for (const e of document.querySelectorAll('body *')) {
  const text = [...e.childNodes].filter((n) => n.nodeType === 3).map((n) => n.textContent.trim()).join(' ').trim();
  if (!text || !e.checkVisibility() || e.closest('.visually-hidden')) continue;
  const behind = ground(e);
  const lights = [luminance(over(parse(getComputedStyle(e).color), behind)), luminance(behind)].sort((a, b) => b - a);
  found.push([text, (lights[0] + 0.05) / (lights[1] + 0.05)]);
}
return found;
"""


def test_no_request_leaves_the_host_and_nothing_is_kept_in_the_browser(
    browser: WebDriver, server: RunningServer
) -> None:
    with opened(browser, server.http) as viewer:
        requested(browser)
        browser.refresh()
        viewer.wait(has_contours, "contours")
        viewer.press("?")
        addresses = requested(browser)
        assert server.url in addresses
        assert any(address.endswith("/cine/cine.mjpeg") for address in addresses)
        fetched = [urlsplit(address) for address in addresses]
        assert {url.netloc for url in fetched if url.scheme not in ("blob", "data")} == {server.host}
        kept = """
            const done = arguments[0];
            Promise.all([caches.keys(), indexedDB.databases()]).then(([a, b]) =>
              done([a.length, b.length, localStorage.length, sessionStorage.length, document.cookie]));
        """
        assert browser.execute_async_script(kept) == [0, 0, 0, 0, ""]


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json"])
def test_there_are_no_generated_pages_with_resources_from_elsewhere(server: RunningServer, path: str) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with pytest.raises(urllib.error.HTTPError, match="404"):
        opener.open(server.http + path)


def test_the_viewer_reaches_for_nothing_outside() -> None:
    suffixes = (".html", ".css", ".js", ".svg", ".ts")
    texts = {path.name: path.read_text() for path in STATIC.rglob("*") if path.suffix in suffixes}
    assert {"index.html", "viewer.css", "app.js", "session.js", "favicon.svg"} <= set(texts)
    outside = {name: re.findall(r"(?:https?:)?//[a-z][\w.-]+\.[a-z]+\S*", text) for name, text in texts.items()}
    assert {name: found for name, found in outside.items() if found} == {
        "favicon.svg": ['http://www.w3.org/2000/svg"']  # the name of the format, not an address that is fetched
    }


def test_a_page_that_is_not_trusted_with_a_camera_says_what_it_needs(
    browser: WebDriver, crafted_settings: Settings
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    page = f"http://{ELSEWHERE}:{port}"
    settings = replace(crafted_settings, port=port, tokens="ward:sesame-sesame-sesame", allow_origins=(page,))
    with running(settings), opened(browser, page) as viewer:
        viewer.wait(lambda s: s["connection"] == "token", "the token field")
        viewer.element("token").send_keys("sesame-sesame-sesame" + Keys.ENTER)
        viewer.wait(has_contours, "contours")
        assert viewer.element("use-camera").text == "Camera (needs HTTPS or localhost)"
        viewer.element("use-camera").click()
        viewer.wait(lambda s: viewer.element("message").is_displayed(), "a message")
        assert "only on pages served over HTTPS or from localhost" in viewer.element("message-words").text


def test_a_trusted_page_offers_the_camera_without_a_word(browser: WebDriver, server: RunningServer) -> None:
    with opened(browser, server.http) as viewer:
        assert viewer.element("use-camera").text == "Camera"


def test_everything_can_be_named_and_read(browser: WebDriver, server: RunningServer) -> None:
    with opened(browser, server.http) as viewer:
        viewer.wait(has_contours, "contours")
        viewer.press(" ")
        nameless = browser.execute_script(
            "return [...document.querySelectorAll('button, input, progress, [role=img], dialog')].filter((e) =>"
            " !e.textContent.trim() && !e.ariaLabel && !e.title && !e.hasAttribute('aria-labelledby')"
            " && !(e.labels && e.labels.length)).map((e) => e.id || e.className)"
        )
        assert nameless == []
        broken = browser.execute_script(
            "return ['aria-labelledby', 'for'].flatMap((name) => [...document.querySelectorAll(`[${name}]`)].map("
            "(e) => e.getAttribute(name))).filter((id) => !document.getElementById(id))"
        )
        assert broken == []
        viewer.press("?")
        contrasts = browser.execute_script(CONTRASTS)
        assert len(contrasts) > 40
        assert [(text, round(ratio, 1)) for text, ratio in contrasts if ratio < 4.5] == []


def test_every_control_is_reached_by_tab_and_shows_it(browser: WebDriver, server: RunningServer) -> None:
    with opened(browser, server.http) as viewer:
        viewer.wait(has_contours, "contours")
        viewer.press(" ")
        reached: list[str] = []
        for _ in range(60):
            browser.switch_to.active_element.send_keys(Keys.TAB)
            name, outline = browser.execute_script(
                "const e = document.activeElement; return [e.id || e.closest('[data-structure]')?.dataset.structure,"
                " getComputedStyle(e).outlineStyle]"
            )
            if name in reached:
                break
            if name:
                reached.append(name)
                assert outline != "none", f"{name} doesn't show that it has the focus"
        assert {"use-cine", "use-camera", "freeze", "screenshot", "opacity", "show-labels", "help"} <= set(reached)
        assert {structure.name for structure in STRUCTURES} <= set(reached)


@pytest.mark.parametrize(("width", "height"), [(500, 900), (1024, 768), (1280, 720), (2560, 1080)])
def test_the_page_fits(browser: WebDriver, server: RunningServer, width: int, height: int) -> None:
    with sized(browser, width, height), opened(browser, server.http) as viewer:
        viewer.wait(lambda s: has_contours(s) and viewer.element("age").text, "contours and their frame's age")
        page, content = browser.execute_script("return [innerWidth, document.documentElement.scrollWidth]")
        assert page == width
        assert content <= width
        assert viewer.element("stage").rect["width"] * viewer.element("stage").rect["height"] > 0.25 * width * height
        edges = "return ['screen', 'freeze', 'fullscreen', 'age'].map((id) => {"
        edges += " const { top, bottom, left, right } = document.getElementById(id).getBoundingClientRect();"
        edges += " return { top, bottom, left, right }; })"
        picture, first_button, last_button, age = browser.execute_script(edges)
        assert picture["bottom"] <= first_button["top"], "nothing of the picture lies behind the buttons"
        assert last_button["right"] < age["left"]
        title = viewer.element("source-title").rect
        assert not viewer.element("source-title").is_displayed() or title["x"] + title["width"] < first_button["left"]
        if width >= 1024:
            assert browser.find_element(By.TAG_NAME, "header").rect["height"] < 60, "one row"
        if width >= 1280:  # beside a console nobody scrolls
            lowest = viewer.element("show-labels").rect
            assert lowest["y"] + lowest["height"] <= height
            assert viewer.element("figure-fps").rect["y"] < height
            assert browser.execute_script(
                "const panels = document.querySelector('aside'); return panels.scrollHeight <= panels.clientHeight"
            )


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
