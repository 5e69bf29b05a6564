"""`benchmarks.on_screen` on a cine whose figures are known, simulated and against a real server."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from crafted_model import write_crafted_model

from benchmarks.on_screen import main
from benchmarks.screen.systems import break_even_ms
from fetalseg.anatomy import coco_categories
from server.live import RunningServer

FRAMES, HEIGHT, WIDTH = 5, 240, 320


@pytest.fixture(scope="module")
def cine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five frames, dark and each a little different, with a cranium where the crafted model always finds one."""
    folder = tmp_path_factory.mktemp("cine")
    ring = [80, 40, 240, 40, 240, 200, 80, 200]
    images, annotations = [], []
    for number in range(1, FRAMES + 1):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((HEIGHT, WIDTH), number, np.uint8))
        images.append({"id": number, "file_name": f"{number}.png", "height": HEIGHT, "width": WIDTH})
        annotations.append(
            {
                **{"id": number, "image_id": number, "category_id": 1, "track_id": 1},
                **{"bbox": [80, 40, 160, 160], "segmentation": [ring]},
            }
        )
    content = {"categories": coco_categories(), "images": images, "annotations": annotations}
    (folder / "instances.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("level", "expected"),
    [(0.9, None), (0.8, 0.0), (0.6, 60.0), (0.4, math.inf)],
)
def test_a_curve_is_followed_until_it_falls_below_another_system(level: float, expected: float | None) -> None:
    assert break_even_ms([(0, 0.8), (40, 0.7), (80, 0.5)], level) == pytest.approx(expected)
    assert break_even_ms([], level) is None


def test_latency_costs_the_ticks_before_the_first_answer(
    cine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(write_crafted_model(tmp_path / "crafted.onnx"))
    record, plot = tmp_path / "figures.json", tmp_path / "plot.png"
    arguments = ["--cine", str(cine), str(cine), "--model", model, model, "--latency-ms", "40", "0"]
    assert main([*arguments, "--json", str(record), "--plot", str(plot)]) == 0
    printed = capsys.readouterr().out
    assert "10 frames of 2 synthetic cines at 25 a second" in printed
    # A model is as good as itself up to the same latency: at 0 ms all is found, at 40 ms 81 of 101.
    assert "crafted 1.0.0 holds against crafted 1.0.0 at 0 ms (1.000) while its own latency is at most 0 ms." in printed
    assert "crafted 1.0.0 holds against crafted 1.0.0 at 40 ms (0.802) up to the longest latency tried." in printed
    content = json.loads(record.read_text())
    assert [one["frames"] for one in content["cines"]] == [5, 5]
    offline, late, here = content["systems"][0]["rows"]
    assert (offline["latency_ms"], offline["mask"]["ap50"], offline["box"]["ap50"]) == (0, 1.0, 1.0)
    assert (offline["age"]["mean_ms"], offline["flicker_per_s"]) == (0, 0)
    # In each cine the first of five ticks is blank: recall 0.8 reaches 81 of 101 points.
    assert (late["mask"]["ap50"], late["box"]["ap50"]) == pytest.approx((81 / 101, 81 / 101))
    assert late["age"] == {"ticks": 10, "blank": 2, "mean_ms": 40, "p95_ms": 40, "mean_frames": 1}
    assert late["answered"] == 1
    assert late["visible_to_found"] == {"appearances": 2, "never": 0, "median_s": 0.04, "p80_s": 0.04}
    assert here["latency"].startswith("here: ")
    assert plot.stat().st_size > 1000


def test_a_server_is_played_to_in_real_time(
    cine: Path, server: RunningServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = tmp_path / "figures.json"
    assert main(["--cine", str(cine), "--server", server.http, "--json", str(record)]) == 0
    assert "in real time" in capsys.readouterr().out
    system = json.loads(record.read_text())["systems"][0]
    offline, live = system["rows"]
    assert (offline["mask"]["ap50"], offline["box"]["ap50"]) == (1.0, 1.0)
    assert offline["flicker_per_s"] is None
    assert sum(system["model"]["frames"].values()) == FRAMES
    assert live["age"]["ticks"] == FRAMES
    assert live["answered"] == system["model"]["frames"].get("result", 0) / FRAMES


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--cine", "no-such-cine"], "on_screen: can't read"),
        (["--model", "no-such-model"], "on_screen: "),
        (["--latency-ms", "-1"], "busy_ms must be 0 or more, got -1.0"),
        (["--server", "http://127.0.0.1:9"], "on_screen: "),
    ],
)
def test_what_can_not_be_played_is_told(
    cine: Path, tiny_model: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--cine", str(cine), "--model", str(tiny_model), *arguments]) == 1
    assert words in capsys.readouterr().err


def test_options_that_make_no_sense_are_refused(cine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--frames", "0"], ["--server", "http://127.0.0.1:9", "--plot", "x.png"]):
        with pytest.raises(SystemExit):
            main(["--cine", str(cine), *arguments])
    assert "--frames must be at least 1, got 0" in capsys.readouterr().err
