"""Another model while sessions go on."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from crafted_model import crafted_facts, write_crafted_model

from fetalseg.model_file import file_digest
from fetalseg_server.error_text import without_folders
from fetalseg_server.protocol import FrameFlag
from fetalseg_server.settings import Settings
from server.live import Client, RunningServer, encoded, picture, running
from server.test_drain import serving
from server.test_http import Answer, ask

JPEG_BYTES = encoded(picture())
ADMIN = {"Authorization": "Bearer admin-token"}


def write_model(path: Path, version: str, **postprocess: object) -> None:
    write_crafted_model(path, facts=replace(crafted_facts(postprocess=postprocess), version=version).to_json())


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "crafted.onnx"
    write_model(path, "1.0.0")
    return path


@pytest.fixture
def server(model: Path, crafted_settings: Settings, tmp_path: Path) -> Iterator[RunningServer]:
    tokens = tmp_path / "tokens.toml"
    tokens.write_text('[console]\ntoken = "console-token"\n[administrator]\ntoken = "admin-token"\nadmin = true\n')
    tokens.chmod(0o600)
    with running(replace(crafted_settings, model=str(model), tokens_file=str(tokens), workers=2)) as live:
        yield live


def connect(server: RunningServer, **options: Any) -> Client:
    return Client(server.url, {"token": "console-token", **options})


def reload(server: RunningServer) -> Answer:
    return ask(server, "POST", "/v1/models/reload", headers=ADMIN)


def test_sessions_go_on_with_the_new_model_and_are_told_before_its_first_result(
    server: RunningServer, model: Path
) -> None:
    with connect(server) as first, connect(server) as second:
        assert first.ready["model"]["version"] == "1.0.0"
        assert first.ask(1, JPEG_BYTES)["type"] == "result"
        before = {server.worker(0).pid, server.worker(1).pid}
        write_model(model, "2.0.0")
        answer = reload(server)
        assert answer.status == 200, answer.body
        assert answer.json["model"] == {**first.ready["model"], "version": "2.0.0", "sha256": file_digest(model)}
        for client in (first, second):
            notice = client.ask(2, JPEG_BYTES)
            assert (notice["type"], notice["code"], notice["model"]) == (
                "notice",
                "model_changed",
                answer.json["model"],
            )
            assert notice["message"] == "results come from crafted 2.0.0 from here on"
            assert (client.receive()["type"], client.ask(3, JPEG_BYTES)["type"]) == ("result", "result")
        assert before.isdisjoint({server.worker(0).pid, server.worker(1).pid})
        with connect(server) as third:
            assert third.ready["model"] == answer.json["model"]
            assert third.ask(1, JPEG_BYTES)["type"] == "result"


def test_no_frame_is_lost_while_the_model_is_replaced(server: RunningServer, model: Path) -> None:
    write_model(model, "2.0.0")
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(reload(server)))
    with connect(server) as client:
        thread.start()
        sequence, kinds = 0, []
        while "notice" not in kinds:
            sequence += 1
            kinds.append(client.ask(sequence, JPEG_BYTES)["type"])
        assert client.receive()["type"] == "result"
        thread.join()
    assert answers[0].status == 200
    assert set(kinds[:-1]) <= {"result"}


def test_no_identity_is_given_twice_while_the_former_worker_still_answers(
    model: Path, crafted_settings: Settings
) -> None:
    settings = replace(crafted_settings, model=str(model), engine_timeout_s=100.0)
    with running(settings) as server, Client(server.url, {"masks": "none"}) as client:
        assert client.ask(1, JPEG_BYTES)["instances"][0]["track_id"] == 1
        write_model(model, "2.0.0")
        former = server.worker()
        former.suspend()
        client.send_frame(2, JPEG_BYTES, flags=FrameFlag.DISCONTINUITY)  # its structure gets a new identity
        server.wait_until(lambda: server.server.service.pool.lanes[0].worker.in_flight == 1)
        server.reload()
        client.send_frame(3, JPEG_BYTES, flags=FrameFlag.DISCONTINUITY)  # another new one, from the new worker
        client.send_json({"type": "ping", "id": 1})
        assert client.receive()["type"] == "pong"  # the frame was received
        former.resume()
        assert client.receive()["instances"][0]["track_id"] == 2
        assert client.receive()["code"] == "model_changed"
        assert client.receive()["instances"][0]["track_id"] == 3


def test_a_file_that_is_no_model_changes_nothing_and_says_why(server: RunningServer, model: Path) -> None:
    with connect(server) as client:
        pid = server.worker(0).pid
        model.write_bytes(b"no model")
        answer = reload(server)
        assert answer.status == 422
        error = answer.json["error"]
        assert isinstance(error, dict)
        assert error["code"] == "model_error"
        assert error["message"].startswith("the new model can't be used, the one before goes on: crafted.onnx ")
        assert str(model.parent) not in answer.body.decode()
        assert client.ask(1, JPEG_BYTES)["type"] == "result"
        assert server.worker(0).pid == pid
        write_model(model, "3.0.0")
        assert reload(server).status == 200


def test_only_an_administrator_may_do_it(server: RunningServer) -> None:
    for headers, status in (({}, 401), ({"Authorization": "Bearer console-token"}, 403)):
        answer = ask(server, "POST", "/v1/models/reload", headers=headers)
        assert (answer.status, json.loads(answer.body)["error"]["code"]) == (status, "not_authorised")


def test_defaults_are_those_of_the_new_model_and_choices_stay(server: RunningServer, model: Path) -> None:
    with connect(server) as open_to_all, connect(server, min_score=0.2) as decided:
        write_model(model, "2.0.0", min_score=0.95)
        assert reload(server).status == 200
        for client, min_score, found in ((open_to_all, 0.95, 0), (decided, 0.2, 1)):
            client.send_json({"type": "configure", "masks": "none"})
            assert client.receive()["options"]["min_score"] == min_score
            assert client.ask(1, JPEG_BYTES)["type"] == "notice"
            assert len(client.receive()["instances"]) == found


def test_sighup_reloads(model: Path) -> None:
    with serving(model) as (process, address), Client(address.replace("http", "ws") + "/v1/stream", {}) as client:
        assert client.ask(1, JPEG_BYTES)["type"] == "result"
        write_model(model, "2.0.0")
        process.send_signal(signal.SIGHUP)
        sequence = 1
        while (answer := client.ask(sequence := sequence + 1, JPEG_BYTES))["type"] == "result":
            pass
        assert (answer["code"], answer["model"]["version"]) == ("model_changed", "2.0.0")
        assert client.receive()["sequence"] == sequence


def test_folders_are_left_out_of_what_clients_read() -> None:
    text = without_folders(
        "can't load /srv/models/a b.onnx: bad file '/var/x.onnx' (ratio 3/4, see https://a.example/b)"
    )
    assert text == "can't load a b.onnx: bad file 'x.onnx' (ratio 3/4, see https://a.example/b)"
