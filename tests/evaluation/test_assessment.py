"""All figures of three hand-made frames, and the files' content that follows from them."""

from __future__ import annotations

import csv
import json
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from evaluation.handmade_frames import HERE, THERE, detections, frame, present, rectangle, set_of
from fetalseg.evaluation.assessment import Assessment, AssessmentOptions, assess
from fetalseg.evaluation.csv_tables import write_tables
from fetalseg.evaluation.evaluator import evaluate_frames
from fetalseg.evaluation.metrics_file import curves, metrics
from fetalseg.evaluation.provenance import provenance
from fetalseg.evaluation.summary import headlines

RUN: dict[str, Any] = {
    "detections": {"path": "dets.json", "sha256": "0" * 64, "results": 3},
    "data": {"path": "instances.json", "sha256": "0" * 64, "images": 3},
}


def assessed(*, masks: bool = True, options: AssessmentOptions | None = None) -> Assessment:
    """Two heads, of which the first is found at score 0.9, and an abdomen in which a cranium is seen at 0.4."""
    here = rectangle(HERE) if masks else None
    frames = (
        frame("head", [present("cranium", HERE, here)], detections(("cranium", 0.9, HERE), masks=masks), number=1),
        frame("head", [present("cranium", HERE, here)], detections(("cranium", 0.2, THERE), masks=masks), number=2),
        frame("abdomen", [], detections(("cranium", 0.4, HERE), masks=masks), number=3),
    )
    truth = set_of(frames)
    return assess(evaluate_frames(frames, truth), truth, options or AssessmentOptions(resamples=50, boundary=True))


def written(assessment: Assessment) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(metrics(assessment, {**RUN, "provenance": provenance()})))
    return found


def schema() -> dict[str, Any]:
    text = resources.files("fetalseg.evaluation").joinpath("metrics_schema.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.mark.parametrize("masks", [True, False], ids=["masks", "boxes"])
def test_the_metrics_are_of_the_form_that_the_schema_describes(masks: bool) -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate(written(assessed(masks=masks)), schema(), jsonschema.Draft202012Validator)


def test_a_key_that_the_schema_does_not_know_is_refused() -> None:
    content = written(assessed())
    content["structures"]["cranium"]["more"] = 1
    with pytest.raises(jsonschema.ValidationError, match="more"):
        jsonschema.validate(content, schema(), jsonschema.Draft202012Validator)


def test_the_figures_of_a_structure_are_those_of_its_frames() -> None:
    content = written(assessed())
    cranium = content["structures"]["cranium"]
    # One of two is found, first of all: precision 1 up to recall 0.5, which is 51 of 101 points.
    for kind in ("box", "mask", "boundary"):
        assert cranium[kind]["AP50"] == pytest.approx(51 / 101)
        assert (cranium[kind]["AR100"], cranium[kind]["n"]) == (0.5, 2)
        # 40 x 40 px: medium.
        assert (cranium[kind]["n_small"], cranium[kind]["n_medium"], cranium[kind]["n_large"]) == (0, 2, 0)
    assert content["box"]["AP50"] == pytest.approx(51 / 101)
    overlap = cranium["overlap"]
    # The second is found below 0.3 only.
    assert (overlap["dice"], overlap["centre_hit"], overlap["hausdorff_frames"]) == (0.5, 0.5, 1)
    assert (cranium["dice"], overlap["hausdorff_px"], overlap["hausdorff_mm"]) == (0.5, 0, None)
    # In frame 2 nothing is where the cranium is, in frame 3 there is none.
    assert cranium["errors"]["box"]["counts"] == {
        **{"localisation": 0, "class": 0, "duplicate": 0, "background": 2, "both": 0, "missed": 1}
    }
    # Kept from 0.65 on, half way from 0.9 to 0.4: one right, one missed.
    threshold = cranium["threshold"]["box"]
    assert (threshold["threshold"], threshold["f1"]) == pytest.approx((0.65, 2 / 3))
    assert content["structures"]["heart"]["threshold"]["box"] is None


def test_tables_views_and_absence_are_counted_on_the_same_frames() -> None:
    content = written(assessed())
    row = content["table3"]["centre"]["cranium"]
    assert [row[cell] for cell in ("tp", "fp", "fn", "tn")] == [1, 0, 1, 0]
    assert (row["recall"], row["precision"], row["wrong_view_per_100"]) == (0.5, 1, 100)
    low, high = row["interval"]["recall"]
    assert 0 <= low < 0.5 < high <= 1
    # A head is told as one, the other shows nothing, and the abdomen is told as a head.
    assert content["views"]["accuracy"] == pytest.approx(1 / 3)
    assert content["views"]["confusion"]["head"] == {
        **{"head": 1, "neck": 0, "thorax": 0, "abdomen": 0, "extremity": 0, "spine": 0, "none": 1}
    }
    absent = content["absence"]["cranium"]["all_views"]
    interval = absent.pop("interval")
    assert absent == {"frames": 1, "clear": 0, "detections": 1, "specificity": 0, "per_100": 100}
    # There is one such frame: all resamples that have it agree, and 8 in 27 don't have it.
    assert (interval["specificity"], interval["per_100"]) == ([0, 0], [100, 100])
    assert 5 < interval["dropped"] < 25
    assert content["head_circumference"] is None


def test_intervals_say_what_was_drawn_and_hold_the_figure() -> None:
    content = written(assessed())
    interval = content["protocol"]["interval"]
    assert (interval["unit"], interval["units"], interval["resamples"], interval["seed"]) == (
        *("by image, optimistic", 3),
        *(50, 0),
    )
    low, high = content["box"]["interval"]["AP50"]
    assert 0 <= low < 51 / 101 < high <= 1
    # A resample of the abdomen alone has no cranium: 1 in 27 of them.
    assert 0 < content["box"]["interval"]["dropped"] < 10
    assert content["structures"]["heart"]["box"]["interval"] == {
        **{"AP": None, "AP50": None, "AP75": None, "dropped": None}
    }


def test_intervals_stand_with_overlaps_and_slices() -> None:
    content = written(assessed())
    interval = content["structures"]["cranium"]["overlap"]["interval"]
    for name in ("centre_hit", "dice", "iou"):
        low, high = interval[name]
        assert 0 <= low < 0.5 < high <= 1
    assert (interval["hausdorff_px"], interval["hausdorff_mm"]) == ([0, 0], None)
    head = content["slices"]["view"]["head"]
    low, high = head["mask"]["interval"]["AP50"]
    assert 0 <= low < 51 / 101 < high <= 1
    assert head["structures"]["cranium"]["mask"]["interval"] == head["mask"]["interval"]
    # An abdomen without annotations has no average precision to have an interval of.
    assert content["slices"]["view"]["abdomen"]["mask"]["interval"] == {"AP50": None, "dropped": None}


def test_the_tables_for_a_spreadsheet_hold_the_same_intervals(tmp_path: Path) -> None:
    content = written(assessed())
    write_tables(tmp_path, content)
    rows = {}
    for name in ("structures", "table3", "slices"):
        with (tmp_path / f"{name}.csv").open(newline="") as file:
            rows[name] = next(row for row in csv.DictReader(file) if row["structure"] == "cranium")
    overlap = content["structures"]["cranium"]["overlap"]["interval"]
    assert [float(rows["structures"][f"dice_{end}"]) for end in ("low", "high")] == overlap["dice"]
    assert rows["structures"]["hausdorff_mm_low"] == ""
    # The one abdomen has one cranium drawn in it.
    assert [float(rows["table3"][f"wrong_view_per_100_{end}"]) for end in ("low", "high")] == [100, 100]
    ap50 = content["slices"]["view"]["head"]["structures"]["cranium"]["box"]["interval"]["AP50"]
    assert [float(rows["slices"][f"box_AP50_{end}"]) for end in ("low", "high")] == ap50


def test_the_lines_for_a_terminal_fit_80_columns_with_the_intervals_of_heads() -> None:
    bounds = {"mean": [-1.0, 0.2], "sd": [0.8, 1.6], "mae": [0.7, 1.4], "dropped": 0}
    found = {"n": 9, "mean": -0.5, "sd": 1.25, "mae": 1.0, "low": -12.95, "high": 11.95, "interval": bounds}
    lines = headlines({**written(assessed()), "head_circumference": {"frames": 10, "missed": 1, "found": found}})
    assert "head circumference off by 1.00 mm (0.70 to 1.40) on average," in lines
    assert "  bias -0.50 mm (-1.00 to +0.20), limits of agreement -12.95 to +11.95 mm" in lines
    assert max(map(len, lines[-3:])) <= 80


def test_without_masks_all_that_needs_them_is_null() -> None:
    content = written(assessed(masks=False))
    assert content["mask"] is content["boundary"] is content["structures"]["cranium"]["mask"] is None
    assert content["structures"]["cranium"]["dice"] is None
    assert list(content["errors"]) == ["box"]


def test_boundaries_are_left_out_unless_wanted() -> None:
    assert written(assessed(options=AssessmentOptions(resamples=1)))["boundary"] is None


def test_curves_hold_precision_by_recall_and_what_each_threshold_keeps() -> None:
    found = curves(assessed())
    box = found["structures"]["cranium"]["box"]
    assert (len(found["recall_points"]), len(box["precision"])) == (101, 101)
    assert (box["precision"][50], box["precision"][51], box["positives"]) == (pytest.approx(1), 0, 2)
    kept = dict(zip(found["thresholds"], zip(*box["kept"].values(), strict=True), strict=True))
    assert list(box["kept"]) == ["precision", "recall", "f1"]
    # All three are kept at 0.2; from 0.9 on one, from 0.91 on none.
    assert kept[0.2] == pytest.approx((1 / 3, 0.5, 0.4))
    assert kept[0.9] == pytest.approx((1, 0.5, 2 / 3))
    assert kept[0.91] == (None, None, None)
    assert found["structures"]["heart"]["box"]["precision"] is None


def test_each_step_is_told() -> None:
    frames = (frame("head", [present("cranium", HERE)], detections(("cranium", 0.9, HERE), masks=False)),)
    steps: list[str] = []
    truth = set_of(frames)
    assess(evaluate_frames(frames, truth), truth, AssessmentOptions(resamples=1), tell=steps.append)
    assert steps == ["matches", "curves", "errors", "tables", "slices", "intervals"]
