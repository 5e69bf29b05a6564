"""The whole of `fetalseg eval` on a model whose answer is known, and the files that it writes."""

from __future__ import annotations

import csv
import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import jsonschema
import numpy as np
import pytest
from crafted_model import write_crafted_model
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

import fetalseg
from fetalseg.anatomy import coco_categories, structure_names
from fetalseg.cli import main
from fetalseg.model_file import read_facts

# The crafted model finds in every frame of 32 x 24 a cranium, score 0.9, that fills the box 8, 4, 24, 20.
RIGHT = [8.0, 4.0, 16.0, 16.0]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_crafted_model(tmp_path_factory.mktemp("model") / "crafted.onnx")


def write_set(folder: Path, *, masks: bool) -> Path:
    """Three frames: a cranium that the model finds, one that it misses, and one that isn't listed."""
    (folder / "images").mkdir()
    images: list[dict[str, Any]] = []
    for number in (1, 2, 3):
        cv2.imwrite(str(folder / "images" / f"{number}.png"), np.full((24, 32), 40, np.uint8))
        images.append({"id": number, "file_name": f"{number}.png", "height": 24, "width": 32})
    images[2]["annotated_category_ids"] = [5]
    boxes = {1: RIGHT, 2: [0.0, 0.0, 6.0, 4.0]}
    annotations: list[dict[str, Any]] = [
        {"id": n, "image_id": n, "category_id": 1, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
        for n, box in boxes.items()
    ]
    if masks:
        for record in annotations:
            x, y, w, h = record["bbox"]
            record["segmentation"] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    path = folder / "instances.json"
    path.write_text(json.dumps({"categories": coco_categories(), "images": images, "annotations": annotations}))
    return path


def evaluate(data: Path, model: Path, out: Path, *options: str) -> dict[str, Any]:
    assert (
        main(["eval", "--data", str(data), "--model", str(model), "--out", str(out), "--threads", "1", *options]) == 0
    )
    metrics: dict[str, Any] = json.loads((out / "metrics.json").read_text())
    return metrics


def test_metrics_have_the_agreed_form_and_the_right_numbers(model: Path, tmp_path: Path) -> None:
    data = write_set(tmp_path, masks=True)
    metrics = evaluate(data, model, tmp_path / "out", "--engine", "onnxruntime")
    # Found in one of two frames, and a false detection of the same score beside: 51 of 101 points, precision 1.
    expected = {"AP": pytest.approx(51 / 101), "AP50": pytest.approx(51 / 101), "AP75": pytest.approx(51 / 101)}
    assert metrics["schema"] == 2
    assert metrics["box"] == metrics["mask"]
    assert {key: metrics["box"][key] for key in ("AP", "AP50", "AP75", "n")} == expected | {"n": 1}
    assert list(metrics["structures"]) == list(structure_names())
    cranium = metrics["structures"]["cranium"]
    assert cranium["box"] == cranium["mask"]
    assert {key: cranium["box"][key] for key in expected} == expected
    assert (cranium["support"], cranium["mask_support"], cranium["frames"]) == (2, 2, 2)
    # One of two is found; interpolation rounds off 4 of the 16 x 16 pixels of its mask.
    assert (cranium["centre_hit"], cranium["dice"]) == (0.5, pytest.approx(2 * 252 / (252 + 256) / 2))
    palate = metrics["structures"]["palate"]
    assert [palate[key] for key in ("support", "mask_support", "frames", "centre_hit", "dice")] == [0, 0, 0, None, None]
    assert palate["box"] == palate["mask"]
    assert [palate["box"][key] for key in expected] == [None, None, None]
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    assert metrics["model"] == {"name": "crafted", "version": "1.0.0", "sha256": digest}
    assert metrics["engine"] == {"name": "onnxruntime", "precision": "fp32", "device": "CPU, 1 thread"}
    digest = hashlib.sha256(data.read_bytes()).hexdigest()
    assert metrics["data"] == {"path": str(data), "sha256": digest, "images": 3}
    assert metrics["frames"] == 3


def test_a_set_with_boxes_alone_has_null_by_mask(model: Path, tmp_path: Path) -> None:
    metrics = evaluate(write_set(tmp_path, masks=False), model, tmp_path / "out")
    assert metrics["mask"] is None
    assert {result["mask"] for result in metrics["structures"].values()} == {None}
    assert metrics["box"]["AP50"] == pytest.approx(51 / 101)
    assert not (tmp_path / "out" / "detections_mask.json").exists()


def test_options_are_the_models_but_for_what_ranks_detections_and_are_written_down(model: Path, tmp_path: Path) -> None:
    data = write_set(tmp_path, masks=True)
    options = evaluate(data, model, tmp_path / "out")["options"]
    assert (options["min_score"], options["max_detections"], options["nms"]) == (0.05, 100, "fast")
    assert options["single_structures"] is False
    chosen = ("--nms", "matrix", "--min-score", "0.95", "--single-structures")
    metrics = evaluate(data, model, tmp_path / "out", *chosen)
    assert (metrics["options"]["nms"], metrics["options"]["min_score"]) == ("matrix", 0.95)
    assert metrics["options"]["single_structures"] is True
    assert metrics["box"]["AP50"] == 0


def test_a_limit_is_seen_in_the_number_of_frames(model: Path, tmp_path: Path) -> None:
    metrics = evaluate(write_set(tmp_path, masks=True), model, tmp_path / "out", "--limit", "1")
    assert metrics["frames"] == 1
    assert metrics["box"]["AP50"] == pytest.approx(1)


def test_the_table_of_structures_has_a_row_for_each_and_empty_cells_without_figures(
    model: Path, tmp_path: Path
) -> None:
    evaluate(write_set(tmp_path, masks=True), model, tmp_path / "out")
    with (tmp_path / "out" / "structures.csv").open(newline="") as file:
        rows = {row["structure"]: row for row in csv.DictReader(file)}
    assert list(rows) == list(structure_names())
    assert float(rows["cranium"]["mask_AP50"]) == pytest.approx(51 / 101)
    assert (rows["cranium"]["support"], rows["heart"]["support"], rows["heart"]["box_AP50"]) == ("2", "0", "")


@pytest.mark.parametrize(("kind", "file"), [("bbox", "detections_box.json"), ("segm", "detections_mask.json")])
def test_detections_load_into_pycocotools_and_give_the_same_figures(
    kind: str, file: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_set(tmp_path, masks=True)
    metrics = evaluate(data, model, tmp_path / "out")
    direct = COCO(str(data))
    evaluation = COCOeval(direct, direct.loadRes(str(tmp_path / "out" / file)), kind)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    ours = metrics["box" if kind == "bbox" else "mask"]
    assert [ours["AP"], ours["AP50"], ours["AP75"]] == pytest.approx(evaluation.stats[:3])


def test_the_terminal_shows_figures_and_what_is_missing(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    evaluate(write_set(tmp_path, masks=True), model, tmp_path / "out")
    shown = capsys.readouterr().out
    assert "cranium" in shown
    assert "0.505" in shown
    assert "mean of 1" in shown
    assert "no ground truth in this set for 16 of 17 structures" in shown
    assert "heart" not in shown
    assert "…" not in shown
    assert "Running per image evaluation" not in shown


def test_structures_that_the_model_does_not_know_are_named_and_not_scored(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_set(tmp_path, masks=True)
    content = json.loads(data.read_text())
    content["categories"] = [{"id": 1, "name": "yolk sac"}, {"id": 2, "name": "cranium"}]
    content["images"][2]["annotated_category_ids"] = [1]
    content["annotations"][0]["category_id"] = 2
    data.write_text(json.dumps(content))
    metrics = evaluate(data, model, tmp_path / "out")
    assert metrics["unknown_to_model"] == ["yolk sac"]
    assert metrics["box"]["n"] == 1
    assert metrics["structures"]["cranium"]["support"] == 1
    assert "yolk sac" not in metrics["structures"]
    assert "in the set, but unknown to the model and not scored: yolk sac" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("masks", [True, False], ids=["masks", "boxes"])
def test_detections_of_another_system_are_scored_as_those_of_a_model(
    masks: bool, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_set(tmp_path, masks=True)
    expected = evaluate(data, model, tmp_path / "own")
    file = tmp_path / "own" / ("detections_mask.json" if masks else "detections_box.json")
    capsys.readouterr()
    out = tmp_path / "theirs"
    assert main(["eval", "--data", str(data), "--detections", str(file), "--out", str(out)]) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["mask"] == (expected["mask"] if masks else None)
    assert metrics["box"] == expected["box"]
    cranium = metrics["structures"]["cranium"]
    assert (cranium["support"], cranium["centre_hit"]) == (2, 0.5)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert metrics["detections"] == {"path": str(file), "sha256": digest, "results": 2}
    assert metrics["data"] == expected["data"]
    assert not {"model", "engine", "options"} & metrics.keys()
    assert "2 detections from" in capsys.readouterr().out


def test_detections_of_an_unknown_image_end_with_their_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_set(tmp_path, masks=False)
    file = tmp_path / "dets.json"
    file.write_text(json.dumps([{"image_id": 9, "category_id": 1, "bbox": RIGHT, "score": 0.5}]))
    assert main(["eval", "--data", str(data), "--detections", str(file), "--out", str(tmp_path / "out")]) == 1
    assert "result 0: image_id is 9, which is no image of the annotated set" in capsys.readouterr().err


def test_how_a_model_is_run_has_no_place_beside_detections(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_set(tmp_path, masks=False)
    arguments = ["eval", "--data", str(data), "--detections", "dets.json", "--out", str(tmp_path / "out")]
    assert main([*arguments, "--min-score", "0.3", "--limit", "2"]) == 1
    assert "with --detections no model is run: leave out --min-score, --limit" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--resamples", "0"], "expected --resamples from 1 and --seed from 0 on, got 0 and 0"),
        (["--require", "cranium"], "can't read the requirement 'cranium'"),
        (["--slice", "hospital"], "no image has the field 'hospital'"),
        (["--limit", "0"], "--limit must be at least 1, got 0"),
        (["--min-score", "1.5"], "min_score must be within 0..1, got 1.5"),
        (["--model", "fetalseg-none"], "no model named 'fetalseg-none'"),
        (["--data", "nowhere.json"], "can't read nowhere.json"),
        (["--images", "nowhere"], "looked in nowhere"),
    ],
)
def test_mistakes_end_with_a_message_and_exit_code_1(
    options: list[str], message: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_set(tmp_path, masks=False)
    arguments = ["eval", "--data", str(data), "--model", str(model), "--out", str(tmp_path / "out"), *options]
    assert main(arguments) == 1
    assert message in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_found_before_the_work(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_set(tmp_path, masks=False)
    assert main(["eval", "--data", str(data), "--model", str(model), "--out", str(data)]) == 1
    assert f"can't write to {data}" in capsys.readouterr().err


def test_the_report_keeps_to_its_schema_and_says_where_it_comes_from(model: Path, tmp_path: Path) -> None:
    metrics = evaluate(write_set(tmp_path, masks=True), model, tmp_path / "out", "--resamples", "20", "--seed", "3")
    schema = resources.files("fetalseg.evaluation").joinpath("metrics_schema.json").read_text(encoding="utf-8")
    jsonschema.validate(metrics, json.loads(schema), jsonschema.Draft202012Validator)
    interval = metrics["protocol"]["interval"]
    assert (interval["resamples"], interval["seed"], interval["unit"]) == (20, 3, "by image, optimistic")
    assert metrics["protocol"]["score_floor"] == 0.05
    assert metrics["provenance"]["fetalseg"] == fetalseg.__version__
    assert metrics["provenance"]["packages"]["numpy"] == np.__version__


def test_the_reference_writes_the_same_figures_and_its_name(model: Path, tmp_path: Path) -> None:
    data = write_set(tmp_path, masks=True)
    own = evaluate(data, model, tmp_path / "own", "--resamples", "20")
    reference = evaluate(data, model, tmp_path / "reference", "--resamples", "20", "--backend", "pycocotools")
    assert own["protocol"].pop("matching") == "by the rules of pycocotools"
    assert reference["protocol"].pop("matching") == "by pycocotools itself, those by boundary by its rules"
    for metrics in (own, reference):
        del metrics["provenance"]  # the time
    assert own == reference


def test_slices_are_counted_and_written_as_a_table(model: Path, tmp_path: Path) -> None:
    data = write_set(tmp_path, masks=True)
    content = json.loads(data.read_text())
    for record, hospital in zip(content["images"], ("north", "south", "south"), strict=True):
        record["hospital"] = hospital
    data.write_text(json.dumps(content))
    metrics = evaluate(data, model, tmp_path / "out", "--slice", "hospital", "--resamples", "5")
    # The one that is found lies in the north; in the south the false one stands alone.
    found = {value: part["box"]["AP50"] for value, part in metrics["slices"]["hospital"].items()}
    assert found == {"north": pytest.approx(1), "south": 0}
    with (tmp_path / "out" / "slices.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["structure"] == "cranium"]
    assert [(row["value"], row["frames"], row["box_n"], row["box_AP50"]) for row in rows] == [
        ("north", "1", "1", str(found["north"])),
        ("south", "2", "1", "0.0"),
    ]


def test_a_requirement_that_is_not_met_ends_with_exit_code_1_and_a_failure_in_junit(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_set(tmp_path, masks=True)
    words = ["eval", "--data", str(data), "--model", str(model), "--out", str(tmp_path / "out"), "--resamples", "5"]
    assert main([*words, "--require", "cranium.box.AP50 >= 0.5", "--require", "mean.mask.AP > 0.6"]) == 1
    shown = capsys.readouterr().out
    assert "pass  cranium.box.AP50 >= 0.5: cranium.box.AP50 is 0.5050" in shown
    assert "FAIL  mean.mask.AP > 0.6: mean.mask.AP is 0.5050" in shown
    suite = ElementTree.parse(tmp_path / "out" / "junit.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("19", "1", "16")


def test_thresholds_are_frozen_into_a_copy_of_the_model_and_applied_where_wanted(model: Path, tmp_path: Path) -> None:
    data = write_set(tmp_path, masks=True)
    frozen = tmp_path / "frozen.onnx"
    options = ("--resamples", "5")
    evaluate(data, model, tmp_path / "out", "--freeze-thresholds", str(frozen), *options)
    # Found at 0.9 in all frames, and nothing lies below.
    facts = read_facts(frozen)
    assert facts.thresholds == {"cranium": pytest.approx(0.45)}
    assert facts.thresholds_source.startswith("highest F1 by box at IoU 0.5, 3 frames of ")
    # In place of a floor that would drop it.
    high = ("--min-score", "0.95", *options)
    assert evaluate(data, frozen, tmp_path / "plain", *high)["box"]["AP50"] == 0
    kept = evaluate(data, frozen, tmp_path / "kept", "--structure-thresholds", *high)
    assert kept["box"]["AP50"] == pytest.approx(51 / 101)
    assert kept["options"]["structure_thresholds"] is True


@pytest.mark.parametrize("options", [(), ("--no-gallery",)], ids=["with frames", "without"])
def test_the_page_has_the_frames_unless_they_are_to_be_left_out(
    options: tuple[str, ...], model: Path, tmp_path: Path
) -> None:
    evaluate(write_set(tmp_path, masks=True), model, tmp_path / "out", "--resamples", "5", *options)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "cranium" in page
    assert ("data:image/jpeg" in page) is not bool(options)
