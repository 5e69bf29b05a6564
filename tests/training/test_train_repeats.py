import csv
import json
import os
import signal

import pytest

from fetalseg.cli import main
from fetalseg.model.checkpoint import save_checkpoint
from fetalseg.model.variants import variant
from fetalseg.model.yolact import Yolact
from fetalseg.model_file import file_digest

pytest.importorskip("pycocotools", reason="the extra eval is not installed")


def _train(data, out, *more):
    common = ["--variant", "fetalseg-test", "--batch", "2", "--steps", "3", "--validations", "1", "--threads", "1"]
    return main(["train", "--data", str(data), "--out", str(out), *common, "--repeats", "2", *more])


def _images(folder):
    return {image["id"] for image in json.loads((folder / "instances.json").read_text())["images"]}


def test_repeats_share_one_test_part_and_end_in_a_table(drawn_set, tmp_path, capsys):
    out = tmp_path / "run"

    assert _train(drawn_set, out) == 0

    test = _images(out / "test" / "drawn")
    for number in (1, 2):
        folder = out / f"repeat-{number}"
        validation = _images(folder / "holdout" / "drawn")
        train = json.loads((folder / "holdout" / "drawn" / "split.json").read_text())["train"]
        assert validation.isdisjoint(test)
        assert len(train) + len(validation) + len(test) == 12
        metrics = json.loads((folder / "test" / "drawn" / "metrics.json").read_text())
        assert metrics["data"]["images"] == len(test)
    with (out / "table4.csv").open() as file:
        rows = {row["structure"]: row for row in csv.DictReader(file)}
    assert len(rows) == 18
    assert rows["cranium"]["box_AP50_sd"] != ""
    assert rows["spine"]["box_AP50_mean"] == ""
    content = json.loads((out / "table4.json").read_text())
    assert (content["repeats"], content["patience"], content["unit"]) == (2, 5, {"drawn": "patient"})
    assert len(content["sets"]["drawn"][0]["box"]["values"]) == 2
    printed = capsys.readouterr().out
    assert "drawn: AP50, mean ± SD of 2 runs" in printed
    assert "n/a" in printed


def test_repeats_that_are_done_are_not_trained_again(drawn_set, tmp_path):
    out = tmp_path / "run"
    assert _train(drawn_set, out) == 0
    untouched = (out / "repeat-1" / "state.safetensors").stat().st_mtime_ns
    (out / "repeat-2" / "test" / "drawn" / "metrics.json").unlink()
    (out / "table4.csv").unlink()

    assert _train(drawn_set, out, "--resume") == 0

    assert (out / "repeat-1" / "state.safetensors").stat().st_mtime_ns == untouched
    assert (out / "repeat-2" / "test" / "drawn" / "metrics.json").exists()
    assert (out / "table4.csv").exists()


def test_repeats_of_other_settings_are_not_mixed(drawn_set, tmp_path, capsys):
    out = tmp_path / "run"
    assert _train(drawn_set, out) == 0

    assert _train(drawn_set, out) == 1
    assert "already holds repeat-1, repeat-2" in capsys.readouterr().err
    assert _train(drawn_set, out, "--resume", "--seed", "1") == 1
    assert "repeats with other settings: seed was 0 and is 1" in capsys.readouterr().err


def test_an_interrupted_repeat_is_gone_on_with(drawn_set, tmp_path, signal_once_there):
    out = tmp_path / "run"

    signal_once_there(out / "repeat-1" / "log.csv", signal.SIGTERM)
    assert _train(drawn_set, out, "--steps", "16") == 130
    begun = len((out / "repeat-1" / "log.csv").read_text().splitlines())
    assert not (out / "repeat-2").exists()

    assert _train(drawn_set, out, "--steps", "16", "--resume") == 0

    rows = (out / "repeat-1" / "log.csv").read_text().splitlines()
    assert begun < len(rows) == 17
    assert (out / "table4.csv").exists()


def test_the_weights_to_ship_are_the_ones_that_are_tested(drawn_set, tmp_path):
    out = tmp_path / "run"

    assert _train(drawn_set, out, "--ship", "last") == 0
    folder = out / "repeat-1"
    # After so few steps both are the same: make them differ, and let the repeat be tested again.
    save_checkpoint(folder / "best.safetensors", Yolact(variant("fetalseg-test")), {})
    (folder / "test" / "drawn" / "metrics.json").unlink()

    assert _train(drawn_set, out, "--ship", "last", "--resume") == 0

    tested = json.loads((folder / "test" / "drawn" / "metrics.json").read_text())["model"]["sha256"]
    assert tested == file_digest(folder / "last.safetensors") != file_digest(folder / "best.safetensors")
    assert json.loads((out / "table4.json").read_text())["ship"] == "last"


def test_a_wrong_setting_of_repeats_leaves_nothing_that_stands_in_the_way_of_the_right_one(drawn_set, tmp_path, capsys):
    out = tmp_path / "run"
    assert _train(drawn_set, out, "--seed", "-1") == 1
    assert "seed must be 0 to 4294967295, got -1" in capsys.readouterr().err
    assert _train(drawn_set, out, "--init", str(tmp_path / "none.safetensors")) == 1
    assert "no checkpoint at" in capsys.readouterr().err

    assert _train(drawn_set, out) == 0


def test_the_test_part_is_looked_at_before_the_first_training(drawn_set, tmp_path, capsys):
    assert _train(drawn_set, tmp_path / "run") == 0
    test = json.loads((tmp_path / "run" / "test" / "drawn" / "instances.json").read_text())
    os.truncate(test["images"][0]["file_name"], 200)

    assert _train(drawn_set, tmp_path / "other") == 1

    assert f"image {test['images'][0]['id']}: " in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
