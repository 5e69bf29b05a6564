"""The stream as a console sees it: good frames, late frames, too many frames, bad frames."""

from __future__ import annotations

import itertools
import re
import struct
import time
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from server.live import GRAY8, JPEG, PNG, RGB24, Client, RunningServer, encoded, picture

GRAY, COLOR = picture(), picture(color=True)
JPEG_BYTES = encoded(GRAY)
# The crafted cranium 8, 4, 24, 20 of a 32 x 24 input, on a frame of 160 x 120.
BOX = [40, 20, 120, 100]
MASKS = ("polygon", "rle", "labelmap", "none")
FRAMES = {
    "gray JPEG": (JPEG, JPEG_BYTES, (0, 0)),
    "colour JPEG with its size": (JPEG, encoded(COLOR), (160, 120)),
    "gray PNG": (PNG, encoded(GRAY, ".png"), (0, 0)),
    "colour PNG": (PNG, encoded(COLOR, ".png"), (0, 0)),
    "gray rows": (GRAY8, GRAY.tobytes(), (160, 120)),
    "colour rows": (RGB24, COLOR.tobytes(), (160, 120)),
}


def rectangle() -> np.ndarray[Any, np.dtype[np.bool_]]:
    mask = np.zeros((120, 160), np.bool_)
    mask[20:100, 40:120] = True
    return mask


def fills_the_rectangle(mask: np.ndarray[Any, np.dtype[np.bool_]]) -> bool:
    """Whether a mask is the rectangle but for its corners.

    Interpolation over prototype pixels of 20 px rounds off (ln 2 / 2 - 1 / 4) * 400 = 39 px at each: 2.4 % of 6,400.
    """
    return not mask[~rectangle()].any() and 0.97 < mask.sum() / rectangle().sum() < 0.98


def png_chunks(data: bytes) -> list[bytes]:
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    names, position = [], 8
    while position < len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        assert (
            zlib.crc32(data[position + 4 : position + 8 + length])
            == struct.unpack_from(">I", data, position + 8 + length)[0]
        )
        names.append(name)
        position += 12 + length
    return names


def test_ready_introduces_server_and_model(server: RunningServer) -> None:
    with Client(server.url, {}) as client:
        assert client.socket.subprotocol == "fetalseg.v1"
        ready = client.ready
    assert len(ready["session"]) == 32
    assert ready["protocol"] == 1
    assert ready["model"]["name"] == "crafted"
    assert ready["model"]["input"] == [24, 32]
    assert ready["model"]["structures"][0] == "cranium"
    assert len(ready["model"]["structures"]) == 17
    assert ready["limits"] == {"window": 2, "max_frame_bytes": 1048576, "max_pixels": 307200, "max_fps": 120}
    assert ready["research_use_only"] is True
    assert ready["engine"].split()[0] in ("openvino", "onnxruntime")
    assert "track" in ready["features"]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools with NumPy 2
@pytest.mark.parametrize(("name", "masks"), list(itertools.product(FRAMES, MASKS)))
def test_every_codec_is_answered_with_every_kind_of_mask(server: RunningServer, name: str, masks: str) -> None:
    codec, payload, size = FRAMES[name]
    with Client(server.url, {"masks": masks}) as client:
        result = client.ask(3, payload, codec, size=size, time_us=2**53 - 1)
        assert (result["type"], result["sequence"], result["capture_time_us"]) == ("result", 3, 2**53 - 1)
        assert result["view"] == {"name": "head", "score": pytest.approx(0.9, abs=0.01)}
        assert (result["rung"], result["dropped_before"]) == (0, 0)
        (found,) = result["instances"]
        assert (found["structure"], found["structure_id"], found["fetus"]) == ("cranium", 1, None)
        assert found["track_id"] == 1
        assert found["box"] == pytest.approx(BOX, abs=0.5)
        if masks == "polygon":
            canvas = np.zeros((120, 160), np.uint8)
            (ring,) = found["polygon"]
            # Rings follow pixel edges; fillPoly counts pixel centres, and takes in its border.
            points = np.array(ring).reshape(-1, 2)
            assert points.min(0).tolist() == [40, 20]
            assert points.max(0).tolist() == [120, 100]
            cv2.fillPoly(canvas, [np.round(points * 16 - 8).astype(np.int32)], 1, shift=4)
            assert (canvas.astype(bool) & rectangle()).sum() / (canvas.astype(bool) | rectangle()).sum() > 0.95
        elif masks == "rle":
            assert found["rle"]["size"] == [120, 160]
            assert fills_the_rectangle(coco_mask.decode(found["rle"]).astype(bool))
        else:
            assert "polygon" not in found
            assert "rle" not in found
        if masks == "labelmap":
            message = client.receive_bytes()
            header = struct.unpack_from("<4sBBHIHHQff", message)
            assert header[:3] == (b"FSR1", 1, PNG)
            assert header[4:7] == (3, 160, 120)
            assert png_chunks(message[32:]) == [b"IHDR", b"IDAT", b"IEND"]
            labels = cv2.imdecode(np.frombuffer(message[32:], np.uint8), cv2.IMREAD_UNCHANGED)
            assert set(np.unique(labels)) == {0, 1}
            assert fills_the_rectangle(labels == 1)


def test_the_times_of_a_result_add_up(server: RunningServer) -> None:
    with Client(server.url, {}) as client:
        before = time.monotonic_ns() // 1000
        result = client.ask(1, JPEG_BYTES)
        after = time.monotonic_ns() // 1000
    timing = result["timing_ms"]
    assert set(timing) == {"queue", "decode", "preprocess", "infer", "postprocess", "encode", "total"}
    assert all(value >= 0 for value in timing.values())
    assert sum(timing.values()) - timing["total"] <= timing["total"] + 0.01
    # Server and client share this machine's monotonic clock.
    assert before <= result["received_us"] < result["sent_us"] <= after
    assert result["sent_us"] - result["received_us"] == pytest.approx(timing["total"] * 1000, abs=2)


def test_of_many_frames_the_newest_wins_and_each_is_answered_once_in_order(server: RunningServer) -> None:
    with Client(server.url, {}) as client:
        worker = server.server.service.pool.lanes[0].worker
        with server.engine_paused():
            for sequence in (1, 2):
                client.send_frame(sequence, JPEG_BYTES)
                server.wait_until(lambda: worker.in_flight == sequence)  # noqa: B023 - called before the next turn
            for sequence in range(3, 11):
                client.send_frame(sequence, JPEG_BYTES)
            client.send_json({"type": "ping", "id": "all received"})
            assert client.receive()["type"] == "pong"
        answers = [client.receive() for _ in range(10)]
        client.send_json({"type": "bye"})
        assert client.end() == (None, 1000)
    assert [answer["sequence"] for answer in answers] == list(range(1, 11))
    # Two in the stages, one waiting; what came between was replaced by a newer one.
    assert [answer.get("reason", "result") for answer in answers] == ["result"] * 2 + ["superseded"] * 7 + ["result"]
    assert [a["dropped_before"] for a in answers if a["type"] == "result"] == [0, 0, 7]
    assert answers[2]["detail"] == "frame 4 came before this one's turn"
    assert all(a["sent_us"] >= a["received_us"] > 0 for a in answers)


def test_a_frame_past_its_deadline_is_skipped_even_while_the_engine_hangs(server: RunningServer) -> None:
    with Client(server.url, {"deadline_ms": 50}) as client:
        with server.engine_paused():
            late = [client.ask(sequence, JPEG_BYTES) for sequence in (1, 2, 3)]  # two in the stages, one waiting
        client.send_json({"type": "configure", "deadline_ms": None})
        assert client.receive()["type"] == "configured"
        result = client.ask(4, JPEG_BYTES)
    assert [(a["type"], a["reason"]) for a in late] == [("skipped", "deadline")] * 3
    assert late[0]["detail"] == "no result within 50 ms"
    assert all(a["sent_us"] - a["received_us"] >= 50_000 for a in late)
    assert (result["type"], result["dropped_before"]) == ("result", 3)


def test_sessions_take_turns(server: RunningServer) -> None:
    worker = server.server.service.pool.lanes[0].worker
    with Client(server.url, {}) as eager, Client(server.url, {}) as modest:
        with server.engine_paused():
            for sequence in (1, 2):
                eager.send_frame(sequence, JPEG_BYTES)
                server.wait_until(lambda: worker.in_flight == sequence)  # noqa: B023 - called before the next turn
            for client in (eager, modest):
                client.send_frame(3, JPEG_BYTES)
                client.send_json({"type": "ping", "id": 1})
                assert client.receive()["type"] == "pong"
            eager.send_frame(4, JPEG_BYTES)  # in the place of its 3, and in its turn: before the other's
            eager.send_json({"type": "ping", "id": 1})
            assert eager.receive()["type"] == "pong"
        assert modest.receive()["type"] == "result"
        answers = [eager.receive() for _ in range(4)]
    assert [(a["sequence"], a.get("reason")) for a in answers] == [(1, None), (2, None), (3, "superseded"), (4, None)]


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def huge_png() -> bytes:
    """A PNG that promises 20,000 x 20,000 pixels of 8-bit gray and holds a few rows of them."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    rows = chunk(b"IDAT", zlib.compress(bytes(20_001 * 10)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + rows + chunk(b"IEND", b"")


BAD_FRAMES = {
    "nothing": (JPEG, b"", (0, 0), "decode_error", "0 bytes|no bytes|empty"),
    "no image": (JPEG, b"this is no image", (0, 0), "decode_error", "JPEG"),
    "zeros": (PNG, bytes(1000), (0, 0), "decode_error", "PNG"),
    "truncated JPEG": (JPEG, cut(JPEG_BYTES), (0, 0), "decode_error", "truncated"),
    "truncated PNG": (PNG, cut(encoded(GRAY, ".png")), (0, 0), "decode_error", "truncated"),
    "PNG that is called JPEG": (JPEG, encoded(GRAY, ".png"), (0, 0), "decode_error", "image is PNG; expected JPEG"),
    "16-bit PNG": (PNG, encoded(GRAY.astype(np.uint16) * 256, ".png"), (0, 0), "decode_error", "16"),
    "1 x 1": (PNG, encoded(picture(1, 1), ".png"), (0, 0), "decode_error", "1x1 px is too small; expected at least 16"),
    "20,000 x 20,000": (PNG, huge_png(), (0, 0), "too_large", "20000x20000 px is too large; expected at most"),
    "more pixels than allowed": (
        *(JPEG, encoded(np.zeros((481, 640), np.uint8)), (0, 0)),
        *("too_large", "640x481 px is too large; expected at most 307200 pixels"),
    ),
    "more bytes than allowed": (
        *(JPEG, bytes(1024 * 1024 + 1), (0, 0)),
        *("too_large", "expected at most 1048576 bytes of payload, got 1048577"),
    ),
    "a header of another size": (
        *(JPEG, JPEG_BYTES, (640, 480)),
        *("decode_error", "the header says 640x480 px, the JPEG image has 160x120 px"),
    ),
    "a header of another width": (
        PNG,
        encoded(GRAY, ".png"),
        (161, 0),
        "decode_error",
        "says 161x0 px, .* has 160x120",
    ),
    "rows without a size": (GRAY8, GRAY.tobytes(), (0, 0), "decode_error", "needs its width and height"),
    "too few rows": (GRAY8, GRAY.tobytes()[:-1], (160, 120), "decode_error", "needs 19200 bytes, got 19199"),
    "too many rows": (RGB24, COLOR.tobytes() + b"x", (160, 120), "decode_error", "needs 57600 bytes, got 57601"),
    "rows of a huge frame": (GRAY8, b"x", (20_000, 20_000), "too_large", "20000x20000 px is too large"),
    "rows of a tiny frame": (GRAY8, b"x", (1, 1), "decode_error", "1x1 px is too small"),
    "codec 0": (0, JPEG_BYTES, (0, 0), "unsupported_codec", "expected one of 1 jpeg, .*; got 0"),
    "codec 16": (16, JPEG_BYTES, (0, 0), "unsupported_codec", "got 16"),
    "an engine that fails": (PNG, encoded(picture() // 8 + 200, ".png"), (0, 0), "engine_error", "not finite"),
}


@pytest.mark.parametrize("name", BAD_FRAMES)
def test_a_bad_frame_is_skipped_with_a_reason_and_the_session_lives(server: RunningServer, name: str) -> None:
    codec, payload, size, reason, detail = BAD_FRAMES[name]
    with Client(server.url, {}) as client:
        answer = client.ask(1, payload, codec, size=size)
        assert (answer["type"], answer["sequence"], answer["reason"]) == ("skipped", 1, reason)
        assert re.search(detail, answer["detail"]), answer["detail"]
        result = client.ask(2, JPEG_BYTES)
        assert (result["type"], result["dropped_before"]) == ("result", 1)


def test_options_change_from_the_next_frame_on_and_are_answered_in_order(server: RunningServer) -> None:
    with Client(server.url, {"masks": "none", "track": False}) as client:
        client.send_frame(1, JPEG_BYTES)
        client.send_json({"type": "configure", "masks": "rle", "min_score": 0.95, "spacing_mm": [0.1, 0.2]})
        client.send_frame(2, JPEG_BYTES)
        first, configured, second = (client.receive() for _ in range(3))
        assert "rle" not in first["instances"][0]
        assert configured["type"] == "configured"
        assert configured["options"] == {
            **{"codec": None, "width": 0, "height": 0, "spacing_mm": [0.1, 0.2], "deadline_ms": None, "masks": "rle"},
            **{
                "model": "crafted",
                "min_score": 0.95,
                "nms": "fast",
                "track": False,
                "fetuses": 1,
                "examination": False,
            },
        }
        assert (second["sequence"], second["instances"], second["view"]) == (2, [], None)
        client.send_json({"type": "configure", "min_score": None})
        assert client.receive()["options"]["min_score"] == 0.3


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"mask": "rle"}, "bad_option", "unknown option mask; known options are codec, width"),
        ({"masks": "contour"}, "bad_option", "masks must be one of polygon, rle, labelmap, none"),
        ({"token": "x"}, "bad_option", "unknown option token"),
        ({"model": "other"}, "unknown_model", "expected model 'crafted', got 'other'"),
        ({"fetuses": 2}, "not_yet", "fetuses: one fetus is told apart, not 2"),
    ],
)
def test_a_configure_that_cannot_be_followed_changes_nothing(
    server: RunningServer, changes: dict[str, object], code: str, message: str
) -> None:
    with Client(server.url, {"masks": "none"}) as client:
        client.send_json({"type": "configure", **changes})
        error = client.receive()
        assert (error["type"], error["code"], error["fatal"]) == ("error", code, False)
        assert error["message"].startswith(message)
        assert "polygon" not in client.ask(1, JPEG_BYTES)["instances"][0]


def test_what_cannot_be_followed_is_said_after_ready_and_the_session_goes_on(server: RunningServer) -> None:
    with Client(server.url, {"resume": "0" * 32, "fetuses": 3}) as client:
        errors = [client.receive() for _ in range(2)]
        assert [e["code"] for e in errors] == ["unknown_session", "not_yet"]
        assert not any(e["fatal"] for e in errors)
        assert client.ask(1, JPEG_BYTES)["type"] == "result"
        client.send_json({"type": "configure", "masks": "none"})
        assert client.receive()["options"]["fetuses"] == 1


def test_a_ping_overtakes_frames_and_tells_the_servers_clock(server: RunningServer) -> None:
    with Client(server.url, {}) as client, server.engine_paused():
        client.send_frame(1, JPEG_BYTES)
        client.send_json({"type": "ping", "id": "probe"})
        pong = client.receive()
        now_us = time.monotonic_ns() // 1000
    assert (pong["type"], pong["id"]) == ("pong", "probe")
    assert pong["received_us"] <= pong["sent_us"] <= now_us < pong["received_us"] + 5_000_000


def test_bye_waits_for_the_last_answers(server: RunningServer) -> None:
    with Client(server.url, {}) as client:
        with server.engine_paused():
            client.send_frame(1, JPEG_BYTES)
            client.send_frame(2, JPEG_BYTES)
            client.send_json({"type": "bye"})
            time.sleep(0.1)
        assert client.receive()["sequence"] == 1
        last, code = client.end()
    assert last is not None
    assert (last["type"], last["sequence"], code) == ("result", 2, 1000)


def test_a_client_that_vanishes_leaves_the_server_as_it_was(server: RunningServer) -> None:
    for _ in range(5):
        client = Client(server.url, {})
        client.send_frame(1, JPEG_BYTES)
        client.socket.socket.close()
    with Client(server.url, {}) as client:
        assert client.ask(1, JPEG_BYTES)["type"] == "result"
    server.wait_until(lambda: not server.server.service.sessions)
    assert server.server.service.pool.lanes[0].worker.in_flight == 0
