"""The routes beside the stream, asked with the standard library's client."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from fetalseg_server.settings import Settings
from server.live import Client, RunningServer, encoded, picture, running

JPEG_BYTES = encoded(picture())
JPEG_TYPE = {"Content-Type": "image/jpeg"}
TOKEN = "a-token-of-the-test"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        value = json.loads(self.body)
        assert isinstance(value, dict)
        return value


def ask(
    server: RunningServer, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
) -> Answer:
    connection = http.client.HTTPConnection(server.host, timeout=20)
    try:
        connection.request(method, path, body, headers or {})  # type: ignore[arg-type]
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


@pytest.fixture(scope="module")
def guarded_server(crafted_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    tokens = tmp_path_factory.mktemp("tokens") / "tokens"
    tokens.write_text(f"# consoles\nroom-1:{TOKEN}\n")
    tokens.chmod(0o600)
    with running(replace(crafted_settings, tokens_file=str(tokens))) as live:
        yield live


def test_an_image_in_gives_its_structures(server: RunningServer) -> None:
    answer = ask(server, "POST", "/v1/segment", JPEG_BYTES, {"Content-Type": "image/jpeg; charset=binary"})
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    result = answer.json
    assert (result["type"], result["view"]["name"]) == ("result", "head")
    assert result["instances"][0]["structure"] == "cranium"
    assert result["instances"][0]["box"] == pytest.approx([40, 20, 120, 100], abs=0.5)
    assert result["timing_ms"]["total"] > 0


def test_options_come_as_query_parameters(server: RunningServer) -> None:
    answer = ask(server, "POST", "/v1/segment?masks=rle&min_score=0.5&nms=matrix", JPEG_BYTES, JPEG_TYPE)
    assert answer.json["instances"][0]["rle"]["size"] == [120, 160]
    assert ask(server, "POST", "/v1/segment?min_score=0.95", JPEG_BYTES, JPEG_TYPE).json["instances"] == []


def test_an_overlay_is_a_png_of_the_frames_size(server: RunningServer) -> None:
    png = encoded(picture(color=True), ".png")
    headers = {"Content-Type": "image/png", "Accept": "image/png"}
    answer = ask(server, "POST", "/v1/segment", png, headers)
    assert (answer.status, answer.headers["content-type"]) == (200, "image/png")
    drawn = cv2.imdecode(np.frombuffer(answer.body, np.uint8), cv2.IMREAD_UNCHANGED)
    assert drawn.shape == (120, 160, 3)
    assert not np.array_equal(drawn[..., ::-1], picture(color=True))


def chunks(size: int) -> Iterator[bytes]:
    for _ in range(size // 65536):
        yield bytes(65536)


REFUSED = {
    "another type": (
        "/v1/segment",
        b"GIF89a",
        "image/gif",
        415,
        "unsupported_codec",
        "expected image/jpeg or image/png",
    ),
    "an unknown option": (
        "/v1/segment?mask=rle",
        b"",
        "image/png",
        400,
        "bad_option",
        "unknown option mask; known opt",
    ),
    "a bad value": ("/v1/segment?min_score=high", b"", "image/png", 400, "bad_option", "min_score must be a number"),
    "a bad word": ("/v1/segment?masks=svg", b"", "image/png", 400, "bad_option", "masks must be one of polygon, rle"),
    "a label map": (
        "/v1/segment?masks=labelmap",
        b"",
        "image/png",
        400,
        "bad_option",
        "masks must be polygon, rle or n",
    ),
    "no image": ("/v1/segment", b"hello", "image/jpeg", 400, "decode_error", ""),
    "nothing": ("/v1/segment", b"", "image/jpeg", 400, "decode_error", ""),
    "too many bytes": (
        "/v1/segment",
        bytes(1024 * 1024 + 1),
        "image/png",
        413,
        "too_large",
        "expected at most 1048576",
    ),
    "too many pixels": (
        *("/v1/segment", encoded(np.zeros((481, 640), np.uint8)), "image/jpeg"),
        *(413, "too_large", "image of 640x481 px is too large"),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_request_says_what_was_expected(server: RunningServer, name: str) -> None:
    path, body, kind, status, code, message = REFUSED[name]
    answer = ask(server, "POST", path, body, {"Content-Type": kind})
    error = answer.json["error"]
    assert (answer.status, error["code"]) == (status, code)
    assert error["message"].startswith(message)
    assert "/" not in error["message"].replace("image/", "")


def test_a_body_without_a_length_is_limited_while_it_is_read(server: RunningServer) -> None:
    answer = ask(server, "POST", "/v1/segment", chunks(2 * 1024 * 1024), JPEG_TYPE)  # sent in chunks
    assert (answer.status, answer.json["error"]["code"]) == (413, "too_large")


def test_images_that_wait_or_are_on_their_way_are_bounded(crafted_settings: Settings) -> None:
    with running(replace(crafted_settings, http_waiting=2)) as server, ExitStack() as stack:
        # One image is on its way, one waits for the engine.
        coming = stack.enter_context(closing(http.client.HTTPConnection(server.host, timeout=20)))
        coming.putrequest("POST", "/v1/segment")
        for name, value in {**JPEG_TYPE, "Content-Length": str(len(JPEG_BYTES))}.items():
            coming.putheader(name, value)
        coming.endheaders(JPEG_BYTES[:100])
        with server.engine_paused():
            waiting = stack.enter_context(closing(http.client.HTTPConnection(server.host, timeout=20)))
            waiting.request("POST", "/v1/segment", JPEG_BYTES, JPEG_TYPE)
            server.wait_until(lambda: server.server.service.pool.lanes[0].worker.in_flight == 1)
            refused = ask(server, "POST", "/v1/segment", JPEG_BYTES, JPEG_TYPE)
        assert (refused.status, refused.json["error"]["code"]) == (503, "overloaded")
        coming.send(JPEG_BYTES[100:])
        assert [connection.getresponse().status for connection in (waiting, coming)] == [200, 200]
        assert ask(server, "POST", "/v1/segment", JPEG_BYTES, JPEG_TYPE).status == 200


def test_models_are_listed_without_their_paths(server: RunningServer) -> None:
    answer = ask(server, "GET", "/v1/models")
    loaded = [model for model in answer.json["models"] if model["loaded"]]
    assert [model["name"] for model in loaded] == ["crafted"]
    assert set(loaded[0]) == {"name", "version", "sha256", "input", "structures", "loaded"}
    assert str(Path(server.server.service.model_path).parent) not in answer.body.decode()


def test_health_and_readiness_are_apart(server: RunningServer) -> None:
    assert ask(server, "GET", "/healthz").json == {"status": "alive"}
    assert ask(server, "GET", "/readyz").json == {"status": "ready"}


def test_metrics_count_frames_and_name_the_engine(server: RunningServer) -> None:
    with Client(server.url, {}) as client:
        client.ask(1, JPEG_BYTES)
        client.ask(2, b"no image")
        text = ask(server, "GET", "/metrics").body.decode()
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(lines['fetalseg_frames_total{outcome="result"}']) >= 1
    assert float(lines['fetalseg_frames_total{outcome="decode_error"}']) >= 1
    assert float(lines['fetalseg_stage_seconds_count{stage="infer"}']) >= 1
    assert float(lines["fetalseg_sessions"]) >= 1
    assert float(lines["fetalseg_ready"]) == 1
    assert float(lines["fetalseg_event_loop_lag_seconds_count"]) >= 1
    assert any(line.startswith('fetalseg_engine_info{engine="') and 'model="crafted"' in line for line in lines)


@pytest.mark.parametrize("path", ["/", "/healthz", "/v1/models", "/nowhere", "/docs", "/openapi.json"])
def test_every_answer_carries_the_secure_headers(server: RunningServer, path: str) -> None:
    headers = ask(server, "GET", path).headers
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in headers["content-security-policy"]
    assert "connect-src 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/../settings.py", "/%2e%2e/settings.py"])
def test_there_is_nothing_beside_the_routes_and_the_viewer(server: RunningServer, path: str) -> None:
    assert ask(server, "GET", path).status == 404


def test_without_tokens_only_this_machines_names_are_answered(server: RunningServer) -> None:
    for host, status in (("localhost", 200), ("127.0.0.1:1", 200), ("[::1]:8", 200), ("evil.example", 403), ("", 403)):
        assert ask(server, "GET", "/healthz", headers={"Host": host}).status == status


def test_a_page_of_another_site_cannot_use_the_server(server: RunningServer) -> None:
    answer = ask(server, "POST", "/v1/segment", JPEG_BYTES, {**JPEG_TYPE, "Origin": "https://evil.example"})
    assert (answer.status, answer.json["error"]["code"]) == (403, "not_authorised")
    own = ask(server, "POST", "/v1/segment", JPEG_BYTES, {**JPEG_TYPE, "Origin": f"http://{server.host}"})
    assert own.status == 200


@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/segment"), ("GET", "/v1/models"), ("GET", "/metrics")])
def test_with_tokens_a_bearer_is_required(guarded_server: RunningServer, method: str, path: str) -> None:
    for header in (None, "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN[:-1]}"):
        answer = ask(guarded_server, method, path, headers={"Authorization": header} if header else {})
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert TOKEN not in answer.body.decode()
    allowed = ask(guarded_server, method, path, headers={"Authorization": f"Bearer {TOKEN}"})
    assert allowed.status in (200, 415)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/"])
def test_with_tokens_health_and_the_viewer_stay_open(guarded_server: RunningServer, path: str) -> None:
    assert ask(guarded_server, "GET", path).status in (200, 404)
