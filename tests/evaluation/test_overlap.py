"""Dice, IoU, distances and centres of the best detection, by hand-made frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from evaluation.handmade_frames import HEIGHT, HERE, THERE, WIDTH, detections, frame, present, rectangle, set_of
from fetalseg.data.records import Annotation
from fetalseg.errors import DataError
from fetalseg.evaluation.overlap import OverlapFigures, OverlapOutcomes, as_json, overlap_outcomes
from fetalseg.evaluation.scored_frames import ScoredFrame

HEAD = present("cranium", HERE, rectangle(HERE))
HALF = (10, 10, 30, 50)  # the left half of HERE
NOWHERE = (100, 0, 110, 10)


def outcomes_of(
    frames: list[ScoredFrame], name: str = "cranium", facts: dict[int, dict[str, Any]] | None = None
) -> OverlapOutcomes:
    return next(o for o in overlap_outcomes(frames, set_of(frames), facts or {}) if o.structure == name)


def figures_of(*frames: ScoredFrame, name: str = "cranium") -> OverlapFigures:
    return outcomes_of(list(frames), name).figures()


def test_half_a_mask_has_iou_one_half_and_dice_two_thirds() -> None:
    # The right column of the truth, 40 of its 156 pixels of outline, is 20 px from the nearest found one.
    figures = figures_of(frame("head", [HEAD], detections(("cranium", 0.9, HALF))))
    assert (figures.frames, figures.mask_frames, figures.hausdorff_frames) == (1, 1, 1)
    assert (figures.iou, figures.dice, figures.hausdorff_px) == pytest.approx((0.5, 2 / 3, 20))
    assert (figures.hausdorff_mm_frames, figures.hausdorff_mm, figures.hausdorff_mm_median) == (0, None, None)


def test_what_is_missed_counts_with_dice_0_and_without_a_distance() -> None:
    figures = figures_of(
        frame("head", [HEAD], detections(("cranium", 0.9, HERE))),
        frame("head", [HEAD], detections(("cranium", 0.29, HERE)), number=2),
        frame("head", [HEAD], number=3),
        frame("head", number=4),
    )
    assert (figures.frames, figures.mask_frames, figures.hausdorff_frames) == (3, 3, 1)
    assert (figures.dice, figures.iou, figures.centre_hit) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert figures.hausdorff_px == 0


def test_distances_in_mm_need_the_size_of_a_pixel() -> None:
    # 20 columns: 2 mm at 0.1 mm a pixel, 5 mm at 0.25 mm a column whatever the rows; the third frame says none.
    frames = [frame("head", [HEAD], detections(("cranium", 0.9, HALF)), number=n) for n in (1, 2, 3)]
    facts: dict[int, dict[str, Any]] = {1: {"pixel_size_mm": 0.1}, 2: {"spacing_mm": [0.5, 0.25]}, 3: {}}
    outcomes = outcomes_of(frames, facts=facts)
    assert outcomes.hausdorff_mm[:2].tolist() == pytest.approx([2, 5])
    assert np.isnan(outcomes.hausdorff_mm[2])
    figures = outcomes.figures()
    assert (figures.hausdorff_frames, figures.hausdorff_mm_frames) == (3, 2)
    assert figures.hausdorff_mm == pytest.approx(3.5)


def test_the_best_detection_is_compared_with_the_mask_that_it_overlaps_most() -> None:
    hands = [present("hand", THERE, rectangle(THERE)), present("hand", HERE, rectangle(HERE), number=2)]
    # The second best fits better, and doesn't count.
    rows = detections(("hand", 0.9, HALF), ("hand", 0.8, THERE))
    figures = figures_of(frame("extremity", hands, rows), name="hand")
    assert figures.frames == 1
    assert figures.iou == pytest.approx(0.5)


def test_a_detection_off_every_mask_is_measured_to_the_nearest() -> None:
    # THERE comes first in the file, and lies farther off than a single pixel 6 columns and 8 rows away.
    hands = [present("hand", THERE, rectangle(THERE)), present("hand", (20, 50, 21, 51), rectangle((20, 50, 21, 51)))]
    figures = figures_of(frame("extremity", hands, detections(("hand", 0.9, (26, 58, 27, 59)))), name="hand")
    assert (figures.iou, figures.dice, figures.centre_hit) == (0, 0, 0)
    assert figures.hausdorff_px == pytest.approx(10)


def test_a_centre_hits_any_annotated_box_even_without_masks() -> None:
    bare = [present("hand", HERE), present("hand", THERE)]
    figures = figures_of(
        frame("extremity", bare, detections(("hand", 0.9, THERE))),
        frame("extremity", bare, detections(("hand", 0.9, NOWHERE)), number=2),
        name="hand",
    )
    assert (figures.frames, figures.centre_hit) == (2, 0.5)
    assert (figures.mask_frames, figures.dice, figures.iou, figures.hausdorff_px) == (0, None, None, None)


def test_a_frame_is_scored_by_mask_only_where_each_annotation_has_one() -> None:
    mixed = [present("hand", HERE, rectangle(HERE)), present("hand", THERE)]
    assert figures_of(frame("extremity", mixed, detections(("hand", 0.9, HERE))), name="hand").mask_frames == 0


def test_crowds_are_neither_found_nor_missed() -> None:
    crowd = present("cranium", HERE, rectangle(HERE), crowd=True)
    figures = figures_of(frame("head", [crowd], detections(("cranium", 0.9, HERE))))
    assert (figures.frames, figures.centre_hit, figures.mask_frames) == (0, None, 0)


def test_detections_without_masks_leave_only_the_centre() -> None:
    figures = figures_of(frame("head", [HEAD], detections(("cranium", 0.9, HERE), masks=False)))
    assert (figures.centre_hit, figures.mask_frames, figures.dice) == (1, 0, None)


def test_an_empty_mask_found_overlaps_nothing_and_has_no_distance() -> None:
    empty = np.zeros((HEIGHT, WIDTH), np.bool_)
    figures = figures_of(frame("head", [HEAD], detections(("cranium", 0.9, HERE, empty))))
    assert (figures.dice, figures.hausdorff_frames, figures.hausdorff_px) == (0, 0, None)


def test_an_annotated_mask_without_a_pixel_is_refused() -> None:
    line = Annotation(8, 0, (10, 10, 5, 5), [[10, 10, 15, 10, 12, 10]], False)
    with pytest.raises(DataError, match="annotation 8: the segmentation covers no pixel"):
        figures_of(frame("head", [line], detections(("cranium", 0.9, HERE))))


def test_frames_count_as_often_as_their_weights_say() -> None:
    frames = [
        frame("head", [HEAD], detections(("cranium", 0.9, HERE))),
        frame("head", [HEAD], detections(("cranium", 0.9, HALF)), number=2),
        frame("head", [HEAD], number=3),
    ]
    figures = outcomes_of(frames).figures(np.array([1, 2, 1]))
    assert (figures.frames, figures.hausdorff_frames, figures.centre_hit) == (4, 3, 0.75)
    assert (figures.iou, figures.hausdorff_px) == pytest.approx((0.5, 40 / 3))
    assert figures.hausdorff_px_median == 20
    assert as_json(figures)["hausdorff_px_median"] == 20


def test_no_frames_and_no_figures_are_a_normal_case() -> None:
    assert figures_of().frames == 0
    assert len(overlap_outcomes([], set_of([]), {})) == 17
