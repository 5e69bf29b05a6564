"""The viewer in headless Chromium, against a real server whose model finds the same cranium in every frame."""

from __future__ import annotations

import re
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from crafted_model import crafted_facts, write_crafted_model
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver

from fetalseg.taxonomy import describe
from fetalseg_server.protocol import FrameFlag
from fetalseg_server.settings import Settings
from server.live import RunningServer, running
from server.page import downloaded, has_contours, opened


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
        assert found["trackId"] > 1  # of the cine's second view, or a later one
        assert re.search(r"Cranium\s+#1 90 %", row.text)
        assert viewer.element("view-name").text.startswith("Head view")
        assert "crafted 1.0.0" in viewer.element("model").text
        assert viewer.element("connection-words").text == "Connected"
        assert "Research use only. Not a medical device." in browser.find_element(By.TAG_NAME, "header").text
        assert int(viewer.element("figure-results").text) > 0
        assert viewer.complaints() == []


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


def test_another_source_ends_the_freeze_and_comes_to_life(browser: WebDriver, server: RunningServer) -> None:
    with opened(browser, server.http) as viewer:
        viewer.wait(has_contours, "contours")
        viewer.press(" ")
        frozen = viewer.wait(lambda s: s["frozen"], "the freeze")
        assert viewer.element("age").text == "frame held"
        viewer.element("use-cine").click()
        state = viewer.wait(lambda s: s["frame"]["sequence"] > frozen["frame"]["sequence"] + 3, "the live picture")
        assert not state["frozen"]
        assert not viewer.element("badge").is_displayed()
        assert viewer.complaints() == []


def test_what_begins_while_the_page_is_hidden_is_not_taken_for_what_was_before(
    browser: WebDriver, server: RunningServer
) -> None:
    with opened(browser, server.http) as viewer:
        viewer.wait(has_contours, "contours")
        browser.execute_script("""
            window.passed = 0;
            const { close } = ImageBitmap.prototype;
            ImageBitmap.prototype.close = function () { passed += 1; close.call(this); };
            Object.defineProperty(document, "hidden", { configurable: true, value: true });
        """)
        sent = viewer.wait(lambda s: s["unanswered"] == 0, "the last answers")["counts"]["sent"]
        browser.execute_script("passed = 0")
        viewer.element("use-cine").click()
        viewer.wait(lambda s: browser.execute_script("return passed") > 3, "pictures that nobody sees")
        assert viewer.state()["counts"]["sent"] == sent
        flags = browser.execute_async_script("""
            const [done] = arguments;
            const { send } = WebSocket.prototype;
            WebSocket.prototype.send = function (message) {
              send.call(this, message);
              if (typeof message === "string") return;
              WebSocket.prototype.send = send;
              done(new DataView(message.buffer).getUint16(6, true));
            };
            delete document.hidden;
        """)
        assert flags == FrameFlag.DISCONTINUITY


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


def test_the_camera_is_streamed(browser: WebDriver, crafted_settings: Settings) -> None:
    settings = replace(crafted_settings, max_pixels=800 * 450)
    with running(settings) as roomy, opened(browser, roomy.http) as viewer:
        viewer.wait(has_contours, "contours")
        viewer.element("use-camera").click()
        state = viewer.wait(lambda s: s["frame"]["width"] == 1280 and has_contours(s), "contours of the camera")
        assert state["source"] == "fake_device_0"  # Chromium's stand-in, which has the size that is asked for
        assert viewer.element("use-camera").get_attribute("aria-pressed") == "true"
        assert state["frame"]["height"] == 720
        assert 0 < state["frame"]["ageMs"] < 10_000
        # Sent as 800 x 450: 25 times the input's 32 x 18, whose upper edge is 3 below that of the model's 24 rows.
        assert state["overlay"][0]["box"] == pytest.approx([200, 25, 600, 425], abs=12)
        assert viewer.complaints() == []


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


def test_keys_do_what_the_help_says(browser: WebDriver, server: RunningServer) -> None:
    with opened(browser, server.http) as viewer:
        viewer.wait(has_contours, "contours")
        viewer.press("?")
        help_dialog = viewer.element("help-dialog")
        assert help_dialog.is_displayed()
        told = dict(re.findall(r"^(.+)\n(.+)$", viewer.element("keys").text, re.MULTILINE))
        assert told["Space"] == "Freeze, and go on"
        assert told["C"] == "Contours on or off"
        viewer.press("c")
        assert viewer.state()["settings"]["contours"], "keys rest while the help is open"
        viewer.press(Keys.ESCAPE)
        assert not help_dialog.is_displayed()

        viewer.press("c")
        viewer.press("n")
        viewer.press("]")
        viewer.press("+")
        settings = viewer.state()["settings"]
        assert (settings["contours"], settings["labels"]) == (False, False)
        assert (settings["opacity"], settings["threshold"]) == (1.0, 0.45)
        viewer.press("1")  # the structures of the first view, the head
        rows = ("cranium", "choroid_plexus", "midline_falx", "palate")
        boxes = {name: viewer.structure(name).find_element(By.TAG_NAME, "input") for name in rows}
        assert [boxes[name].is_selected() for name in rows] == [False, False, False, True]
        viewer.press("a")
        assert all(box.is_selected() for box in boxes.values())
        viewer.press("a")
        assert not any(box.is_selected() for box in boxes.values())

        viewer.press("p")
        assert not browser.find_element(By.TAG_NAME, "aside").is_displayed()
        viewer.press("p")
        assert browser.find_element(By.TAG_NAME, "aside").is_displayed()
        viewer.press("f")
        viewer.wait(lambda s: browser.execute_script("return document.fullscreenElement?.id") == "stage", "full screen")
        assert "Research use only. Not a medical device." in viewer.element("stage").text
        viewer.press("f")
        viewer.wait(lambda s: browser.execute_script("return document.fullscreenElement === null"), "the page")
        assert viewer.complaints() == []


def test_a_key_that_is_held_acts_once_but_for_sliders(browser: WebDriver, server: RunningServer) -> None:
    def held(key: str) -> None:
        event = "new KeyboardEvent('keydown', { key: arguments[0], repeat: true, bubbles: true })"
        browser.execute_script(f"document.body.dispatchEvent({event})", key)

    with opened(browser, server.http) as viewer:
        viewer.wait(has_contours, "contours")
        for key in (" ", "c", "s"):
            held(key)
        held("]")
        held("+")
        state = viewer.state()
        assert not state["frozen"]
        settings = state["settings"]
        assert (settings["contours"], settings["opacity"], settings["threshold"]) == (True, 1.0, 0.45)


def test_the_space_bar_freezes_whatever_was_clicked_last(browser: WebDriver, server: RunningServer) -> None:
    with opened(browser, server.http) as viewer:
        viewer.wait(has_contours, "contours")
        for name in ("show-labels", "panels", "opacity"):
            before = viewer.state()["frozen"]
            viewer.element(name).click()
            settings = viewer.state()["settings"]
            ActionChains(browser).send_keys(" ").perform()
            assert viewer.state()["frozen"] is not before, name
            assert viewer.state()["settings"] == settings
            if name == "panels":
                viewer.element(name).click()
        # Who goes through the page with Tab uses controls as everywhere.
        viewer.element("show-contours").send_keys(Keys.TAB)
        assert browser.switch_to.active_element == viewer.element("show-labels")
        browser.switch_to.active_element.send_keys(" ")
        assert viewer.state()["settings"]["labels"] is not settings["labels"]


def test_a_screenshot_holds_the_picture_its_contours_and_where_it_came_from(
    browser: WebDriver, server: RunningServer, downloads: Path
) -> None:
    with opened(browser, server.http) as viewer:
        viewer.wait(has_contours, "contours")
        viewer.press(" ")
        (x1, y1, x2, y2) = viewer.state()["overlay"][0]["box"]
        viewer.press("s")
        shot = cv2.imread(str(downloaded(downloads, "fetalseg-2*.png")))
        assert shot is not None
        assert shot.shape == (2 * 336 + 28, 2 * 480, 3)  # enlarged twice to be 960 wide, and the footer
        # The left side of the contour, at half its height: cyan, where an ultrasound picture is gray.
        band = shot[round(y1 + y2), round(2 * x1) - 4 : round(2 * x1) + 5].astype(int)
        assert (band[:, 0] - band[:, 2]).max() > 80  # blue over red
        footer = shot[-28:]
        assert len(np.unique(footer)) > 4, "the footer has its words"
        assert (x1, x2) != (0, 0)


def test_a_skipped_frame_shows_its_reason_and_then_the_bare_picture(
    browser: WebDriver, server: RunningServer, tmp_path: Path
) -> None:
    file = tmp_path / "bright.webm"
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"VP80"), 25, (320, 240))
    for _ in range(50):
        writer.write(np.full((240, 320, 3), 220, np.uint8))  # the crafted model's output is then not finite
    writer.release()
    with opened(browser, server.http) as viewer:
        viewer.wait(has_contours, "contours")
        viewer.element("file").send_keys(str(file))
        viewer.wait(lambda s: viewer.element("skip-badge").is_displayed(), "the badge")
        assert viewer.element("skip-badge").text == "Skipped: the engine failed and is being restarted"
        state = viewer.wait(lambda s: s["counts"]["skipped"] > 0 and not s["frame"]["hasContours"], "the bare picture")
        assert state["overlay"] == []
        assert viewer.element("badge").text == "LIVE PICTURE WITHOUT CONTOURS"
        assert viewer.element("figure-skipped").get_attribute("data-alarm") == "true"
        viewer.element("use-cine").click()
        viewer.wait(has_contours, "contours")
        viewer.wait(lambda s: not viewer.element("skip-badge").is_displayed(), "the badge to go")


def test_another_model_is_named_without_a_new_connection(
    browser: WebDriver, crafted_settings: Settings, tmp_path: Path
) -> None:
    model = tmp_path / "crafted.onnx"
    write_crafted_model(model)
    with running(replace(crafted_settings, model=str(model))) as live, opened(browser, live.http) as viewer:
        viewer.wait(has_contours, "contours")
        write_crafted_model(model, facts=replace(crafted_facts(), version="2.0.0").to_json())
        live.reload()
        viewer.wait(lambda s: "crafted 2.0.0" in viewer.element("model").text, "the name of the new model")
        assert viewer.element("message").is_displayed(), "a person is told that the results come from another model"
        assert viewer.state()["counts"]["connections"] == 1
