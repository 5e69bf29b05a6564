"""From candidates to instances: filters, geometry, options."""

from __future__ import annotations

import numpy as np
import pytest

from fetalseg.anatomy import structure, structure_names
from fetalseg.candidates import Candidates
from fetalseg.instances import Instances
from fetalseg.lazy_crops import LazyCrops
from fetalseg.postprocess import PostprocessOptions, Postprocessor
from fetalseg.preprocess import FrameGeometry, InputRule

# A frame of 200x100 in an input of 128x128: scale 0.64, content 64 rows, 32 px of padding at the top.
GEOMETRY = FrameGeometry.of((100, 200), InputRule(height=128, width=128, channels=1))
Found = tuple[str, float, tuple[float, float, float, float]]


def candidates(*found: Found, logit: float = 5.0) -> Candidates:
    """One row for each found structure with its box in input pixels, and two rows of padding."""
    n = len(found) + 2
    scores, boxes = np.zeros((1, n, 17), np.float32), np.zeros((1, n, 4), np.float32)
    for row, (name, score, box) in enumerate(found):
        scores[0, row, structure(name).label] = score
        boxes[0, row] = box
    return Candidates(scores, boxes, np.full((1, n, 1), logit, np.float32), np.ones((1, 1, 32, 32), np.float32))


def post(*found: Found, logit: float = 5.0, **options: object) -> Instances:
    return Postprocessor(structure_names())(
        candidates(*found, logit=logit),
        GEOMETRY,
        PostprocessOptions(**options),  # type: ignore[arg-type]
    )


def names(instances: Instances) -> list[str]:
    return [structure_names()[label] for label in instances.labels]


def test_a_box_and_its_mask_come_back_in_frame_pixels() -> None:
    found = post(("foot", 0.9, (32, 48, 64, 80)))
    # x / 0.64; (y - 32) / 0.64.
    assert found.boxes.tolist() == [[50, 25, 100, 75]]
    # A mask may reach one prototype pixel, 128 / 32 / 0.64 = 6.25 px, beyond it: 43.75..106.25 and 18.75..81.25.
    assert found.crop_boxes.tolist() == [[44, 19, 106, 81]]
    assert found.crops[0].all()
    assert (found.masks.sum(), found.frame_shape) == (62 * 62, (100, 200))
    assert (found.labels.dtype, found.scores.dtype, found.boxes.dtype) == (np.int64, np.float32, np.float32)


def test_lazy_masks_are_the_same_masks() -> None:
    found = candidates(("foot", 0.9, (32, 48, 64, 80)), ("hand", 0.8, (20, 40, 30, 50)))
    process = Postprocessor(structure_names())
    at_once, lazy = (process(found, GEOMETRY, PostprocessOptions(), lazy_masks=wanted) for wanted in (False, True))
    assert isinstance(at_once.crops, list)
    assert isinstance(lazy.crops, LazyCrops)
    assert (lazy.masks == at_once.masks).all()


def test_instances_come_best_first_and_nothing_below_the_minimum() -> None:
    found = post(
        ("foot", 0.4, (0, 40, 10, 50)),
        ("hand", 0.8, (20, 40, 30, 50)),
        ("thigh", 0.29, (40, 40, 50, 50)),
        min_score=0.3,
    )
    assert names(found) == ["hand", "foot"]


def test_only_the_best_of_a_single_structure_stays() -> None:
    found = (
        ("cranium", 0.9, (0.0, 40.0, 10.0, 50.0)),
        ("cranium", 0.8, (50.0, 40.0, 60.0, 50.0)),
        ("foot", 0.7, (20.0, 40.0, 30.0, 50.0)),
        ("foot", 0.6, (80.0, 40.0, 90.0, 50.0)),
    )
    assert names(post(*found)) == ["cranium", "foot", "foot"]
    assert names(post(*found, single_structures=False)) == ["cranium", "cranium", "foot", "foot"]


def test_structures_of_another_taxonomy_may_come_several_times() -> None:
    both = candidates(("cranium", 0.9, (0, 40, 10, 50)), ("cranium", 0.8, (50, 40, 60, 50)))
    other = Postprocessor(tuple(f"thing_{i}" for i in range(17)))
    assert len(other(both, GEOMETRY, PostprocessOptions())) == 2


def test_a_box_outside_the_frame_is_dropped_and_does_not_use_up_a_single_structure() -> None:
    # The first lies in the padding above the picture.
    found = post(("cranium", 0.9, (20, 0, 60, 30)), ("cranium", 0.5, (20, 50, 60, 90)))
    assert found.scores.tolist() == [0.5]


def test_a_box_over_the_edge_is_clipped_to_the_frame() -> None:
    found = post(("foot", 0.9, (-20, 20, 32, 64)))
    assert found.boxes.tolist() == [[0, 0, 50, 50]]
    assert found.crops[0].shape == (56, 56)


def test_filters_come_before_the_cut_to_max_detections() -> None:
    found = post(
        ("cranium", 0.9, (0, 40, 10, 50)),
        ("cranium", 0.8, (50, 40, 60, 50)),
        ("foot", 0.7, (20, 40, 30, 50)),
        ("hand", 0.6, (80, 40, 90, 50)),
        max_detections=2,
    )
    assert names(found) == ["cranium", "foot"]


def test_an_instance_without_any_mask_pixel_keeps_its_box() -> None:
    found = post(("foot", 0.9, (32, 48, 64, 80)), logit=-5)
    assert found.boxes.tolist() == [[50, 25, 100, 75]]
    assert not found.masks.any()
    assert found.polygons() == [[]]


def test_a_box_smaller_than_a_pixel_is_a_valid_instance() -> None:
    found = post(("nasal_bone", 0.9, (32.4, 48.4, 32.5, 48.5)), logit=-5)
    # 50.625..50.78 and 25.625..25.78, and 6.25 px on each side.
    assert found.crop_boxes.tolist() == [[44, 19, 57, 32]]
    assert found.polygons() == [[]]
    assert found.masks.shape == (1, 100, 200)


def test_without_masks_crops_are_empty() -> None:
    found = post(("foot", 0.9, (32, 48, 64, 80)), masks=False)
    assert found.crops[0].shape == (0, 0)
    assert found.crop_boxes.tolist() == [[44, 19, 44, 19]]
    assert found.boxes.tolist() == [[50, 25, 100, 75]]


def test_the_kind_of_suppression_and_its_numbers_are_passed_on() -> None:
    pair = (("foot", 0.9, (0.0, 40.0, 12.0, 52.0)), ("hand", 0.8, (1.0, 40.0, 13.0, 52.0)))
    assert names(post(*pair)) == ["foot", "hand"]
    assert names(post(*pair, nms="greedy_cross_class")) == ["foot"]
    assert names(post(*pair, nms="greedy_cross_class", iou_threshold=0.9)) == ["foot", "hand"]


def test_nothing_found_is_an_empty_table() -> None:
    found = post()
    assert len(found) == 0
    assert (found.boxes.shape, found.crop_boxes.shape, found.frame_shape) == ((0, 4), (0, 4), (100, 200))


def test_no_candidates_at_all_are_fine() -> None:
    none = Candidates(
        np.empty((1, 0, 17), np.float32),
        np.empty((1, 0, 4), np.float32),
        np.empty((1, 0, 1), np.float32),
        np.ones((1, 1, 32, 32), np.float32),
    )
    assert len(Postprocessor(structure_names())(none, GEOMETRY, PostprocessOptions())) == 0


def test_candidates_are_left_alone() -> None:
    given = candidates(("foot", 0.9, (32, 48, 64, 80)))
    for values in given:
        values.setflags(write=False)  # writing would raise
    assert len(Postprocessor(structure_names())(given, GEOMETRY, PostprocessOptions())) == 1


def test_a_batch_and_a_wrong_number_of_structures_are_refused() -> None:
    one = candidates(("foot", 0.9, (32, 48, 64, 80)))
    two = Candidates(*(np.repeat(values, 2, axis=0) for values in one))
    with pytest.raises(ValueError, match="one frame, got a batch of 2"):
        Postprocessor(structure_names())(two, GEOMETRY, PostprocessOptions())
    with pytest.raises(ValueError, match="17 structures; expected 3"):
        Postprocessor(("a", "b", "c"))(one, GEOMETRY, PostprocessOptions())


def test_a_vote_moves_a_box_to_the_mean_of_those_that_agree_with_it() -> None:
    # IoU of the first two: 9 * 10 / (2 * 100 - 90) = 0.818. The third overlaps them by a third or less.
    three = (
        ("foot", 0.6, (40.0, 40.0, 50.0, 50.0)),
        ("foot", 0.3, (41.0, 40.0, 51.0, 50.0)),
        ("foot", 0.5, (46.0, 40.0, 56.0, 50.0)),
    )
    left = post(*three, nms="greedy").boxes[0, 0]
    voted = post(*three, nms="greedy", box_voting=0.7)
    # (0.6 * 40 + 0.3 * 41) / 0.9 = 40.33 in input pixels.
    assert (left * 0.64, voted.boxes[0, 0] * 0.64) == pytest.approx((40, 40 + 1 / 3), abs=1e-4)
    assert voted.scores.tolist() == pytest.approx([0.6, 0.5])
    assert voted.boxes[1, 0] * 0.64 == pytest.approx(46, abs=1e-4)


@pytest.mark.parametrize("voting", [0, 1.5, float("nan")])
def test_a_voting_threshold_outside_of_its_range_is_refused(voting: float) -> None:
    with pytest.raises(ValueError, match="box_voting must be above 0 and at most 1"):
        PostprocessOptions(box_voting=voting)


def test_thresholds_of_structures_stand_in_place_of_the_lowest_score_where_wanted() -> None:
    found = candidates(
        ("cranium", 0.35, (0, 40, 20, 60)), ("heart", 0.35, (30, 40, 50, 60)), ("palate", 0.2, (60, 40, 80, 60))
    )
    post_process = Postprocessor(structure_names(), {"heart": 0.4, "palate": 0.15})
    assert names(post_process(found, GEOMETRY, PostprocessOptions())) == ["cranium", "heart"]
    with_thresholds = PostprocessOptions(structure_thresholds=True)
    assert names(post_process(found, GEOMETRY, with_thresholds)) == ["cranium", "palate"]
    # A model without any.
    assert names(Postprocessor(structure_names())(found, GEOMETRY, with_thresholds)) == ["cranium", "heart"]
