"""Results of other systems: what is read, and what is refused with its place."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fetalseg.data.records import Annotation, CocoSet, ImageRecord
from fetalseg.encoding import decode_mask
from fetalseg.errors import DataError
from fetalseg.evaluation.detections_file import read_detections
from fetalseg.evaluation.evaluator import evaluate_frames

HEIGHT, WIDTH = 20, 30
# Down the columns: 5 columns of 20 px, then rows 2 to 11 of the sixth and the seventh.
RUNS = [102, 10, 10, 10, 468]
BOX = [5, 2, 2, 10]


def image(number: int) -> ImageRecord:
    truth = Annotation(number, 0, (5, 2, 2, 10), {"size": [HEIGHT, WIDTH], "counts": RUNS}, False)
    return ImageRecord(number, Path(f"{number}.png"), HEIGHT, WIDTH, frozenset({0, 1}), (truth,))


TRUTH = CocoSet(Path("instances.json"), "", "", {0: 11, 1: 4}, (image(8), image(3)), ("cord", "cyst"))


def result(**changes: Any) -> dict[str, Any]:
    entry = {"image_id": 3, "category_id": 11, "score": 0.5, "bbox": BOX, **changes}
    return {key: value for key, value in entry.items() if value is not ...}


def write(folder: Path, *entries: Any) -> Path:
    path = folder / "dets.json"
    path.write_text(json.dumps(list(entries)))
    return path


def test_frames_come_in_the_order_of_the_set_and_detections_best_first(tmp_path: Path) -> None:
    path = write(tmp_path, result(score=0.25), result(category_id=4, score=1), result(score=0.5))
    first, second = read_detections(path, TRUTH)
    assert (first.image.id, len(first.found), second.image.id) == (8, 0, 3)
    assert second.found.labels.tolist() == [1, 0, 0]
    assert second.found.scores.tolist() == [1, 0.5, 0.25]
    assert second.found.boxes[0].tolist() == [5, 2, 7, 12]
    assert second.found.masks is None


@pytest.mark.parametrize(
    "written",
    [
        {"size": [HEIGHT, WIDTH], "counts": RUNS},
        {"size": [HEIGHT, WIDTH], "counts": "V3::0Z>"},
        [[5, 2, 7, 2, 7, 12, 5, 12]],
    ],
    ids=["run lengths", "compressed text", "polygon"],
)
@pytest.mark.parametrize("box", [BOX, ...], ids=["with a box", "without one"])
def test_masks_are_read_in_every_form_and_boxes_are_drawn_around_them(written: Any, box: Any, tmp_path: Path) -> None:
    _, frame = read_detections(write(tmp_path, result(segmentation=written, bbox=box)), TRUTH)
    assert frame.found.masks is not None
    mask = decode_mask(frame.found.masks[0]["counts"], (HEIGHT, WIDTH))
    assert mask[2:12, 5:7].all()
    assert mask.sum() == 20
    assert frame.found.boxes.tolist() == [[5, 2, 7, 12]]


def test_the_figures_are_those_of_the_file(tmp_path: Path) -> None:
    written = {"size": [HEIGHT, WIDTH], "counts": RUNS}
    frames = read_detections(write(tmp_path, result(segmentation=written, bbox=...)), TRUTH)
    evaluation = evaluate_frames(frames, TRUTH)
    # One of two is found: 51 of 101 recall points.
    assert evaluation.box.ap50 == pytest.approx(51 / 101)
    assert evaluation.mask is not None
    assert evaluation.mask.ap == pytest.approx(51 / 101)


def test_boxes_alone_have_no_figure_by_mask(tmp_path: Path) -> None:
    evaluation = evaluate_frames(read_detections(write(tmp_path, result()), TRUTH), TRUTH)
    assert (evaluation.mask, evaluation.structures["cord"].dice) == (None, None)
    assert evaluation.structures["cord"].centre_hit == 0.5


def test_a_system_that_found_nothing_scores_zero(tmp_path: Path) -> None:
    evaluation = evaluate_frames(read_detections(write(tmp_path), TRUTH), TRUTH)
    assert evaluation.box.ap50 == 0
    assert evaluation.mask is not None
    assert evaluation.mask.ap50 == 0


def test_a_mask_without_a_pixel_is_a_false_detection(tmp_path: Path) -> None:
    nothing = {"size": [HEIGHT, WIDTH], "counts": [HEIGHT * WIDTH]}
    right = {"size": [HEIGHT, WIDTH], "counts": RUNS}
    entries = [result(segmentation=nothing, score=0.9), *(result(segmentation=right, image_id=n) for n in (3, 8))]
    evaluation = evaluate_frames(read_detections(write(tmp_path, *entries), TRUTH), TRUTH)
    assert evaluation.mask is not None
    assert evaluation.mask.ap50 == pytest.approx(2 / 3)


def test_of_more_than_a_hundred_in_a_frame_the_best_are_kept_and_the_rest_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    entries = [result(score=0.2), *[result(score=0.5)] * 100, result(score=0.1, image_id=8)]
    with caplog.at_level(logging.WARNING):
        _, frame = read_detections(write(tmp_path, *entries), TRUTH)
    assert np.unique(frame.found.scores).tolist() == [0.5]
    assert "more than 100 detections in 1 frames; the 1 with the lowest scores there are not scored" in caplog.text


MASK = {"size": [HEIGHT, WIDTH], "counts": RUNS}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (result(image_id=5), "image_id is 5, which is no image of the annotated set (2 with ids 3 to 8)"),
        (result(image_id="3"), "image_id is '3', which is no image"),
        (result(image_id=...), "image_id is None, which is no image"),
        (result(category_id=1), "category_id is 1, which is no category of the annotated set (2 with ids 4 to 11)"),
        (result(category_id=True), "category_id is True, which is no category"),
        (result(score=float("nan")), "score is nan, expected a number within 0..1"),
        (result(score=float("inf")), "score is inf, expected a number within 0..1"),
        (result(score=1.01), "score is 1.01, expected a number within 0..1"),
        (result(score=-0.1), "score is -0.1, expected a number within 0..1"),
        (result(score="0.5"), "score is '0.5', expected a number within 0..1"),
        (result(score=...), "score is None, expected a number within 0..1"),
        (result(bbox=...), "neither bbox nor segmentation, expected one of them at least"),
        (result(bbox=[1, 2, 3]), "bbox is [1, 2, 3], expected x, y, width >= 0, height >= 0"),
        (result(bbox=[1, 2, -3, 4]), "bbox is [1, 2, -3, 4], expected"),
        (result(bbox=[1, float("nan"), 3, 4]), "bbox is [1, nan, 3, 4], expected"),
        (result(bbox=[1e308, 1, 1e308, 1]), "bbox is [1e+308, 1, 1e+308, 1], expected"),
        (result(bbox=[10**400, 1, 1, 1]), "expected x, y, width >= 0, height >= 0"),
        (result(segmentation={**MASK, "size": [30, 20]}), "RLE of size [30, 20], expected its image's [20, 30]"),
        (result(segmentation={**MASK, "counts": [9, 2]}), "RLE covers 11 pixels, expected 20 x 30 = 600"),
        (result(segmentation={**MASK, "counts": [610, -10]}), "RLE holds a negative run, -10"),
        (result(segmentation={**MASK, "counts": "\t"}), "compressed RLE holds a character outside"),
        (result(segmentation={"size": [HEIGHT, WIDTH]}), "RLE without counts"),
        (result(segmentation=[[1, 2, 3, 4]]), "a polygon needs at least 3 points"),
        (result(segmentation="mask.png"), "segmentation is a str, expected RLE or polygons"),
    ],
)
def test_an_entry_that_cannot_be_scored_is_named(entry: dict[str, Any], message: str, tmp_path: Path) -> None:
    good = result(segmentation=MASK) if "segmentation" in entry else result()
    path = write(tmp_path, good, {**entry, "id": 70})
    with pytest.raises(DataError) as error:
        read_detections(path, TRUTH)
    assert str(error.value).startswith(f"{path}: result 1 (id 70): ")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"annotations": []}, "holds a dict with 'annotations', expected a list of COCO results"),
        (7, "holds a int, expected a list of COCO results"),
        ([result(), [1]], "result 1 is a list, expected an object"),
        ([result(id=4), result(), result(id=4)], "results 0 and 2 have the same id 4"),
        (
            [result(segmentation=MASK), result(segmentation=None)],
            "result 1 has no segmentation, but 1 of 2 results have one; expected masks in all or in none",
        ),
    ],
)
def test_a_file_that_is_no_list_of_results_is_refused(content: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "dets.json"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError) as error:
        read_detections(path, TRUTH)
    assert str(error.value).startswith(str(path))
    assert message in str(error.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"can't read .*nowhere\.json: No such file"):
        read_detections(tmp_path / "nowhere.json", TRUTH)
    broken = tmp_path / "broken.json"
    broken.write_text("[")
    with pytest.raises(DataError, match=r"broken\.json is not JSON"):
        read_detections(broken, TRUTH)
