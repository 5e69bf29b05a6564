import json
import shutil
import signal

import pytest

from fetalseg.anatomy import structure_names
from fetalseg.cli import main
from fetalseg.data.coco import read_coco
from fetalseg.model.checkpoint import load_checkpoint, save_checkpoint
from fetalseg.model.variants import variant
from fetalseg.model.yolact import Yolact


def _train(data, out, *more):
    common = ["--variant", "fetalseg-test", "--batch", "2", "--holdout", "0.3", "--validations", "1"]
    steps = [] if "--steps" in more else ["--steps", "2"]
    return main(["train", "--data", str(data), "--out", str(out), *common, *steps, *more])


def test_a_run_says_what_it_held_out_and_leaves_a_set_to_evaluate(drawn_set, tmp_path, capsys):
    out = tmp_path / "run"

    assert _train(drawn_set, out) == 0

    held_out = read_coco(out / "holdout" / "drawn")
    split = json.loads((out / "holdout" / "drawn" / "split.json").read_text())
    assert split["unit"] == "patient"
    assert sorted(split["held_out"]) == sorted(image.path.name for image in held_out.images)
    assert len(split["train"]) + len(split["held_out"]) == 12
    assert all(image.path.is_file() for image in held_out.images)
    printed = capsys.readouterr().out
    assert f"{len(split['train'])} frames to train on, {len(split['held_out'])} held out by patient" in printed
    assert "cranium" in printed
    assert "finished after 2 steps" in printed
    for name in ("best.safetensors", "last.safetensors", "fetalseg-test.safetensors", "log.csv", "tensorboard"):
        assert f" {out / name}\n" in printed


def test_a_checkpoint_says_what_it_was_trained_on_and_how_to_serve_it(drawn_set, tmp_path):
    out = tmp_path / "run"
    words = ["--licence", "Apache-2.0", "--attribution", "Nobody et al. 2026", "--augment", "flip,grey"]

    assert (
        _train(
            drawn_set,
            out,
            *words,
            "--postprocess",
            "nms=greedy",
            "--postprocess",
            "min_score=0.4",
            "--postprocess",
            "box_voting=0.7",
        )
        == 0
    )

    _, facts = load_checkpoint(out / "fetalseg-test.safetensors")
    assert facts["training_data"] == ["drawn: drawn, https://example.org, CC0", "Nobody et al. 2026"]
    assert facts["licence"] == "Apache-2.0"
    assert facts["postprocess"] == {"nms": "greedy", "min_score": 0.4, "box_voting": 0.7}
    assert facts["structures"] == list(structure_names())
    assert facts["training"]["augmentation"]["flip_horizontal"] > 0
    assert facts["training"]["augmentation"]["speckle_share"] == 0


def test_a_finished_run_can_be_resumed_without_doing_anything_again(drawn_set, tmp_path):
    out = tmp_path / "run"
    assert _train(drawn_set, out) == 0
    rows = (out / "log.csv").read_text()

    assert _train(drawn_set, out, "--resume") == 0

    assert (out / "log.csv").read_text() == rows


def test_a_folder_with_a_run_is_not_trained_into_again(drawn_set, tmp_path, capsys):
    out = tmp_path / "run"
    assert _train(drawn_set, out) == 0
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}

    assert _train(drawn_set, out) == 1

    assert "already holds a run" in capsys.readouterr().err
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_told_to_end_saves_its_state_and_says_how_to_go_on(
    drawn_set, tmp_path, capsys, signal_once_there, number
):
    out = tmp_path / "run"

    signal_once_there(out / "log.csv", number)
    code = _train(drawn_set, out, "--steps", "100000")

    assert code == 130
    steps = len((out / "log.csv").read_text().splitlines()) - 1
    assert f"stopped after step {steps}; to go on, give the same command with --resume" in capsys.readouterr().out
    assert (out / "state.safetensors").is_file()


def test_a_run_starts_from_the_weights_of_another(drawn_set, tmp_path, capsys):
    save_checkpoint(tmp_path / "given.safetensors", Yolact(variant("fetalseg-test")), {})

    assert _train(drawn_set, tmp_path / "run", "--init", str(tmp_path / "given.safetensors")) == 0

    _, facts = load_checkpoint(tmp_path / "run" / "last.safetensors")
    weights, of = facts["init"].split(" weights from given.safetensors")[0].split(" of ")
    assert weights == of
    assert f"starts from {facts['init']}" in capsys.readouterr().out.replace("\n", " ")


def test_a_set_with_names_of_its_own_trains_a_model_with_these_names(drawn_set, tmp_path):
    path = drawn_set / "instances.json"
    content = json.loads(path.read_text())
    content["categories"] = [{"id": 7, "name": "yolk sac"}, {"id": 3, "name": "amnion"}]
    content["images"] = [{**image, "annotated_category_ids": [7]} for image in content["images"]]
    content["annotations"] = [{**annotation, "category_id": 7} for annotation in content["annotations"]]
    path.write_text(json.dumps(content))

    assert _train(drawn_set, tmp_path / "run") == 0

    network, facts = load_checkpoint(tmp_path / "run" / "fetalseg-test.safetensors")
    assert network.variant.structures == 2
    assert facts["structures"] == ["amnion", "yolk sac"]
    assert "yolk sac" in (tmp_path / "run" / "validation.csv").read_text()


def test_sets_with_different_structures_are_not_trained_together(drawn_set, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(drawn_set, other)
    content = json.loads((other / "instances.json").read_text())
    content["categories"] = [{"id": 1, "name": "yolk sac"}]
    (other / "instances.json").write_text(json.dumps(content))

    assert _train(drawn_set, tmp_path / "run", "--data", str(other)) == 1

    error = capsys.readouterr().err
    assert "all sets of a training must have the same structures: drawn has cranium" in error
    assert "other has yolk sac" in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device", "abacus"], "no device 'abacus'; available: cpu"),
        (["--resume"], "nothing to resume"),
        (["--holdout", "1"], "held-out share must lie in [0, 1), got 1.0"),
        (["--holdout", "0", "--patience", "2"], "patience needs held-out frames to validate on"),
        (["--postprocess", "nms=best"], "unknown nms 'best'; expected one of fast, "),
        (
            ["--postprocess", "nim=fast"],
            "expected NAME=VALUE of post-processing, got 'nim=fast'; known names are ",
        ),
        (["--postprocess", "min_score=low"], "expected a number, got 'min_score=low'"),
        (["--postprocess", "masks=1"], "expected true or false, got 'masks=1'"),
        (["--augment", "flip,fog"], "unknown augmentation fog; known are flip, "),
        (["--init", "none.safetensors"], "no checkpoint at none.safetensors"),
        (["--batch", "0"], "batch must be at least 1, got 0"),
        (["--loaders", "0"], "loaders must be at least 1, got 0"),
        (["--threads", "0"], "threads must be at least 1, got 0"),
        (["--validation-frames", "-1"], "validation_frames must be at least 1, got -1"),
        (["--repeats", "2"], "--repeats splits 4:1 as the study did; leave out --holdout"),
    ],
)
def test_a_wrong_setting_is_one_line_and_nothing_is_written(drawn_set, tmp_path, capsys, arguments, message):
    assert _train(drawn_set, tmp_path / "run", *arguments) == 1

    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "-3"], "epochs must be above 0, got -3"),
        (["--epochs", "inf"], "epochs must be above 0, got inf"),
        (["--epochs", "1", "--batch", "0"], "batch must be at least 1, got 0"),
        (["--minutes", "nan"], "minutes must be above 0, got nan"),
    ],
)
def test_a_wrong_length_is_found_before_any_frame_is_decoded(drawn_set, tmp_path, capsys, arguments, message):
    _empty_mask(drawn_set)
    common = ["train", "--data", str(drawn_set), "--variant", "fetalseg-test", "--out", str(tmp_path / "run")]

    assert main([*common, *arguments]) == 1

    assert capsys.readouterr().err == f"fetalseg train: {message}\n"


def test_without_held_out_frames_no_scores_are_shown(drawn_set, tmp_path, capsys):
    assert _train(drawn_set, tmp_path / "run", "--holdout", "0") == 0

    printed = capsys.readouterr().out
    assert "finished after 2 steps" in printed
    assert "no frame was held out to validate on: the newest weights are shipped" in printed
    assert "AP50" not in printed
    assert "best weights" not in printed


def test_a_run_is_not_resumed_with_another_word_on_where_it_started(drawn_set, tmp_path, capsys):
    out, given = tmp_path / "run", tmp_path / "given.safetensors"
    save_checkpoint(given, Yolact(variant("fetalseg-test")), {})
    assert _train(drawn_set, out, "--init", str(given)) == 0

    assert _train(drawn_set, out, "--resume", "--init", str(given)) == 0
    assert _train(drawn_set, out, "--resume") == 1

    assert "other settings: init was " in capsys.readouterr().err


def test_shares_are_given_to_every_set_or_to_none(drawn_set, tmp_path, capsys):
    more = tmp_path / "more"
    shutil.copytree(drawn_set, more)

    assert _train(f"{drawn_set}:0.5", tmp_path / "run", "--data", str(more)) == 1
    assert "give a share to every set or to none" in capsys.readouterr().err
    assert _train(f"{drawn_set}:0", tmp_path / "run") == 1
    assert "share of a set must be above 0" in capsys.readouterr().err


def _lose(data):
    (data / "images" / "3.png").unlink()


def _truncate(data):
    path = data / "images" / "3.png"
    path.write_bytes(path.read_bytes()[:200])


def _empty_mask(data):
    content = json.loads((data / "instances.json").read_text())
    content["annotations"][2]["segmentation"] = [[1, 1, 2, 1, 3, 1]]
    (data / "instances.json").write_text(json.dumps(content))


def _bow_tie(data):
    content = json.loads((data / "instances.json").read_text())
    x, y, width, height = content["annotations"][2]["bbox"]
    content["annotations"][2]["segmentation"] = [[x, y, x + width, y + height, x + width, y, x, y + height]]
    (data / "instances.json").write_text(json.dumps(content))


def _other_box(data):
    content = json.loads((data / "instances.json").read_text())
    content["annotations"][2]["bbox"] = [0, 0, 9, 9]
    (data / "instances.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_lose, "image 3: can't read"),
        (_truncate, "image 3: "),
        (_empty_mask, "annotation 3: polygon 1 of 1 has no area"),
        (_bow_tie, "annotation 3: polygon 1 of 1 crosses itself near x "),
        (_other_box, "annotation 3: bbox [0.0, 0.0, 9.0, 9.0] is "),
    ],
)
def test_an_unreadable_or_inconsistent_set_never_starts_a_training(drawn_set, tmp_path, capsys, damage, message):
    fine = tmp_path / "fine"
    shutil.copytree(drawn_set, fine)
    damage(drawn_set)

    # The broken set comes last: nothing may be written before it was looked at.
    assert _train(fine, tmp_path / "run", "--data", str(drawn_set)) == 1

    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_full_disk_is_a_clear_error_and_leaves_the_last_state_intact(
    drawn_set, tmp_path, capsys, signal_once_there, full_disk
):
    out = tmp_path / "run"

    signal_once_there(out / "log.csv", signal.SIGTERM)
    assert _train(drawn_set, out, "--steps", "100000") == 130
    kept = {name: (out / f"{name}.safetensors").read_bytes() for name in ("state", "last")}
    capsys.readouterr()
    with full_disk(150_000):  # fits a checkpoint, not a state
        code = _train(drawn_set, out, "--steps", "100000", "--resume")

    assert code == 1
    error = capsys.readouterr().err
    assert f"can't write {out}/state.safetensors: File too large; the last good checkpoint is intact" in error
    assert (out / "state.safetensors").read_bytes() == kept["state"]
    load_checkpoint(out / "last.safetensors")
    assert not [path for path in out.iterdir() if path.name.startswith(".")]
