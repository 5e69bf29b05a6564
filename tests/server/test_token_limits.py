"""What a token's holder may do: sessions, frames of all of them together, and single images."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from fetalseg_server.settings import Settings
from server.live import Client, RunningServer, encoded, picture, running

JPEG_BYTES = encoded(picture())
TOKENS = """
[room-1]
token = "of-room-1"
max_sessions = 2

[room-2]
token = "of-room-2"
max_fps = 1

[room-3]
token = "of-room-3"
"""


@pytest.fixture(scope="module")
def server(crafted_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    tokens = tmp_path_factory.mktemp("tokens") / "tokens.toml"
    tokens.write_text(TOKENS)
    tokens.chmod(0o600)
    with running(replace(crafted_settings, tokens_file=str(tokens))) as live:
        yield live


def test_a_token_opens_so_many_sessions_at_a_time(server: RunningServer) -> None:
    hello = {"token": "of-room-1"}
    with Client(server.url, hello) as first, Client(server.url, hello), Client(server.url) as third:
        third.send_json({"type": "hello", **hello})
        error, code = third.end()
        assert error is not None
        assert (error["code"], error["message"], code) == (
            "overloaded",
            "all 2 sessions of this token are taken",
            4003,
        )
        with Client(server.url, {"token": "of-room-3"}) as other:
            assert other.ask(1, JPEG_BYTES)["type"] == "result"
        first.send_json({"type": "bye"})
        assert first.end()[1] == 1000
        with Client(server.url, hello) as again:
            assert again.ask(1, JPEG_BYTES)["type"] == "result"


def test_frames_of_all_sessions_of_a_token_count_together(server: RunningServer) -> None:
    hello = {"token": "of-room-2"}
    with Client(server.url, hello) as first, Client(server.url, hello) as second:
        assert first.ready["limits"]["max_fps"] == 1
        # Two seconds' worth at once is allowed: a frame of each. What follows is allowed at the rate.
        assert [client.ask(1, JPEG_BYTES)["type"] for client in (first, second)] == ["result", "result"]
        for client in (first, second):
            sequence = 2
            while (answer := client.ask(sequence, JPEG_BYTES))["type"] == "result":
                sequence += 1
            assert (answer["reason"], answer["detail"]) == (
                "rate_limited",
                "more than 1 frames a second with this token",
            )
        connection = http.client.HTTPConnection(server.host, timeout=20)
        headers = {"Authorization": "Bearer of-room-2", "Content-Type": "image/jpeg"}
        statuses = set()
        for _ in range(12):
            connection.request("POST", "/v1/segment", JPEG_BYTES, headers)
            response = connection.getresponse()
            body = json.loads(response.read())
            statuses.add(response.status)
            if response.status != 200:
                assert body["error"]["code"] == "rate_limited"
        connection.close()
        assert 429 in statuses
    with Client(server.url, {"token": "of-room-3"}) as other:
        assert other.ready["limits"]["max_fps"] == 120
        assert [other.ask(sequence, JPEG_BYTES)["type"] for sequence in range(1, 21)] == ["result"] * 20
