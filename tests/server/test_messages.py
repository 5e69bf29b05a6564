from __future__ import annotations

import json

from fetalseg_server import messages
from fetalseg_server.options import SessionOptions
from fetalseg_server.protocol import FrameHeader

HEADER = FrameHeader(codec=1, sequence=7, capture_time_us=123)


def test_a_result_has_every_key_of_the_contract() -> None:
    text = messages.result_message(
        HEADER,
        '"view":null,"instances":[]',
        received_us=10,
        sent_us=30,
        timing_ms={"queue": 0.25, "total": 20},
        dropped_before=2,
    )
    assert json.loads(text) == {
        "type": "result",
        "sequence": 7,
        "capture_time_us": 123,
        "received_us": 10,
        "sent_us": 30,
        "view": None,
        "instances": [],
        "timing_ms": {
            "queue": 0.25,
            "decode": 0,
            "preprocess": 0,
            "infer": 0,
            "postprocess": 0,
            "encode": 0,
            "total": 20,
        },
        "rung": 0,
        "dropped_before": 2,
    }


def test_a_skip_has_every_key_of_the_contract() -> None:
    text = messages.skipped_message(HEADER, "deadline", "too old", received_us=1, sent_us=2)
    assert json.loads(text) == {
        "type": "skipped",
        "sequence": 7,
        "received_us": 1,
        "sent_us": 2,
        "reason": "deadline",
        "detail": "too old",
    }


def test_ready_has_every_key_of_the_contract() -> None:
    model = messages.ModelDescription("m", "1", "ab", (288, 416), ("cranium",))
    text = messages.ready_message(
        session="s", model=model, engine="openvino bf16", limits=messages.Limits(1, 2, 3), features=("rle",)
    )
    assert json.loads(text) == {
        "type": "ready",
        "session": "s",
        "protocol": 1,
        "model": {"name": "m", "version": "1", "sha256": "ab", "input": [288, 416], "structures": ["cranium"]},
        "engine": "openvino bf16",
        "limits": {"max_frame_bytes": 1, "max_pixels": 2, "max_fps": 3, "window": 2},
        "features": ["rle"],
        "research_use_only": True,
    }


def test_configured_names_every_option() -> None:
    options = json.loads(messages.configured_message(SessionOptions(spacing_mm=(0.1, 0.2))))["options"]
    assert set(options) == {
        *("codec", "width", "height", "spacing_mm", "deadline_ms", "masks", "model", "min_score", "nms", "track"),
        *("fetuses", "examination"),
    }
    assert options["spacing_mm"] == [0.1, 0.2]


def test_a_clients_messages_are_as_short_as_they_can_be() -> None:
    assert messages.hello_message() == '{"type":"hello"}'
    assert messages.hello_message({"masks": "rle"}, token="t") == '{"type":"hello","token":"t","masks":"rle"}'
    assert messages.bye_message() == '{"type":"bye"}'
    assert messages.ping_message(3) == '{"type":"ping","id":3}'
    assert messages.configure_message({"masks": "none"}) == '{"type":"configure","masks":"none"}'
