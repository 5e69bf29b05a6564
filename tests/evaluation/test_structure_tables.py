"""Table 3 by hand-made frames, and by the counts behind the published one."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.handmade_frames import HERE, THERE, Box, detections, frame, present, set_of
from fetalseg.data.records import Annotation
from fetalseg.evaluation.best_detection import MatchRule, agrees, box_iou
from fetalseg.evaluation.scored_frames import ScoredFrame
from fetalseg.evaluation.structure_tables import StructureRow, as_json, structure_outcomes


def row_of(name: str, frames: list[ScoredFrame], rule: MatchRule = "centre") -> StructureRow:
    rows = {outcomes.structure: outcomes.row() for outcomes in structure_outcomes(frames, set_of(frames), rule)}
    return rows[name]


def counts(row: StructureRow) -> tuple[int, int, int, int]:
    return row.tp, row.fp, row.fn, row.tn


def of_counts(tp: int, fp: int, fn: int, tn: int) -> StructureRow:
    return StructureRow("nasal_bone", "neck", tp, fp, fn, tn, 0, 0, 0)


BONE = present("nasal_bone", HERE)


@pytest.mark.parametrize(
    ("truths", "rows", "expected"),
    [
        ([BONE], [("nasal_bone", 0.9, HERE)], (1, 0, 0, 0)),
        ([BONE], [("nasal_bone", 0.9, THERE)], (0, 1, 0, 0)),  # disagrees: FP only, not also FN
        ([BONE], [], (0, 0, 1, 0)),
        ([], [("nasal_bone", 0.9, HERE)], (0, 1, 0, 0)),
        ([], [], (0, 0, 0, 1)),
        ([BONE], [("nasal_bone", 0.3, HERE)], (1, 0, 0, 0)),  # the threshold itself counts
        ([BONE], [("nasal_bone", 0.299, HERE)], (0, 0, 1, 0)),
        # The best detection decides alone, right or wrong.
        ([BONE], [("nasal_bone", 0.9, HERE), ("nasal_bone", 0.8, THERE)], (1, 0, 0, 0)),
        ([BONE], [("nasal_bone", 0.9, THERE), ("nasal_bone", 0.8, HERE)], (0, 1, 0, 0)),
        ([BONE], [("palate", 0.9, HERE)], (0, 0, 1, 0)),
        # A crowd is nothing to be found.
        ([present("nasal_bone", HERE, crowd=True)], [], (0, 0, 0, 1)),
        ([present("nasal_bone", HERE, crowd=True)], [("nasal_bone", 0.9, HERE)], (0, 1, 0, 0)),
        ([BONE, present("nasal_bone", THERE)], [("nasal_bone", 0.9, THERE)], (1, 0, 0, 0)),
    ],
)
def test_each_frame_of_the_view_is_one_cell(
    truths: list[Annotation], rows: list[tuple[str, float, Box]], expected: tuple[int, int, int, int]
) -> None:
    assert counts(row_of("nasal_bone", [frame("neck", truths, detections(*rows))])) == expected


def test_a_frame_that_does_not_annotate_the_structure_is_no_cell() -> None:
    found = detections(("nasal_bone", 0.9, HERE))
    assert row_of("nasal_bone", [frame("neck", found=found, known=["palate"])]).frames == 0


def test_frames_of_no_known_view_are_in_no_row() -> None:
    found = detections(("nasal_bone", 0.9, HERE))
    row = row_of("nasal_bone", [frame(None, [BONE], found), frame("placenta", [BONE], found)])
    assert (row.frames, row.other_frames, row.wrong_view) == (0, 0, 0)


def test_the_rules_part_where_the_centre_is_right_and_the_size_is_not() -> None:
    # Centre (30, 30) in the middle of the 40 x 40 truth; 20 x 20 inside it, IoU 400 / 1600 = 0.25.
    frames = [frame("neck", [BONE], detections(("nasal_bone", 0.9, (20, 20, 40, 40))))]
    assert counts(row_of("nasal_bone", frames, "centre")) == (1, 0, 0, 0)
    assert counts(row_of("nasal_bone", frames, "iou50")) == (0, 1, 0, 0)


def test_half_the_union_is_enough_and_the_edge_is_inside() -> None:
    half, less = np.array([10.0, 10, 30, 50]), np.array([10.0, 10, 29.9, 50])
    truth = (10.0, 10.0, 40.0, 40.0)
    assert box_iou(half, truth) == 0.5
    assert agrees(half, [truth], "iou50")
    assert not agrees(less, [truth], "iou50")
    assert agrees(np.array([40.0, 10, 60, 50]), [truth], "centre")  # centre (50, 30)
    assert not agrees(np.array([40.2, 10, 60, 50]), [truth], "centre")
    assert box_iou(np.array([5.0, 5, 5, 5]), (5, 5, 0, 0)) == 0


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown match rule 'iou75'; expected centre or iou50"):
        agrees(np.zeros(4), [], "iou75")  # type: ignore[arg-type]


def test_the_published_shares_follow_from_counts() -> None:
    # Neck has 199 frames. 89 nasal bones found of 165, and one false: recall .539, precision .989, F1 .698.
    bone = of_counts(tp=89, fp=1, fn=76, tn=33)
    assert bone.frames == 199
    assert [f"{share:.3f}" for share in (bone.recall, bone.precision, bone.f1)] == ["0.539", "0.989", "0.698"]
    assert bone.accuracy == pytest.approx(122 / 199)
    assert bone.specificity == pytest.approx(33 / 34)
    # Upper arm: recall .636, precision .875, F1 .737 of at least 12 frames. Foot: .640, .941, .762.
    arm, foot = of_counts(7, 1, 4, 0), of_counts(16, 1, 9, 0)
    assert [f"{share:.3f}" for share in (arm.recall, arm.precision, arm.f1)] == ["0.636", "0.875", "0.737"]
    assert [f"{share:.3f}" for share in (foot.recall, foot.precision, foot.f1)] == ["0.640", "0.941", "0.762"]


def test_a_share_of_nothing_is_none() -> None:
    empty = of_counts(0, 0, 0, 0)
    shares = (empty.accuracy, empty.recall, empty.precision, empty.specificity, empty.f1, empty.wrong_view_per_100)
    assert shares == (None,) * 6
    absent = of_counts(0, 0, 0, 5)
    assert (absent.accuracy, absent.recall, absent.precision, absent.specificity) == (1, None, None, 1)


def test_detections_in_other_views_stand_apart() -> None:
    # Four frames of other views hold three hands from 0.3 on, two of them in a frame that shows a hand.
    hand = ("hand", 0.9, HERE)
    frames = [
        frame("extremity", [present("hand", HERE)], detections(hand)),
        frame("head", [present("hand", HERE)], detections(hand, ("hand", 0.5, THERE))),
        frame("head", found=detections(hand), known=["cranium"]),
        frame("thorax", found=detections(("hand", 0.2, HERE))),
        frame("spine"),
        frame(None, found=detections(hand)),
    ]
    row = row_of("hand", frames)
    assert counts(row) == (1, 0, 0, 0)
    assert (row.other_frames, row.wrong_view, row.wrong_view_present) == (4, 3, 2)
    assert row.wrong_view_per_100 == 75


def test_frames_count_as_often_as_their_weights_say() -> None:
    frames = [
        frame("neck", [BONE], detections(("nasal_bone", 0.9, HERE))),
        frame("neck", [BONE]),
        frame("head", found=detections(("nasal_bone", 0.9, HERE))),
    ]
    bone = structure_outcomes(frames, set_of(frames), "centre")[3]
    row = bone.row(np.array([3, 0, 2]))
    assert (counts(row), row.other_frames, row.wrong_view) == ((3, 0, 0, 0), 2, 2)
    assert counts(bone.row(np.array([False, True, True]))) == (0, 0, 1, 0)
    with pytest.raises(ValueError, match=r"a weight for each of 3 frames, got an array of shape \(2,\)"):
        bone.row(np.array([1, 1]))
    with pytest.raises(ValueError, match="whole numbers or bool, got float64"):
        bone.row(np.array([1.0, 1, 1]))
    with pytest.raises(ValueError, match="must be 0 or more, got -1"):
        bone.row(np.array([1, -1, 1]))


def test_there_is_a_row_for_each_tested_structure_of_the_set_and_for_no_other() -> None:
    assert [outcomes.structure for outcomes in structure_outcomes([], set_of([]), "centre")] == list(
        set_of([]).structures
    )
    own = ("yolk_sac", "cranium")
    frames = [frame("head", [present("cranium", HERE, structures=own)], structures=own)]
    rows = [outcomes.row() for outcomes in structure_outcomes(frames, set_of(frames, own), "centre")]
    assert [(row.structure, counts(row)) for row in rows] == [("cranium", (0, 0, 1, 0))]


def test_a_row_as_json_holds_counts_and_shares() -> None:
    written = as_json(of_counts(1, 1, 0, 0))
    assert written["structure"] == "nasal_bone"
    assert (written["tp"], written["frames"], written["precision"], written["specificity"]) == (1, 2, 0.5, 0.0)
    assert written["wrong_view_per_100"] is None
