import json
import os
import shutil
import signal
import threading
import time

import cv2
import numpy as np
import pytest

from fetalseg.anatomy import coco_categories
from fetalseg.cli import main
from fetalseg.data.coco import read_coco
from fetalseg.model.checkpoint import load_checkpoint


@pytest.fixture
def data(tmp_path):
    """Twelve frames of six patients, each with one cranium as a box."""
    folder = tmp_path / "drawn"
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    content = {"info": {"description": "drawn"}, "categories": coco_categories(), "images": [], "annotations": []}
    for number in range(1, 13):
        x, y = (int(v) for v in rng.integers(5, 30, 2))
        pixels = rng.integers(0, 60, (64, 96), np.uint8)
        pixels[y : y + 30, x : x + 40] = 200
        cv2.imwrite(str(folder / "images" / f"{number}.png"), pixels)
        image = {"id": number, "file_name": f"{number}.png", "height": 64, "width": 96, "patient": str(number // 2)}
        content["images"].append({**image, "annotated_category_ids": [1]})
        content["annotations"].append({"id": number, "image_id": number, "category_id": 1, "bbox": [x, y, 40, 30]})
    (folder / "instances.json").write_text(json.dumps(content))
    return folder


def _train(data, out, *more):
    common = ["--variant", "fetalseg-test", "--batch", "2", "--holdout", "0.3", "--validations", "1"]
    steps = [] if "--steps" in more else ["--steps", "2"]
    return main(["train", "--data", str(data), "--out", str(out), *common, *steps, *more])


def test_a_run_says_what_it_held_out_and_leaves_a_set_to_evaluate(data, tmp_path, capsys):
    out = tmp_path / "run"

    assert _train(data, out) == 0

    held_out = read_coco(out / "holdout" / "drawn")
    split = json.loads((out / "holdout" / "drawn" / "split.json").read_text())
    assert split["unit"] == "patient"
    assert sorted(split["held_out"]) == sorted(image.path.name for image in held_out.images)
    assert len(split["train"]) + len(split["held_out"]) == 12
    assert all(image.path.is_file() for image in held_out.images)
    printed = capsys.readouterr().out
    assert f"{len(split['train'])} frames to train on, {len(split['held_out'])} held out by patient" in printed
    assert "cranium" in printed
    _, facts = load_checkpoint(out / "last.safetensors")
    assert facts["training_data"] == ["drawn: drawn"]


def test_a_finished_run_can_be_resumed_without_doing_anything_again(data, tmp_path):
    out = tmp_path / "run"
    assert _train(data, out) == 0
    rows = (out / "log.csv").read_text()

    assert _train(data, out, "--resume") == 0

    assert (out / "log.csv").read_text() == rows


def test_a_run_that_is_told_to_end_saves_its_state(data, tmp_path):
    out = tmp_path / "run"

    def end_after_the_first_step():
        while not (out / "log.csv").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    killer = threading.Thread(target=end_after_the_first_step)
    killer.start()
    code = _train(data, out, "--steps", "100000")
    killer.join()

    assert code == 130
    assert (out / "state.safetensors").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device", "abacus"], "no device 'abacus'; available: cpu"),
        (["--resume"], "nothing to resume"),
        (["--holdout", "1"], "held-out share must lie in [0, 1), got 1.0"),
    ],
)
def test_a_wrong_setting_is_one_line_and_exit_code_1(data, tmp_path, capsys, arguments, message):
    assert _train(data, tmp_path / "run", *arguments) == 1

    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


def test_shares_are_given_to_every_set_or_to_none(data, tmp_path, capsys):
    more = tmp_path / "more"
    shutil.copytree(data, more)

    assert (
        main(["train", "--data", f"{data}:0.5", "--data", str(more), "--out", str(tmp_path / "r"), "--steps", "1"]) == 1
    )
    assert "give a share to every set or to none" in capsys.readouterr().err
    assert main(["train", "--data", f"{data}:0", "--out", str(tmp_path / "r"), "--steps", "1"]) == 1
    assert "share of a set must be above 0" in capsys.readouterr().err


def test_an_inconsistent_set_never_starts_a_training(data, tmp_path, capsys):
    (data / "images" / "3.png").unlink()

    assert _train(data, tmp_path / "run") == 1
    assert "image 3: can't read" in capsys.readouterr().err
    assert not (tmp_path / "run" / "log.csv").exists()
