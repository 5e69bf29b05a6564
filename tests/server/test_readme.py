"""The examples of server/README.md are what the code reads and writes, and its programs run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fetalseg.examination import Changes, CheckList, FrameId
from fetalseg_server.client.answers import read_ready, read_result, read_skipped
from fetalseg_server.client.clock import ClockEstimate, ServerClock
from fetalseg_server.messages import (
    TIMING_KEYS,
    Limits,
    ModelDescription,
    bye_message,
    configure_message,
    configured_message,
    error_message,
    notice_message,
    ping_message,
    pong_message,
    ready_message,
    result_message,
    skipped_message,
)
from fetalseg_server.options import SessionOptions, parse_changes
from fetalseg_server.protocol import (
    FRAME_MAGIC,
    RESULT_MAGIC,
    SKIP_REASONS,
    Bye,
    CloseCode,
    Codec,
    Configure,
    Connection,
    FrameFlag,
    FrameHeader,
    FrameReceived,
    Hello,
    Ping,
    Refused,
)
from fetalseg_server.service import FEATURES
from server.live import RunningServer

README = (Path(__file__).parents[2] / "server" / "README.md").read_text()
PACKAGE = Path(__file__).parents[2] / "server" / "fetalseg_server"
STREAM = README[README.index("## The stream") : README.index("\n## HTTP")]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", STREAM, re.DOTALL)


HEX = [bytes.fromhex(block) for block in blocks("hex")]
JSON: list[dict[str, Any]] = [json.loads(block) for block in blocks("json")]
PROGRAMS = blocks("python")


def examples(kind: str) -> list[dict[str, Any]]:
    return [message for message in JSON if message["type"] == kind]


def without_type(message: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in message.items() if name != "type"}


def greeted() -> Connection:
    connection = Connection()
    connection.receive_text(json.dumps(examples("hello")[0]))
    return connection


def test_the_frame_headers_are_read_and_written_as_described() -> None:
    gray = FrameHeader(Codec.GRAY8, 7, 640, 480, FrameFlag.DISCONTINUITY, 123456, (0.125, 0.25), magic=FRAME_MAGIC)
    jpeg = FrameHeader(Codec.JPEG, 8, flags=FrameFlag.FROZEN)
    connection = greeted()
    for described, header, payload in ((HEX[0], gray, bytes(307_200)), (HEX[1], jpeg, b"\xff\xd8")):
        assert described == header.pack()
        assert FrameHeader.parse(described) == header
        received = connection.receive_bytes(described + payload)
        assert isinstance(received, FrameReceived)
        assert (received.header, bytes(received.payload)) == (header, payload)


def test_the_label_maps_header_is_read_as_described() -> None:
    header = FrameHeader.parse(HEX[2], RESULT_MAGIC)
    assert (header.codec, header.sequence, header.capture_time_us) == (Codec.PNG, 7, 123456)
    assert len(HEX) == 3


def test_the_files_that_are_named_are_there() -> None:
    named = re.findall(r"`([a-z_/]+(?:\.py|/))`", README[: README.index("## The stream")])
    assert len(named) > 30
    assert [name for name in named if not (PACKAGE / name).exists()] == []


def test_both_greetings_of_a_client_are_understood() -> None:
    new, resuming = (Connection().receive_text(json.dumps(hello)) for hello in examples("hello"))
    assert isinstance(new, Hello)
    assert new.options.deadline_ms == 80
    assert isinstance(resuming, Hello)
    assert resuming.resume == examples("ready")[0]["session"]


def test_the_greeting_of_the_server_is_the_one_that_is_sent_and_read() -> None:
    (ready,) = examples("ready")
    model, limits = ModelDescription(**ready["model"]), Limits(**ready["limits"])
    names = {name: ready[name] for name in ("session", "engine", "features")}
    assert json.loads(ready_message(model=model, limits=limits, **names)) == ready
    assert ready["features"] == list(FEATURES)
    assert read_ready(ready).window == 2


def test_the_clients_other_messages_are_the_ones_that_are_sent_and_understood() -> None:
    (configure,), (ping,), (bye,) = examples("configure"), examples("ping"), examples("bye")
    assert json.loads(configure_message(without_type(configure))) == configure
    assert json.loads(ping_message(1)) == ping
    assert json.loads(bye_message()) == bye
    connection = greeted()
    assert connection.receive_text(json.dumps(configure)) == Configure({"masks": "none", "deadline_ms": 120})
    assert connection.receive_text(json.dumps(ping)) == Ping(1)
    assert connection.receive_text(json.dumps(bye)) == Bye()


def test_the_servers_other_messages_are_the_ones_that_are_sent() -> None:
    (configured,), (pong,), (notice,) = examples("configured"), examples("pong"), examples("notice")
    options = SessionOptions(**parse_changes(configured["options"]))
    assert json.loads(configured_message(options)) == configured
    assert json.loads(pong_message(1, received_us=5000300, sent_us=5000500)) == pong
    assert json.loads(notice_message(notice["code"], notice["message"])) == notice
    for error in examples("error"):
        assert json.loads(error_message(error["code"], error["message"], fatal=error["fatal"])) == error
    # The refused option is refused in these words.
    assert greeted().receive_text('{"type":"configure","masks":"dots"}') == Refused(
        examples("error")[1]["code"], examples("error")[1]["message"]
    )


def test_no_message_is_without_an_example() -> None:
    kinds = {"hello", "ready", "error", "result", "skipped", "configure", "configured", "ping", "pong", "notice", "bye"}
    assert {message["type"] for message in JSON} == kinds


def test_the_answers_have_the_keys_that_are_sent() -> None:
    (result,), (skipped,) = examples("result"), examples("skipped")
    header = FrameHeader(1, 7, capture_time_us=123456)
    body = json.dumps({"view": result["view"], "instances": result["instances"]})[1:-1]
    times = {"received_us": 1000, "sent_us": 21000}
    news = json.dumps(result["examination"])
    sent = result_message(header, body, timing_ms=result["timing_ms"], dropped_before=0, examination=news, **times)
    assert json.loads(sent) == result
    assert tuple(result["timing_ms"]) == TIMING_KEYS
    read = read_result(result, 0)
    assert read.instances[0].structure == "cranium"
    assert read.examination == result["examination"]
    times = {"received_us": 41000, "sent_us": 41200}
    sent = skipped_message(FrameHeader(1, 8), "superseded", skipped["detail"], **times)
    assert json.loads(sent) == skipped
    assert read_skipped(skipped, 0).reason == "superseded"


def test_an_entry_of_the_check_list_has_the_keys_that_are_sent() -> None:
    check_list = CheckList()
    check_list.update(FrameId(7, 1000), [(0, 0.91, 11.5)], ("head", 0.91), frozen=False)
    sent = check_list.part(Changes(("cranium",), ("head",)))
    described = examples("result")[0]["examination"]["structures"]["cranium"]
    assert described.keys() == sent["structures"]["cranium"].keys()
    assert described["best"] == sent["structures"]["cranium"]["best"]
    assert sent["views"]["head"].keys() - described.keys() == {"missing"}


def test_the_example_of_the_clocks_is_worked_out_rightly() -> None:
    (pong,) = examples("pong")
    clock = ServerClock()
    clock.add(1000, pong["received_us"], pong["sent_us"], 2000)
    assert clock.estimate(2000) == ClockEstimate(offset_us=4_998_900, delay_us=800, error_us=400)


def test_every_reason_and_close_code_is_described() -> None:
    assert [reason for reason in SKIP_REASONS if f"| `{reason}` |" not in README] == []
    assert [code for code in CloseCode if f"| {code.value} |" not in README] == []


def with_our_client(lines: list[str]) -> None:
    assert len(lines) > 5
    assert {line.split(" ", 1)[1] for line in lines} == {"['cranium']"}


def without_it(lines: list[str]) -> None:
    first, *answers = (json.loads(line) for line in lines)
    assert first["type"] == "ready"
    assert [answer["sequence"] for answer in answers] == list(range(1, 11))
    assert {answer["type"] for answer in answers} == {"result"}


@pytest.mark.parametrize(("number", "check"), [(0, with_our_client), (1, without_it)])
def test_a_console_is_connected_in_fifteen_lines(
    server: RunningServer, number: int, check: Callable[[list[str]], None]
) -> None:
    program = PROGRAMS[number]
    assert len([line for line in program.splitlines() if line]) <= 15
    assert "ws://127.0.0.1:8420/v1/stream" in program
    program = program.replace("ws://127.0.0.1:8420/v1/stream", server.url).replace(
        "deadline_ms=200", "deadline_ms=9000"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    check(done.stdout.splitlines())
