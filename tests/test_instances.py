"""The table of found structures: rows, masks and what is encoded from them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from fetalseg.instances import Instances


def table(*rows: tuple[int, float, tuple[int, int, int, int]], frame_shape: tuple[int, int] = (20, 30)) -> Instances:
    """Filled rectangles: label, score, crop box."""
    boxes = np.array([box for _, _, box in rows], np.int64).reshape(-1, 4)
    crops: list[npt.NDArray[np.bool_]] = [np.ones((y2 - y1, x2 - x1), np.bool_) for x1, y1, x2, y2 in boxes.tolist()]
    return Instances(
        labels=np.array([label for label, _, _ in rows], np.int64),
        scores=np.array([score for _, score, _ in rows], np.float32),
        boxes=boxes.astype(np.float32),
        crops=crops,
        crop_boxes=boxes,
        frame_shape=frame_shape,
    )


THREE = table((4, 0.9, (0, 0, 3, 2)), (1, 0.8, (1, 1, 9, 9)), (16, 0.7, (2, 0, 4, 3)))


def test_one_index_filters_every_column() -> None:
    for index in ([2, 0], np.array([True, False, True])):
        part = THREE[index]
        assert len(part) == 2
        assert set(part.labels.tolist()) == {4, 16}
        assert [crop.shape for crop in part.crops] == [
            (y2 - y1, x2 - x1) for x1, y1, x2, y2 in part.crop_boxes.tolist()
        ]
    assert THREE[1:].labels.tolist() == [1, 16]
    assert len(THREE[[]]) == 0


def test_masks_put_the_crops_into_the_frame() -> None:
    masks = THREE.masks
    assert masks.shape == (3, 20, 30)
    assert masks.sum(axis=(1, 2)).tolist() == [6, 64, 6]
    assert masks[2, 0:3, 2:4].all()


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match=r"3 rows like labels, got \{'scores': 2\}"):
        Instances(THREE.labels, THREE.scores[:2], THREE.boxes, THREE.crops, THREE.crop_boxes, (20, 30))


def test_a_crop_that_does_not_fit_its_box_is_refused() -> None:
    with pytest.raises(ValueError, match=r"crop of shape \(8, 8\) doesn't fit its crop box \[0, 0, 3, 2\]"):
        Instances(THREE.labels, THREE.scores, THREE.boxes, [THREE.crops[1]] * 3, THREE.crop_boxes, (20, 30))


def test_names_are_those_of_the_model_and_stay_when_rows_are_chosen() -> None:
    assert THREE.names == ["palate", "choroid_plexus", "spine"]
    own = replace(table((1, 0.9, (0, 0, 3, 2)), (0, 0.8, (1, 1, 9, 9))), structures=("yolk sac", "cord"))
    assert own.names == ["cord", "yolk sac"]
    assert own[[1]].names == ["yolk sac"]
    assert Instances.empty((20, 30), ("cord",)).structures == ("cord",)


def test_a_label_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match=r"labels must be within 0..1, got \[1, 4, 16\]"):
        replace(THREE, structures=("yolk sac", "cord"))
    with pytest.raises(ValueError, match=r"labels must be within 0..16, got \[-1\]"):
        table((-1, 0.9, (0, 0, 3, 2)))


def test_the_label_map_has_ids_with_the_smallest_mask_on_top() -> None:
    label_map = THREE.label_map()
    assert (label_map.dtype, label_map.shape) == (np.uint8, (20, 30))
    # The masks of 6 px lie on that of 64; of the two, the better score is on top.
    assert label_map[0].tolist() == [5, 5, 5, 17, *[0] * 26]
    assert label_map[2, :5].tolist() == [0, 2, 17, 17, 2]
    assert np.bincount(label_map.ravel(), minlength=18)[[0, 2, 5, 17]].tolist() == [600 - 69, 64 - 2 - 3, 6, 6 - 2]


def test_run_lengths_carry_the_size_of_the_frame_and_are_json() -> None:
    runs = THREE.rle()
    assert [entry["size"] for entry in runs] == [[20, 30]] * 3
    assert json.loads(json.dumps(runs)) == runs
    # No background, then 600 pixels: 600 is 18 * 32 + 24, written as 24 + 32 (more follows) and 18, then 0 for the
    # sign, as bit 4 of 18 is set; each plus 48.
    assert table((0, 1.0, (0, 0, 30, 20))).rle()[0]["counts"] == "0" + chr(24 + 32 + 48) + chr(18 + 32 + 48) + "0"


def test_polygons_are_in_frame_pixels_and_json() -> None:
    rings = json.loads(json.dumps(THREE.polygons()))
    assert [len(parts) for parts in rings] == [1, 1, 1]
    assert sorted(zip(rings[2][0][0::2], rings[2][0][1::2], strict=True)) == [(2, 0), (2, 3), (4, 0), (4, 3)]


def test_an_empty_table_encodes_to_nothing() -> None:
    empty = Instances.empty((20, 30))
    assert (len(empty), empty.masks.shape) == (0, (0, 20, 30))
    assert empty.rle() == []
    assert empty.polygons() == []
    assert not empty.label_map().any()
