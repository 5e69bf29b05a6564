"""Identities as a console sees them, over a real server."""

from __future__ import annotations

import time

from fetalseg_server.settings import Settings
from server.live import Client, RunningServer, encoded, picture, running

JPEG_BYTES = encoded(picture())
FROZEN, DISCONTINUITY = 1, 2


def identity(client: Client, sequence: int, flags: int = 0) -> int | None:
    """The identity of the one structure that the crafted model finds in every frame."""
    (found,) = client.ask(sequence, JPEG_BYTES, flags=flags)["instances"]
    value = found["track_id"]
    assert value is None or isinstance(value, int)
    return value


def test_a_structure_keeps_its_identity_until_a_discontinuity(server: RunningServer) -> None:
    with Client(server.url, {}) as client:
        assert [identity(client, n) for n in (1, 2, 3)] == [1, 1, 1]
        assert [identity(client, 4, FROZEN), identity(client, 5, FROZEN)] == [1, 1]
        assert [identity(client, 6, DISCONTINUITY), identity(client, 7)] == [2, 2]
    with Client(server.url, {}) as other:
        assert identity(other, 1) == 1  # of its own session


def test_a_discontinuity_counts_even_if_its_frame_is_skipped(server: RunningServer) -> None:
    with Client(server.url, {}) as client:
        assert identity(client, 1) == 1
        skipped = client.ask(2, b"no image", flags=DISCONTINUITY)
        assert skipped["reason"] == "decode_error"
        assert identity(client, 3) == 2


def test_tracking_is_switched_by_configure(server: RunningServer) -> None:
    with Client(server.url, {"track": False}) as client:
        assert identity(client, 1) is None
        client.send_json({"type": "configure", "track": True})
        assert client.receive()["type"] == "configured"
        assert identity(client, 2) == 1


def test_a_new_engine_uses_no_identity_twice(crafted_settings: Settings) -> None:
    with running(crafted_settings) as server, Client(server.url, {}) as client:
        assert identity(client, 1) == 1
        server.worker().kill()
        sequence = 2
        while (answer := client.ask(sequence, JPEG_BYTES))["type"] == "skipped":
            assert answer["reason"] == "engine_error"
            sequence += 1
            time.sleep(0.02)
        assert answer["instances"][0]["track_id"] == 2
