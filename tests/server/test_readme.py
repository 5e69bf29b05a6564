"""The examples of server/README.md are what the code reads and writes."""

from __future__ import annotations

import json
import re
from pathlib import Path

from fetalseg_server.messages import TIMING_KEYS, result_message, skipped_message
from fetalseg_server.protocol import (
    FRAME_MAGIC,
    RESULT_MAGIC,
    SKIP_REASONS,
    CloseCode,
    Codec,
    Connection,
    FrameFlag,
    FrameHeader,
    Hello,
)

README = (Path(__file__).parents[2] / "server" / "README.md").read_text()
HEX = [bytes.fromhex(block) for block in re.findall(r"```hex\n(.*?)```", README, re.DOTALL)]
JSON = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", README, re.DOTALL)]


def test_the_frame_header_is_read_and_written_as_described() -> None:
    header = FrameHeader(Codec.GRAY8, 7, 640, 480, FrameFlag.DISCONTINUITY, 123456, (0.125, 0.25), magic=FRAME_MAGIC)
    assert HEX[0] == header.pack()
    assert FrameHeader.parse(HEX[0]) == header


def test_the_label_maps_header_is_read_as_described() -> None:
    header = FrameHeader.parse(HEX[1], RESULT_MAGIC)
    assert (header.codec, header.sequence, header.capture_time_us) == (Codec.PNG, 7, 123456)


def test_the_hello_is_understood() -> None:
    assert isinstance(Connection().receive_text(json.dumps(JSON[0])), Hello)


def test_the_answers_have_the_keys_that_are_sent() -> None:
    result, skipped = JSON[1:]
    header = FrameHeader(1, 7, capture_time_us=123456)
    body = json.dumps({"view": result["view"], "instances": result["instances"]})[1:-1]
    times = {"received_us": 1000, "sent_us": 21000}
    sent = result_message(header, body, timing_ms=result["timing_ms"], dropped_before=0, **times)
    assert json.loads(sent) == result
    assert tuple(result["timing_ms"]) == TIMING_KEYS
    times = {"received_us": 41000, "sent_us": 41200}
    sent = skipped_message(FrameHeader(1, 8), "superseded", skipped["detail"], **times)
    assert json.loads(sent) == skipped


def test_every_reason_and_close_code_is_described() -> None:
    assert [reason for reason in SKIP_REASONS if f"| `{reason}` |" not in README] == []
    assert [code for code in CloseCode if f"| {code.value} |" not in README] == []
