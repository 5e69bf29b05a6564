"""The examination in the viewer: check list, report, reload, and a connection that breaks meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from crafted_model import crafted_facts, write_crafted_model
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.wait import WebDriverWait

from fetalseg_server.settings import Settings
from server.broken_link import BrokenLink
from server.live import RunningServer, running
from server.page import PATIENCE_S, Viewer, downloaded, has_contours, opened, requested

TOKEN = "sesame-sesame-sesame"


@contextmanager
def examining(browser: WebDriver, url: str) -> Iterator[Viewer]:
    """The viewer with an examination that has seen the model's cranium; ended afterwards, as a person would."""
    with opened(browser, url) as viewer:
        viewer.wait(has_contours, "contours")
        viewer.press("e")
        try:
            viewer.wait(seen_cranium, "the cranium on the check list")
            yield viewer
        finally:
            browser.execute_script("sessionStorage.removeItem('fetalseg-session')")


def seen_cranium(state: dict[str, Any]) -> bool:
    # The cranium is all that the head view needs.
    return bool(state["examination"] == {"structures": 1, "views": 1})


def mark(viewer: Viewer, name: str) -> str | None:
    """What stands beside a structure, in words."""
    return viewer.structure(name).find_element(By.CLASS_NAME, "mark").get_attribute("aria-label")


def test_without_an_examination_nothing_is_kept_and_no_list_is_shown(browser: WebDriver, server: RunningServer) -> None:
    with opened(browser, server.http) as viewer:
        state = viewer.wait(has_contours, "contours")
        assert "examination" in state["features"]
        assert state["examination"] is None
        assert "in memory only" in viewer.element("examination").text
        assert not viewer.structure("cranium").find_element(By.CLASS_NAME, "mark").is_displayed()


def test_the_check_list_fills_and_says_what_is_missing(browser: WebDriver, server: RunningServer) -> None:
    with examining(browser, server.http) as viewer:
        assert viewer.element("seen-words").text == "1 of 17 structures, 1 of 6 views complete"
        assert viewer.element("seen").get_attribute("value") == "1"
        assert (mark(viewer, "cranium") or "").startswith("seen, best 90 %")
        assert mark(viewer, "spine") == "not yet"
        views = [
            group.get_attribute("aria-label") or ""
            for group in browser.find_elements(By.CSS_SELECTOR, "#legend .group .mark")
        ]
        assert views[0].startswith("complete, best 90 %")
        assert views[1].startswith("not yet, not yet in it: Nasal bone")
        viewer.element("end").click()
        viewer.element("end-not").click()
        assert viewer.state()["examination"] is not None, "asked and not ended"
        viewer.element("end").click()
        viewer.element("end-now").click()
        assert viewer.state()["examination"] is None
        assert viewer.complaints() == []


def test_the_report_opens_in_a_tab_as_it_should_look_and_is_saved(
    browser: WebDriver, crafted_settings: Settings, downloads: Path
) -> None:
    with running(replace(crafted_settings, tokens=f"ward:{TOKEN}")) as guarded:
        browser.get(guarded.http)
        browser.execute_script("sessionStorage.setItem('fetalseg-token', arguments[0])", TOKEN)
        with examining(browser, guarded.http) as viewer:
            page = browser.current_window_handle
            requested(browser)
            viewer.press("r")
            viewer.wait(lambda s: len(browser.window_handles) == 2, "the report's tab")
            (tab,) = set(browser.window_handles) - {page}
            browser.switch_to.window(tab)
            try:
                heading = WebDriverWait(browser, PATIENCE_S).until(lambda b: b.find_element(By.TAG_NAME, "h1"))
                assert browser.current_url.startswith("blob:")
                assert heading.value_of_css_property("font-size") == "26px", "its style is allowed"
                (width,) = {
                    browser.execute_script("return arguments[0].naturalWidth", image)
                    for image in browser.find_elements(By.TAG_NAME, "img")
                }
                assert width == 480
            finally:
                browser.close()
                browser.switch_to.window(page)
            assert all(TOKEN not in address for address in requested(browser)), "no token in an address"
            viewer.element("save-report").click()
            saved = downloaded(downloads, "fetalseg-report-*.html").read_text()
            assert saved.startswith("<!doctype html>")
            assert "data:image/jpeg;base64," in saved
            assert viewer.complaints() == []


def test_an_examination_outlives_a_reload_and_a_broken_connection(browser: WebDriver, server: RunningServer) -> None:
    link = BrokenLink(int(server.host.rpartition(":")[2]))
    try:
        with examining(browser, f"http://127.0.0.1:{link.port}") as viewer:
            session = viewer.state()["session"]
            link.cut()
            viewer.wait(lambda s: s["counts"]["connections"] == 2, "the connection to come back")
            after = viewer.wait(lambda s: seen_cranium(s) and has_contours(s), "the check list")
            assert after["session"] == session
            assert not viewer.element("message").is_displayed()

            browser.refresh()
            again = viewer.wait(lambda s: seen_cranium(s) and has_contours(s), "the check list after a reload")
            assert again["session"] == session
            viewer.element("end").click()
            viewer.element("end-now").click()
    finally:
        browser.get("about:blank")
        link.close()


def test_a_session_that_is_lost_for_good_begins_its_list_afresh_and_says_so(
    browser: WebDriver, crafted_settings: Settings
) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(running(crafted_settings))
        port = int(first.http.rpartition(":")[2])
        with examining(browser, first.http) as viewer:
            session = viewer.state()["session"]
            stack.close()
            viewer.wait(lambda s: s["connection"] == "waiting", "the loss")
            with running(replace(crafted_settings, port=port)):
                state = viewer.wait(lambda s: s["session"] not in (None, session) and seen_cranium(s), "a new list")
                assert state["connection"] == "ready"
                assert "the check list starts afresh" in viewer.element("message").text


def test_a_model_of_other_structures_has_no_examination(
    browser: WebDriver, crafted_settings: Settings, tmp_path: Path
) -> None:
    names = ("yolk_sac", *(f"part {number}" for number in range(2, 18)))
    model = write_crafted_model(tmp_path / "crafted.onnx", facts=crafted_facts(structures=names).to_json())
    with running(replace(crafted_settings, model=str(model))) as other, opened(browser, other.http) as viewer:
        viewer.wait(has_contours, "contours")
        assert not viewer.element("examination").is_displayed()
        viewer.press("e")
        assert viewer.state()["examination"] is None
        assert not viewer.element("message").is_displayed()
