"""A connection breaks, the session goes on: check list, identities, options, and who may do it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fetalseg_server.settings import Settings
from server.live import Client, RunningServer, encoded, picture, running

JPEG_BYTES = encoded(picture())
HELLO: dict[str, Any] = {"token": "secret-1", "examination": True, "masks": "none"}
TOKENS = "room-1:secret-1,room-2:secret-2"


@pytest.fixture(scope="module")
def server(crafted_settings: Settings) -> Iterator[RunningServer]:
    with running(replace(crafted_settings, tokens=TOKENS, max_sessions=2)) as live:
        yield live


def broken_session(server: RunningServer, **options: Any) -> str:
    """A session of one frame whose connection breaks without a word."""
    client = Client(server.url, {**HELLO, **options})
    assert client.ask(1, JPEG_BYTES)["type"] == "result"
    client.socket.socket.close()
    server.wait_until(lambda: server.server.service.records.connected == 0)
    session = client.ready["session"]
    assert isinstance(session, str)
    return session


def resume(server: RunningServer, session: str, token: str = "secret-1", **options: Any) -> Client:
    return Client(server.url, {"token": token, "resume": session, **options})


def cranium(client: Client, sequence: int) -> dict[str, Any]:
    entry = client.ask(sequence, JPEG_BYTES)["examination"]["structures"]["cranium"]
    assert isinstance(entry, dict)
    return entry


def configured(client: Client) -> dict[str, Any]:
    client.send_json({"type": "configure"})
    answer = client.receive()
    assert answer["type"] == "configured"
    return dict(answer["options"])


def test_a_broken_session_goes_on_where_it_was(server: RunningServer) -> None:
    session = broken_session(server, min_score=0.25, nms="greedy", spacing_mm=[0.1, 0.2])
    with resume(server, session) as client:
        assert client.ready["session"] == session
        options = configured(client)
        assert (options["min_score"], options["nms"], options["spacing_mm"]) == (0.25, "greedy", [0.1, 0.2])
        assert (options["examination"], options["masks"]) == (True, "none")
        # Sequences begin again, and the first result brings the whole list.
        answer = client.ask(1, JPEG_BYTES)
        assert len(answer["examination"]["structures"]) == 17
        assert answer["examination"]["structures"]["cranium"]["frames"] == 2
        client.send_json({"type": "bye"})
        assert client.end() == (None, 1000)


def test_options_that_the_new_hello_names_replace_the_kept_ones(server: RunningServer) -> None:
    session = broken_session(server, min_score=0.25, nms="greedy")
    with resume(server, session, masks="rle", min_score=0.5) as client:
        options = configured(client)
        assert (options["masks"], options["min_score"], options["nms"]) == ("rle", 0.5, "greedy")
        assert "rle" in client.ask(1, JPEG_BYTES)["instances"][0]


def test_identities_go_on(server: RunningServer) -> None:
    service = server.server.service
    session = broken_session(server)
    (kept,) = [record for record in service.records if record.id == session]
    before, lane = kept.continuity, kept.seat and kept.seat.lane
    with resume(server, session) as client:
        client.ask(1, JPEG_BYTES)
        (live,) = service.sessions
        assert live.record.continuity is before
        assert live.seat.lane is lane


def test_a_session_can_break_and_be_resumed_many_times(server: RunningServer) -> None:
    session = broken_session(server)
    for turn in range(2, 6):
        client = resume(server, session)
        assert cranium(client, 1)["frames"] == turn
        client.socket.socket.close()
        server.wait_until(lambda: server.server.service.records.connected == 0)


def test_a_session_that_still_seems_connected_is_taken_over(server: RunningServer) -> None:
    with Client(server.url, HELLO) as first:
        first.ask(1, JPEG_BYTES)
        with resume(server, first.ready["session"]) as second:
            assert second.ready["session"] == first.ready["session"]
            last, code = first.end()
            assert last == {
                "type": "error",
                "code": "taken_over",
                "message": "the session goes on over another connection",
                "fatal": True,
            }
            assert code == 4006
            assert cranium(second, 1)["frames"] == 2
            server.wait_until(lambda: len(server.server.service.sessions) == 1)
            # The end of the first connection did not touch the session.
            assert cranium_frames(server, second.ready["session"]) == 2
            assert second.ask(2, JPEG_BYTES)["type"] == "result"


def test_a_takeover_needs_no_second_place(server: RunningServer) -> None:
    with Client(server.url, HELLO) as first, Client(server.url, HELLO):
        with resume(server, first.ready["session"]) as again:  # two of two places are taken
            assert again.ask(1, JPEG_BYTES)["type"] == "result"
        assert first.end()[1] == 4006


def test_a_frame_in_work_at_the_takeover_is_answered_to_nobody(server: RunningServer) -> None:
    with Client(server.url, HELLO) as first:
        with server.engine_paused():
            for sequence in (1, 2, 3):
                first.send_frame(sequence, JPEG_BYTES)
            first.send_json({"type": "ping", "id": 1})
            assert first.receive()["type"] == "pong"
            second = resume(server, first.ready["session"])
            last, code = first.end()
        assert (last and last["code"], code) == ("taken_over", 4006)
        answer = second.ask(1, JPEG_BYTES)
        assert (answer["type"], answer["sequence"]) == ("result", 1)
        second.__exit__()


def test_after_bye_there_is_nothing_to_go_on_with(server: RunningServer) -> None:
    with Client(server.url, HELLO) as client:
        client.ask(1, JPEG_BYTES)
        client.send_json({"type": "bye"})
        client.end()
    assert_a_new_session(server, client.ready["session"], "secret-1")


def test_only_the_same_token_goes_on_and_others_learn_nothing(server: RunningServer) -> None:
    session = broken_session(server)
    assert_a_new_session(server, session, "secret-2")
    assert_a_new_session(server, "0" * 32, "secret-2")
    with Client(server.url, HELLO) as live:
        assert_a_new_session(server, live.ready["session"], "secret-2")
        assert live.ask(1, JPEG_BYTES)["type"] == "result"  # it wasn't taken over
    with resume(server, session) as client:
        assert client.ready["session"] == session


def test_a_new_token_of_the_same_name_goes_on_with_nothing_of_the_former_one(
    crafted_settings: Settings, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens"

    def write(token: str) -> None:
        tokens.write_text(f"room-1:{token}\n")
        tokens.chmod(0o600)

    write("secret-1")
    with running(replace(crafted_settings, tokens_file=str(tokens))) as server:
        session = broken_session(server)
        write("secret-2")
        server.reload()
        assert_a_new_session(server, session, "secret-2")
        assert cranium_frames(server, session, "secret-2") is None
        with Client(server.url) as former:
            former.send_json({"type": "hello", "token": "secret-1", "resume": session})
            assert former.end()[1] == 1008
        write("secret-1")
        server.reload()
        with resume(server, session) as client:
            assert client.ready["session"] == session


def assert_a_new_session(server: RunningServer, session: str, token: str) -> None:
    with resume(server, session, token, examination=True) as client:
        assert client.receive() == {
            "type": "error",
            "code": "unknown_session",
            "message": "resume: no such session, or not any more; this is a new one",
            "fatal": False,
        }
        assert client.ready["session"] != session
        assert cranium(client, 1)["frames"] == 1


def test_what_ends_for_another_reason_than_bye_can_be_resumed(server: RunningServer) -> None:
    with Client(server.url, HELLO) as client:
        client.ask(1, JPEG_BYTES)
        client.send_frame(1, JPEG_BYTES)  # the same sequence again breaks the protocol
        assert client.end()[1] == 4000
    with resume(server, client.ready["session"]) as again:
        assert cranium(again, 1)["frames"] == 2


def cranium_frames(server: RunningServer, session: str, token: str = "secret-1") -> int | None:
    """From the summary; None where there is none any more."""
    request = urllib.request.Request(
        f"{server.http}/v1/sessions/{session}/summary", headers={"Authorization": f"Bearer {token}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(json.load(answer)["examination"]["structures"]["cranium"]["frames"])
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 404:
            raise
        return None


def test_in_the_end_nothing_is_left_of_a_session(crafted_settings: Settings) -> None:
    with running(replace(crafted_settings, tokens=TOKENS, resume_s=0.2, summary_s=0.4)) as server:
        client = Client(server.url, HELLO)
        client.ask(1, JPEG_BYTES)
        session = client.ready["session"]
        (record,) = server.server.service.records
        examination = record.examination
        assert examination is not None
        assert examination.kept_bytes == len(JPEG_BYTES)
        client.socket.socket.close()
        server.wait_until(lambda: not record.resumable)
        server.wait_until(lambda: cranium_frames(server, session) is None)
        assert len(server.server.service.records) == 0
        assert record.examination is None


def test_kept_sessions_are_bounded(crafted_settings: Settings) -> None:
    with running(replace(crafted_settings, tokens=TOKENS, kept_sessions=2)) as server:
        sessions = [broken_session(server) for _ in range(4)]
        assert [cranium_frames(server, session) for session in sessions] == [None, None, 1, 1]
