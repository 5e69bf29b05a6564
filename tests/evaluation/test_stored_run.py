"""Folders of evaluations, read back."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from drawn_sets import Rectangle, write_drawn_set

from fetalseg.errors import DataError
from fetalseg.evaluation.stored_run import (
    compared_kinds,
    compared_labels,
    frames_of,
    matches_of,
    option_differences,
    read_run,
    read_truth,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three images, each with a cranium of 20 x 20 px at 10, 10 and a palate of 8 x 8 px at 60, 40."""
    folder = tmp_path_factory.mktemp("data") / "set"
    write_drawn_set(folder, 3, lambda number, rng: [Rectangle(1, 10, 10, 20, 20), Rectangle(5, 60, 40, 8, 8)])
    return folder / "instances.json"


def write_run(
    folder: Path,
    data: Path,
    boxes: list[dict[str, Any]],
    masks: list[dict[str, Any]] | None = None,
    /,
    **changes: Any,
) -> Path:
    folder.mkdir()
    digest = hashlib.sha256(data.read_bytes()).hexdigest()
    metrics: dict[str, Any] = {
        "schema": 1,
        "model": {"name": "tiny", "version": "1.2.0", "sha256": "0" * 64},
        "data": {"path": str(data), "sha256": digest, "images": 3},
        "options": {"min_score": 0.05, "nms": "fast"},
        "unknown_to_model": [],
        **changes,
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "detections_box.json").write_text(json.dumps(boxes))
    if masks is not None:
        (folder / "detections_mask.json").write_text(json.dumps(masks))
    return folder


def box(image: int, category: int, x: int, y: int, side: int, score: float = 0.9) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "bbox": [x, y, side, side], "score": score}


def test_a_run_says_what_was_scored_on_what(data: Path, tmp_path: Path) -> None:
    one = read_run(write_run(tmp_path / "a", data, [], unknown_to_model=["palate"]))
    assert (one.system, one.data, one.images) == ("tiny 1.2.0", data, 3)
    assert (one.unknown, one.options["nms"]) == (frozenset({"palate"}), "fast")
    assert read_run(write_run(tmp_path / "other_system", data, [], model=None)).system == "other_system"


def test_detections_are_matched_by_kind_and_label(data: Path, tmp_path: Path) -> None:
    found = [box(1, 1, 10, 10, 20), box(2, 1, 70, 10, 20), box(3, 5, 60, 40, 8)]
    ring = [10, 10, 30, 10, 30, 30, 10, 30]
    masks = [{"image_id": 1, "category_id": 1, "segmentation": [ring], "score": 0.9}]
    one = read_run(write_run(tmp_path / "a", data, found, masks))
    truth = read_truth(one, one)
    matches = matches_of(frames_of(one, truth, compared_kinds(one, one)), truth, compared_labels(one, one, truth))
    assert list(matches) == ["box", "mask"]
    cranium, palate = matches["box"][0], matches["box"][4]
    assert cranium.matched[0, 0].tolist() == [True, False]
    assert cranium.positives[0].tolist() == palate.positives[0].tolist() == [1, 1, 1]
    assert palate.frames.tolist() == [2]
    assert matches["mask"][0].matched[0].all()
    assert len(matches["mask"][4].scores) == 0


def test_masks_are_compared_only_if_both_have_them(data: Path, tmp_path: Path) -> None:
    with_masks = read_run(write_run(tmp_path / "a", data, [], []))
    without = read_run(write_run(tmp_path / "b", data, []))
    assert compared_kinds(with_masks, with_masks) == ["box", "mask"]
    assert compared_kinds(with_masks, without) == ["box"]


def test_a_structure_is_left_out_only_if_neither_knows_it(data: Path, tmp_path: Path) -> None:
    first = read_run(write_run(tmp_path / "a", data, [], unknown_to_model=["cranium", "palate"]))
    second = read_run(write_run(tmp_path / "b", data, [], unknown_to_model=["palate"]))
    truth = read_truth(first, second)
    assert compared_labels(first, second, truth) == [label for label in range(17) if label != 4]


def test_options_that_differ_are_named(data: Path, tmp_path: Path) -> None:
    first = read_run(write_run(tmp_path / "a", data, []))
    second = read_run(write_run(tmp_path / "b", data, [], options={"min_score": 0.3, "nms": "fast"}))
    assert option_differences(first, second) == ["min_score 0.05, 0.3"]
    assert option_differences(first, first) == []


def test_runs_on_different_data_are_refused(data: Path, tmp_path: Path) -> None:
    first = read_run(write_run(tmp_path / "a", data, []))
    other = read_run(write_run(tmp_path / "b", data, [], data={"path": "x.json", "sha256": "f" * 64, "images": 3}))
    with pytest.raises(DataError, match=r"scored on different data: .*/a on 3 images of .*; .*/b on 3 .* ffffffffffff"):
        read_truth(first, other)
    fewer = read_run(write_run(tmp_path / "c", data, [], data={"path": str(data), "sha256": first.sha256, "images": 2}))
    with pytest.raises(DataError, match="on 2 images"):
        read_truth(first, fewer)
    assert len(read_truth(fewer, fewer).images) == 2


def test_data_that_has_moved_is_named_and_checked_by_its_digest(data: Path, tmp_path: Path) -> None:
    digest = hashlib.sha256(data.read_bytes()).hexdigest()
    where = {"path": str(tmp_path / "gone.json"), "sha256": digest, "images": 3}
    one = read_run(write_run(tmp_path / "a", data, [], data=where))
    with pytest.raises(DataError, match=r"gone\.json is not there any more; say where it is with --data"):
        read_truth(one, one)
    assert len(read_truth(one, one, data).images) == 3
    changed = tmp_path / "changed.json"
    changed.write_text(data.read_text() + " ")
    with pytest.raises(DataError, match=rf"changed\.json is not what .* its digest is .*, expected {digest[:12]}"):
        read_truth(one, one, changed, data.parent / "images")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "can't read .*: No such file or directory; expected a folder written by `fetalseg eval`"),
        ("{", "is not JSON"),
        ("[]", "was not written by `fetalseg eval`"),
        ('{"data": {"path": "x"}}', "was not written by `fetalseg eval`: no 'sha256'"),
    ],
)
def test_what_is_no_evaluation_is_refused(content: str | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(DataError, match=message):
        read_run(tmp_path)


def test_a_detection_of_another_set_is_refused_with_its_place(data: Path, tmp_path: Path) -> None:
    one = read_run(write_run(tmp_path / "a", data, [box(1, 1, 10, 10, 20), box(99, 1, 10, 10, 20)]))
    with pytest.raises(DataError, match=r"detections_box\.json: result 1: image_id is 99"):
        frames_of(one, read_truth(one, one), ["box"])
