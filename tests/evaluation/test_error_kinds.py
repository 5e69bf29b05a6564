"""Kinds of error and what they cost, on frames worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from evaluation.handmade_frames import HERE, THERE, Box, detections, frame, present, rectangle, set_of
from fetalseg.evaluation.error_assignment import ErrorKind, FrameErrors, Kind, assign_errors
from fetalseg.evaluation.error_kinds import ErrorAnalysis, as_json, find_errors
from fetalseg.evaluation.matches import match_all
from fetalseg.evaluation.precision import average_precision
from fetalseg.evaluation.scored_frames import ScoredFrame

# THERE is 40 x 30: its left 15 columns have IoU 15/40 with it, its left 20 exactly 0.5, its left 4 exactly 0.1.
PART: Box = (70, 60, 85, 90)
HALF: Box = (70, 60, 90, 90)
TENTH: Box = (70, 60, 74, 90)
NOWHERE: Box = (0, 0, 5, 5)

Found = tuple[str, float, Box]


def judged(*found: Found, truths: Sequence[tuple[str, Box]] = (("palate", THERE),)) -> FrameErrors:
    return assign_errors(frame("neck", [present(name, box) for name, box in truths], detections(*found)), "bbox")


def kinds(*found: Found, truths: Sequence[tuple[str, Box]] = (("palate", THERE),)) -> list[ErrorKind | None]:
    return [one.error for one in judged(*found, truths=truths).detections]


def analysed(*frames: ScoredFrame, kind: Kind = "bbox") -> ErrorAnalysis:
    return find_errors(frames, set_of(frames), kind)


def numbered(number: int, truths: Sequence[tuple[str, Box]], *found: Found) -> ScoredFrame:
    return frame("neck", [present(name, box) for name, box in truths], detections(*found), number=number)


@pytest.mark.parametrize(
    ("name", "box", "error"),
    [
        ("palate", THERE, None),
        ("palate", HALF, None),
        ("palate", PART, "localisation"),
        ("palate", TENTH, "localisation"),
        ("heart", THERE, "class"),
        ("heart", HALF, "class"),
        ("heart", PART, "both"),
        ("heart", TENTH, "background"),
        ("palate", NOWHERE, "background"),
    ],
)
def test_each_detection_is_right_or_one_kind_of_error(name: str, box: Box, error: ErrorKind | None) -> None:
    assert kinds((name, 0.9, box)) == [error]


def test_a_second_detection_of_the_same_thing_is_a_duplicate() -> None:
    assert kinds(("palate", 0.9, THERE), ("palate", 0.8, HALF)) == [None, "duplicate"]
    # Best score first, whichever fits better.
    assert kinds(("palate", 0.9, HALF), ("palate", 0.8, THERE)) == [None, "duplicate"]


def test_with_nothing_annotated_every_detection_is_background() -> None:
    assert kinds(("palate", 0.9, THERE), truths=()) == ["background"]
    assert judged().detections == ()


def test_missed_is_what_no_detection_points_at() -> None:
    palate = 4
    assert judged(("palate", 0.9, NOWHERE)).missed == (palate,)
    assert judged(("heart", 0.9, PART)).missed == (palate,)
    assert judged(("palate", 0.9, PART)).missed == ()
    assert judged(("heart", 0.9, THERE)).missed == ()
    assert judged(("palate", 0.9, THERE)).missed == ()


def test_of_the_errors_at_one_annotation_only_the_best_can_be_mended() -> None:
    palate = 4
    first, second, third = judged(("heart", 0.9, THERE), ("palate", 0.8, PART), ("spine", 0.7, THERE)).detections
    assert (first.error, first.mended_label) == ("class", palate)
    assert (second.error, second.mended_label) == ("localisation", None)
    assert (third.error, third.mended_label) == ("class", None)
    # The annotation is taken by a right detection, though a lower one.
    taken, _ = judged(("heart", 0.9, THERE), ("palate", 0.8, THERE)).detections
    assert (taken.error, taken.mended_label) == ("class", None)


def test_what_lies_in_a_crowd_of_its_structure_is_no_error() -> None:
    truths = [present("hand", THERE, crowd=True), present("hand", HERE)]
    found = detections(("hand", 0.9, PART), ("hand", 0.8, HERE), ("heart", 0.7, THERE))
    result = assign_errors(frame("extremity", truths, found), "bbox")
    assert [(one.score, one.error) for one in result.detections] == [(0.8, None), (0.7, "background")]
    assert (len(result.positives), result.missed) == (1, ())


def test_where_a_structure_is_not_annotated_nothing_is_said_of_it() -> None:
    one = frame("neck", [present("palate", THERE)], detections(("heart", 0.9, THERE)), known=("palate",))
    assert assign_errors(one, "bbox").detections == ()


def test_by_mask_the_masks_are_held_against_each_other() -> None:
    # The box is right; the mask found is the left 15 of 40 columns.
    truth = present("palate", THERE, rectangle(THERE))
    one = frame("neck", [truth], detections(("palate", 0.9, THERE, rectangle(PART))))
    assert [d.error for d in assign_errors(one, "bbox").detections] == [None]
    assert [d.error for d in assign_errors(one, "segm").detections] == ["localisation"]
    without = frame("neck", [present("palate", THERE)], detections(("palate", 0.9, THERE)))
    assert assign_errors(without, "segm") == FrameErrors((), (), ())
    boxes = frame("neck", [truth], detections(("palate", 0.9, THERE), masks=False))
    with pytest.raises(ValueError, match="image 1: the detections have no masks to judge"):
        assign_errors(boxes, "segm")


def test_duplicates_cost_the_precision_that_they_push_down() -> None:
    truths = [("cranium", HERE)]
    result = analysed(
        numbered(1, truths, ("cranium", 0.9, HERE), ("cranium", 0.8, HERE)), numbered(2, truths, ("cranium", 0.7, HERE))
    ).structures["cranium"]
    # Right, wrong, right: precision 1 up to recall 0.5, which is 51 of 101 points, then 2/3.
    before = (51 + 50 * 2 / 3) / 101
    assert result.ap50 == pytest.approx(before)
    assert result.counts == {
        "localisation": 0,
        "class": 0,
        "duplicate": 1,
        "background": 0,
        "both": 0,
        "missed": 0,
    }
    assert result.costs == pytest.approx(
        {"localisation": 0, "class": 0, "duplicate": 1 - before, "background": 0, "both": 0, "missed": 0}
    )


def test_an_error_of_class_is_counted_where_it_is_said_and_costs_what_is_there() -> None:
    result = analysed(
        numbered(1, [("heart", HERE), ("cranium", THERE)], ("cranium", 0.9, HERE), ("cranium", 0.8, THERE))
    )
    cranium, heart = result.structures["cranium"], result.structures["heart"]
    assert (cranium.counts["class"], heart.counts["class"]) == (1, 0)
    # The cranium's precision is 1/2, and 1 after; the heart is not found, and then it is.
    assert (cranium.ap50, heart.ap50) == pytest.approx((0.5, 0))
    assert (cranium.costs["class"], heart.costs["class"]) == pytest.approx((0.5, 1))
    assert (result.ap50, result.costs["class"], result.counts["class"]) == pytest.approx((0.25, 0.75, 1))
    assert (heart.costs["missed"], heart.counts["missed"]) == (0, 0)


def test_an_error_of_place_is_mended_once_for_each_annotation() -> None:
    result = analysed(numbered(1, [("palate", THERE)], ("palate", 0.9, PART), ("palate", 0.8, PART)))
    palate = result.structures["palate"]
    assert (palate.ap50, palate.counts["localisation"], palate.costs["localisation"]) == pytest.approx((0, 2, 1))


def test_background_costs_what_stands_above_the_right_ones() -> None:
    result = analysed(numbered(1, [("palate", THERE)], ("palate", 0.9, NOWHERE), ("palate", 0.5, THERE)))
    assert result.structures["palate"].costs["background"] == pytest.approx(0.5)


def test_missed_annotations_cost_the_recall() -> None:
    truths = [("cranium", HERE)]
    half = analysed(numbered(1, truths, ("cranium", 0.9, HERE)), numbered(2, truths)).structures["cranium"]
    assert (half.counts["missed"], half.costs["missed"]) == pytest.approx((1, 50 / 101))
    everything = analysed(numbered(1, truths)).structures["cranium"]
    assert (everything.ap50, everything.costs["missed"]) == (0, 1)
    # Found below something false it would have been worth next to nothing.
    below = analysed(numbered(1, truths, ("cranium", 0.9, NOWHERE))).structures["cranium"]
    assert below.costs["missed"] == 0


def test_a_structure_without_ground_truth_has_no_cost_and_is_out_of_the_mean() -> None:
    result = analysed(numbered(1, [("palate", THERE)], ("heart", 0.9, NOWHERE)))
    heart = result.structures["heart"]
    assert (heart.ap50, set(heart.costs.values()), heart.counts["background"]) == (None, {None}, 1)
    assert (result.ap50, result.costs["missed"], result.counts["background"]) == (0, 1, 1)
    written = as_json(result)["structures"]["heart"]
    assert (written["positives"], written["costs"]["both"]) == (0, None)
    assert analysed(numbered(1, [])).ap50 is None


def random_frame(number: int, generator: np.random.Generator) -> ScoredFrame:
    """Four annotations and their jittered, sometimes renamed, copies."""
    names = ("hand", "foot", "calf")
    corners = generator.integers(0, 60, (4, 2))
    truths = [(names[generator.integers(3)], (float(x), float(y), x + 30.0, y + 30.0)) for x, y in corners]
    annotations = [
        present(name, box, rectangle(box), number=place, crowd=bool(generator.random() < 0.1))
        for place, (name, box) in enumerate(truths, 1)
    ]
    found: list[Found] = []
    for name, (x1, y1, _, _) in truths * 2:
        x, y = np.clip(np.array([x1, y1]) + generator.integers(-12, 13, 2), 0, 65).astype(float).tolist()
        said = name if generator.random() < 0.8 else names[generator.integers(3)]
        found.append((said, round(generator.random(), 1), (x, y, x + 30, y + 30)))
    found.sort(key=lambda row: -row[1])
    return frame("extremity", annotations, detections(*found), number=number)


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_with_nothing_mended_the_figure_is_that_of_pycocotools(kind: Kind) -> None:
    generator = np.random.default_rng(5)
    frames = [random_frame(number, generator) for number in (3, 1, 2, *range(4, 31))]
    truth = set_of(frames)
    matches, result = match_all(frames, truth, kind), find_errors(frames, truth, kind)
    for name in ("hand", "foot", "calf"):
        one = matches[truth.structures.index(name)]
        structure = result.structures[name]
        assert structure.ap50 == average_precision(one).ap50
        assert structure.positives == one.positives[0].sum()
        wrong = int((~one.matched[0, 0] & ~one.ignored[0, 0]).sum())
        assert sum(structure.counts.values()) - structure.counts["missed"] == wrong
        assert all(cost is not None for cost in structure.costs.values())
    assert min(result.counts[error] for error in ("localisation", "class", "duplicate", "both")) > 0
