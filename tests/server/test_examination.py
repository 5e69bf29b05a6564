"""An examination as a console lives through it: check list in the results, summary and report at the end.

The crafted model finds the same cranium (score 0.9) in every frame.
"""

from __future__ import annotations

import base64
import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from fetalseg.examination_report import CONTENT_SECURITY_POLICY
from fetalseg_server.settings import Settings
from server.live import GRAY8, JPEG, Client, RunningServer, encoded, picture, running

JPEG_BYTES = encoded(picture())
DULL = encoded(picture() // 2)
TOKENS = "room-1:secret-1,room-2:secret-2"
HELLO = {"token": "secret-1", "examination": True, "masks": "none"}


@pytest.fixture(scope="module")
def server(crafted_settings: Settings) -> Iterator[RunningServer]:
    with running(replace(crafted_settings, tokens=TOKENS, examination_bytes=60_000)) as live:
        yield live


def get(server: RunningServer, session: str, token: str = "secret-1", accept: str = "*/*") -> Any:
    headers = {"Authorization": f"Bearer {token}", "Accept": accept}
    request = urllib.request.Request(f"{server.http}/v1/sessions/{session}/summary", headers=headers)
    return urllib.request.urlopen(request, timeout=60)


def summary(server: RunningServer, session: str) -> dict[str, Any]:
    with get(server, session) as answer:
        assert answer.headers["content-type"] == "application/json"
        values = json.load(answer)
    assert isinstance(values, dict)
    return values


def refusal(server: RunningServer, session: str, token: str = "secret-1") -> tuple[int, str, str]:
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(server, session, token)
    with caught.value as answer:
        error = json.load(answer)["error"]
    return answer.code, error["code"], error["message"]


def test_ready_says_that_check_lists_are_kept(server: RunningServer) -> None:
    with Client(server.url, HELLO) as client:
        assert {"examination", "resume"} <= set(client.ready["features"])


def test_the_first_result_brings_the_whole_list_and_the_next_ones_what_changed(server: RunningServer) -> None:
    with Client(server.url, HELLO) as client:
        first = client.ask(10, DULL)
        assert (len(first["examination"]["structures"]), len(first["examination"]["views"])) == (17, 6)
        cranium = first["examination"]["structures"]["cranium"]
        assert (cranium["status"], cranium["frames"], cranium["times"]) == ("seen", 1, 1)
        assert cranium["first_us"] == cranium["last_us"] == first["received_us"]
        assert cranium["best"].items() >= {"sequence": 10, "time_us": first["received_us"], "score": 0.9}.items()
        assert cranium["best"]["sharpness"] > 0
        head = first["examination"]["views"]["head"]
        assert (head["status"], head["missing"], head["best"]["sequence"]) == ("complete", [], 10)
        assert first["examination"]["structures"]["heart"]["status"] == "not_yet"

        assert "examination" not in client.ask(11, DULL)

        news = client.ask(12, JPEG_BYTES)["examination"]
        assert {name: entry["best"]["sequence"] for part in news.values() for name, entry in part.items()} == {
            "cranium": 12,
            "head": 12,
        }


def test_who_does_not_ask_for_an_examination_gets_none_and_nothing_is_kept(server: RunningServer) -> None:
    with Client(server.url, {**HELLO, "examination": False}) as client:
        assert "examination" not in client.ask(1, JPEG_BYTES)
        session = client.ready["session"]
        (live,) = server.server.service.sessions
        assert live.record.examination is None
        assert refusal(server, session) == (404, "no_examination", "this session keeps no check list")


def test_an_examination_begins_and_ends_with_configure(server: RunningServer) -> None:
    with Client(server.url, {**HELLO, "examination": False}) as client:
        client.ask(1, JPEG_BYTES)
        client.send_json({"type": "configure", "examination": True})
        assert client.receive()["options"]["examination"] is True
        assert client.ask(2, JPEG_BYTES)["examination"]["structures"]["cranium"]["frames"] == 1
        client.send_json({"type": "configure", "examination": False})
        assert client.receive()["options"]["examination"] is False
        assert "examination" not in client.ask(3, JPEG_BYTES)
        (live,) = server.server.service.sessions
        assert live.record.examination is None


def test_a_frozen_picture_counts_once(server: RunningServer) -> None:
    with Client(server.url, HELLO) as client:
        for sequence in range(1, 6):
            client.ask(sequence, JPEG_BYTES, flags=1)
        assert summary(server, client.ready["session"])["examination"]["structures"]["cranium"]["frames"] == 1


def test_the_summary_tells_how_it_stands_now_and_after_the_end(server: RunningServer) -> None:
    with Client(server.url, HELLO) as client:
        session = client.ready["session"]
        assert summary(server, session)["frames"] == {"result": 0, "skipped": 0}
        client.ask(1, JPEG_BYTES)
        client.ask(2, b"no image")
        values = summary(server, session)
        assert values["session"] == session
        assert values["state"] == "connected"
        assert values["frames"] == {"result": 1, "skipped": 1}
        model = client.ready["model"]
        assert values["models"] == [{name: model[name] for name in ("name", "version", "sha256")}]
        assert values["engine"] == client.ready["engine"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", values["started_at"])
        assert values["research_use_only"] is True
        assert values["examination"]["structures"]["cranium"]["status"] == "seen"
        client.send_json({"type": "bye"})
        assert client.end() == (None, 1000)
    server.wait_until(lambda: summary(server, session)["state"] == "ended")
    ended = summary(server, session)
    assert ended["examination"] == values["examination"]
    assert summary(server, session)["duration_s"] == ended["duration_s"] > 0


def test_only_the_token_that_owns_the_session_reads_its_summary(server: RunningServer) -> None:
    unknown = (404, "unknown_session", "no such session, or not any more")
    with Client(server.url, HELLO) as client:
        session = client.ready["session"]
        assert summary(server, session)["session"] == session
        assert refusal(server, session, "secret-2") == unknown
        assert refusal(server, "0" * 32, "secret-2") == unknown
        assert refusal(server, "0" * 32) == unknown
        assert refusal(server, session, "wrong")[:2] == (401, "not_authorised")


def report(server: RunningServer, session: str) -> tuple[str, Any]:
    with get(server, session, accept="text/html,application/xhtml+xml,*/*;q=0.8") as answer:
        return answer.read().decode(), answer.headers


def images(page: str) -> list[np.ndarray[Any, Any]]:
    """The pictures of a report, BGR."""
    found = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    decoded = [cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR) for data in found]
    return [np.asarray(image) for image in decoded]


def test_the_report_is_a_page_with_the_best_frame_and_what_was_found_in_it(server: RunningServer) -> None:
    with Client(server.url, HELLO) as client:
        client.ask(7, JPEG_BYTES)
        page, headers = report(server, client.ready["session"])
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["cache-control"] == "no-store"
    assert headers.get_all("content-security-policy") == [CONTENT_SECURITY_POLICY]
    assert headers["content-disposition"] == f'inline; filename="examination-{client.ready["session"][:8]}.html"'
    assert headers["x-content-type-options"] == "nosniff"
    assert client.ready["session"] in page
    assert client.ready["model"]["sha256"] in page
    (image,) = images(page)  # once, though it is the best of the head and of the cranium
    assert image.shape == (120, 160, 3)
    # The cranium's colour lies over gray: inside its box 40, 20, 120, 100, and not outside of it.
    saturation = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)[:, :, 1].astype(int)
    assert saturation[40:80, 60:100].mean() > 60
    assert saturation[105:, 125:].mean() < 30


def test_frames_of_packed_rows_are_drawn_too(server: RunningServer) -> None:
    with Client(server.url, HELLO) as client:
        client.ask(1, picture().tobytes(), GRAY8, size=(160, 120))
        page, _ = report(server, client.ready["session"])
    assert [image.shape for image in images(page)] == [(120, 160, 3)]


def test_the_report_of_an_examination_without_frames_has_no_pictures(server: RunningServer) -> None:
    with Client(server.url, HELLO) as client:
        page, _ = report(server, client.ready["session"])
    assert images(page) == []
    assert "0 of 17 structures seen" in page


def test_a_frame_that_the_engine_cannot_draw_is_named(server: RunningServer) -> None:
    with Client(server.url, HELLO) as client:
        client.ask(1, JPEG_BYTES)
        worker = server.worker()
        worker.kill()
        page, _ = report(server, client.ready["session"])
        assert "This frame could not be drawn." in page
        server.wait_until(lambda: server.server.service.ready)
        page, _ = report(server, client.ready["session"])
    assert len(images(page)) == 1


def test_the_check_list_outlives_a_worker(server: RunningServer) -> None:
    with Client(server.url, HELLO) as client:
        client.ask(1, JPEG_BYTES)
        server.worker().kill()
        server.wait_until(lambda: not server.server.service.ready)
        server.wait_until(lambda: server.server.service.ready)
        sequence = 2
        while client.ask(sequence, JPEG_BYTES)["type"] != "result":
            sequence += 1
        cranium = summary(server, client.ready["session"])["examination"]["structures"]["cranium"]
        assert (cranium["frames"], cranium["best"]["sequence"]) == (2, 1)


def test_frames_that_do_not_fit_are_not_kept(server: RunningServer) -> None:
    rows = np.full((480, 640), 60, np.uint8)
    with Client(server.url, HELLO) as client:
        client.ask(1, rows.tobytes(), GRAY8, size=(640, 480))  # 307,200 bytes, 60,000 allowed
        (live,) = server.server.service.sessions
        assert live.record.examination is not None
        assert live.record.examination.kept_bytes == 0
        cranium = summary(server, client.ready["session"])["examination"]["structures"]["cranium"]
        assert (cranium["status"], cranium["best"]) == ("seen", None)
        assert client.ask(2, JPEG_BYTES, JPEG)["examination"]["structures"]["cranium"]["best"]["sequence"] == 2


def test_the_entries_in_the_readme_have_the_keys_that_are_sent(server: RunningServer) -> None:
    text = (Path(__file__).parents[2] / "server" / "README.md").read_text()
    described = json.loads(text.split("## The examination")[1].split("```json")[1].split("```")[0])
    with Client(server.url, HELLO) as client:
        sent = client.ask(1, JPEG_BYTES)["examination"]
    (structure,), (view,) = described["structures"].values(), described["views"].values()
    for entry, real in ((structure, sent["structures"]["cranium"]), (view, sent["views"]["head"])):
        assert list(entry) == list(real)
        assert list(entry["best"]) == list(real["best"])
