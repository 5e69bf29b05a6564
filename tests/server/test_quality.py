"""The quality ladder, from its settings to what a console reads."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from crafted_model import crafted_candidates, crafted_facts, write_crafted_model

from fetalseg.candidates import Candidates
from fetalseg.errors import ModelFileError
from fetalseg_server.pool.seat import Seat
from fetalseg_server.settings import Settings
from fetalseg_server.worker.jobs import EngineSettings
from fetalseg_server.worker.networks import Networks
from server.live import Client, RunningServer, encoded, picture, running

JPEG_BYTES = encoded(picture())


def two_structures() -> Candidates:
    """The crafted cranium, and the second structure in a box beside it."""
    candidates = crafted_candidates()
    candidates.scores[0, 1, 1] = 0.8
    candidates.boxes[0, 1] = 0, 0, 6, 6
    return candidates


@pytest.fixture(scope="module")
def server(crafted_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("models")
    large = write_crafted_model(folder / "large.onnx", candidates=two_structures())
    small = write_crafted_model(folder / "small.onnx")
    ladder = ("detections=1", "no_masks", f"model={small} detections=100", "half_rate")
    with running(replace(crafted_settings, model=str(large), ladder=ladder, max_fps=100_000)) as live:
        yield live


@pytest.fixture
def client(server: RunningServer) -> Iterator[Client]:
    with Client(server.url, {"track": False}) as console:  # a tracked structure stays a moment longer than its rung
        yield console
    server.wait_until(lambda: not server.server.service.pool.lanes[0].seats)


@pytest.fixture
def seat(server: RunningServer, client: Client) -> Seat:
    (only,) = server.server.service.pool.lanes[0].seats
    return only


def test_ready_says_what_each_rung_means(server: RunningServer, client: Client) -> None:
    assert client.ready["ladder"] == list(server.server.service.settings.ladder)
    assert "ladder" in client.ready["features"]


def test_each_result_says_its_rung_and_brings_what_is_left_there(client: Client, seat: Seat) -> None:
    full = client.ask(1, JPEG_BYTES)
    assert (full["rung"], [found["structure_id"] for found in full["instances"]]) == (0, [1, 2])
    seat.rung = 1
    fewer = client.ask(2, JPEG_BYTES)
    assert (fewer["rung"], [found["structure_id"] for found in fewer["instances"]]) == (1, [1])
    assert len(fewer["instances"][0]["polygon"][0]) >= 8
    seat.rung = 2
    boxes = client.ask(3, JPEG_BYTES)
    assert (boxes["rung"], boxes["instances"][0]["polygon"]) == (2, [])
    assert boxes["instances"][0]["box"] == full["instances"][0]["box"]
    seat.rung = 3  # a model that finds the cranium alone
    smaller = client.ask(4, JPEG_BYTES)
    assert (smaller["rung"], [found["structure_id"] for found in smaller["instances"]]) == (3, [1])
    seat.rung = 0
    again = client.ask(5, JPEG_BYTES)
    assert (again["rung"], len(again["instances"])) == (0, 2)


def test_a_label_map_without_masks_is_empty(client: Client, seat: Seat) -> None:
    seat.rung = 2
    client.send_json({"type": "configure", "masks": "labelmap"})
    assert client.receive()["type"] == "configured"
    assert client.ask(1, JPEG_BYTES)["type"] == "result"
    labels = cv2.imdecode(np.frombuffer(client.receive_bytes()[32:], np.uint8), cv2.IMREAD_UNCHANGED)
    assert labels is not None
    assert (labels.shape, labels.max()) == ((120, 160), 0)


def test_at_half_rate_every_other_frame_is_skipped(client: Client, seat: Seat) -> None:
    seat.rung = 4
    answers = [client.ask(sequence, JPEG_BYTES) for sequence in range(1, 7)]
    assert [answer.get("reason", "result") for answer in answers] == ["overloaded", "result"] * 3
    assert answers[0]["detail"] == "every other frame is worked on at rung 4 of the quality ladder"
    assert [answer["rung"] for answer in answers[1::2]] == [4] * 3


def test_a_console_that_asks_for_too_much_steps_down_and_up_again_when_it_has_calmed_down(
    server: RunningServer, client: Client, seat: Seat
) -> None:
    calm = threading.Event()
    room = threading.Semaphore(32)  # a console that reads too slowly is closed, which is another test

    def read() -> None:
        while not calm.is_set() or seat.rung > 2:
            client.receive()
            room.release()

    reader = threading.Thread(target=read)
    reader.start()
    sequences = itertools.count(1)
    while seat.rung < 3:  # as fast as it can
        room.acquire()
        client.send_frame(next(sequences), JPEG_BYTES)
    calm.set()
    while reader.is_alive():  # twice a second
        client.send_frame(next(sequences), JPEG_BYTES)
        reader.join(0.5)
    assert seat.rung == 2


def test_a_smaller_model_of_other_structures_is_refused(tmp_path: Path) -> None:
    large = write_crafted_model(tmp_path / "large.onnx")
    structures = crafted_facts().structures[::-1]
    other = write_crafted_model(tmp_path / "other.onnx", facts=crafted_facts(structures=structures).to_json())
    with pytest.raises(ModelFileError, match="the ladder's model crafted finds other structures than crafted"):
        Networks(EngineSettings(str(large), "onnxruntime", threads=1, ladder=(f"model={other}",)))
