"""What the server says on standard error."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from contextvars import copy_context
from pathlib import Path

import pytest
from crafted_model import write_crafted_model

from fetalseg_server.logs import current_session, formatter
from server.live import Client, encoded, picture

JPEG_BYTES = encoded(picture())
TOKEN = "the-token-of-the-console"


def log_of_a_session(model: Path) -> tuple[str, str]:
    """At the level that says most: a session's id, and what was said of it and of a stranger."""
    flags = ["--port", "0", "--threads", "1", "--model", str(model), "--log-format", "json", "--log-level", "debug"]
    with subprocess.Popen(
        [sys.executable, "-m", "fetalseg.cli", "serve", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "FETALSEG_TOKENS": f"console:{TOKEN}"},
    ) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().split()[-1]
            url = address.replace("http", "ws") + "/v1/stream"
            with Client(url + "?token=in-the-address", {"token": TOKEN}) as client:
                session = client.ready["session"]
                client.ask(1, JPEG_BYTES)
            with Client(url) as stranger:
                stranger.send_json({"type": "hello", "token": "a-wrong-token\nERROR forged"})
                stranger.end()
            process.send_signal(signal.SIGTERM)
            _, log = process.communicate(timeout=60)
        finally:
            process.kill()
    return session, log


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_crafted_model(tmp_path_factory.mktemp("model") / "crafted.onnx")


def assert_nothing_secret(log: str) -> None:
    for secret in (TOKEN, "a-wrong-token", "in-the-address", "JFIF", JPEG_BYTES[100:110].hex(), "forged"):
        assert secret not in log


def test_as_json_each_line_is_an_object_and_names_its_session(model: Path) -> None:
    session, log = log_of_a_session(model)
    lines = [json.loads(line) for line in log.splitlines()]
    assert {"time", "level", "logger", "message"} <= set.intersection(*(set(line) for line in lines))
    began, ended = (line for line in lines if line.get("session") == session)
    assert (began["message"], began["client"], began["address"]) == ("a session began", "console", "127.0.0.1")
    assert (ended["message"], ended["frames"]) == ("a session ended", {"result": 1})
    assert [line["reason"] for line in lines if line["message"] == "refused"] == ["not_authorised"]
    assert_nothing_secret(log)


def formatted(log_format: str, message: str, *values: object, **extra: object) -> str:
    record = logging.LogRecord("fetalseg_server.x", logging.INFO, "x.py", 1, message, values, None)
    record.created = 1_767_225_600.25  # 2026-01-01 0:00 UTC
    record.__dict__.update(extra)
    return formatter(log_format).format(record)


def test_as_text_a_record_is_a_line_with_what_it_is_about() -> None:
    line = formatted("text", "ended %s", "well", client="room 1", code=1000, frames={"result": 2, "deadline": 1})
    assert line == (
        "2026-01-01T00:00:00.250+00:00 INFO fetalseg_server.x: ended well "
        'client="room 1" code=1000 frames=result:2,deadline:1'
    )


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_strangers_words_do_not_begin_a_line(log_format: str) -> None:
    line = formatted(log_format, "got %s", "a\n2026-01-01 ERROR forged\x1b[2J", client="b\nERROR forged\u2028")
    assert len(line.splitlines()) == 1
    assert line.isprintable()


def test_what_a_sessions_task_says_names_the_session() -> None:
    def say() -> str:
        current_session.set("1f2e")
        return formatted("json", "something")

    assert json.loads(copy_context().run(say))["session"] == "1f2e"
    assert "session" not in json.loads(formatted("json", "something"))
