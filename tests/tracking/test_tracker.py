"""Identities, hysteresis and steadiness on sequences made by hand."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from fetalseg.anatomy import structure
from fetalseg.instances import Instances
from fetalseg.lazy_crops import LazyCrops, Mask
from fetalseg.tracking import Tracker, TrackerOptions

CRANIUM, HEART, HAND, FOOT = (structure(name).label for name in ("cranium", "heart", "hand", "foot"))
FRAME = (240, 320)
FRAME_S = 0.04

Row = tuple[int, float, tuple[int, int, int, int]]
HEAD: tuple[int, int, int, int] = (100, 60, 200, 160)


def detections(*rows: Row, frame_shape: tuple[int, int] = FRAME) -> Instances:
    """Filled rectangles: label, score, box; best score first."""
    rows = tuple(sorted(rows, key=lambda row: -row[1]))
    boxes = np.array([box for _, _, box in rows], np.int64).reshape(-1, 4)
    return Instances(
        labels=np.array([label for label, _, _ in rows], np.int64),
        scores=np.array([score for _, score, _ in rows], np.float32),
        boxes=boxes.astype(np.float32),
        crops=[np.ones((y2 - y1, x2 - x1), np.bool_) for x1, y1, x2, y2 in boxes.tolist()],
        crop_boxes=boxes,
        frame_shape=frame_shape,
    )


def ids(instances: Instances) -> list[int]:
    assert instances.track_ids is not None
    return [int(identity) for identity in instances.track_ids]


def follow(tracker: Tracker, scores: Sequence[float | None], begin: int = 0, label: int = CRANIUM) -> list[list[int]]:
    """Identities shown while a structure that stands still has these scores, None where it isn't detected."""
    shown = []
    for frame, score in enumerate(scores, begin):
        found = detections() if score is None else detections((label, score, HEAD))
        shown.append(ids(tracker.update(found, frame * FRAME_S)))
    return shown


def started() -> Tracker:
    """A tracker that has seen an empty frame, so that nothing is its first."""
    tracker = Tracker()
    tracker.update(detections(), -FRAME_S)
    return tracker


def test_a_structure_keeps_its_identity_and_another_one_gets_the_next() -> None:
    tracker = Tracker()
    for frame in range(5):
        x = 4 * frame
        found = detections((CRANIUM, 0.9, (100 + x, 60, 200 + x, 160)), *[(FOOT, 0.8, (20, 20, 50, 40))] * (frame >= 2))
        shown = tracker.update(found, frame * FRAME_S)
        assert ids(shown) == ([1] if frame < 2 else [1, 2])
    assert shown.names == ["cranium", "foot"]
    assert tracker.last_id == 2


def test_structures_of_different_kinds_are_never_one() -> None:
    tracker = Tracker()
    assert ids(tracker.update(detections((CRANIUM, 0.9, HEAD)), 0)) == [1]
    shown = tracker.update(detections((HEART, 0.9, HEAD)), FRAME_S)
    assert dict(zip(shown.names, ids(shown), strict=True)) == {"heart": 2, "cranium": 1}  # the cranium is held


def test_two_feet_that_meet_keep_their_identities_where_greed_would_swap_them() -> None:
    tracker = Tracker()
    # The left foot goes right by 12 px a frame, the right one stands; they come close and the left one turns back.
    for frame, x in enumerate((0, 12, 24, 36, 24, 12, 0)):
        found = detections((FOOT, 0.8, (20 + x, 20, 60 + x, 50)), (FOOT, 0.9, (90, 20, 130, 50)))
        shown = tracker.update(found, frame * FRAME_S)
        assert {i: box[0] < 75 for i, box in zip(ids(shown), shown.boxes, strict=True)} == {1: False, 2: True}


@pytest.mark.parametrize(
    ("scores", "shown_from"),
    [
        ([0.9, 0.9], 0),  # half of 0.9 is enough evidence at once
        ([0.45, 0.45, 0.45], 1),  # 0.225, 0.3375
        ([0.31, 0.31, 0.31, 0.31], 2),  # 0.155, 0.2325, 0.27125 of 0.27
        ([0.5, None, 0.5], None),  # 0.25, then forgotten, 0.25
        ([0.29] * 8, None),  # never above min_score
    ],
)
def test_a_structure_appears_once_there_is_enough_evidence(scores: list[float | None], shown_from: int | None) -> None:
    shown = [bool(line) for line in follow(started(), scores)]
    assert shown == [shown_from is not None and frame >= shown_from for frame in range(len(scores))]


def test_the_first_frame_is_believed_at_once() -> None:
    assert follow(Tracker(), [0.31]) == [[1]]


def test_frames_far_apart_are_believed_each_by_itself() -> None:
    tracker = Tracker()
    tracker.update(detections(), 0)
    for second in (1.0, 1.5, 2.0):
        assert ids(tracker.update(detections((CRANIUM, 0.4, HEAD)), second)) == [1]
    assert ids(tracker.update(detections(), 2.5)) == []


def test_a_structure_that_is_missed_is_held_while_there_is_evidence_and_comes_back_as_itself() -> None:
    tracker = Tracker()
    # Each miss halves the evidence: 0.45, 0.225, 0.1125 of the 0.195 that keep it.
    assert follow(tracker, [0.9] * 4 + [None] * 2 + [0.9]) == [[1]] * 7
    assert follow(tracker, [0.9] * 4 + [None] * 5, begin=7) == [[1]] * 6 + [[]] * 3
    assert follow(tracker, [0.9], begin=16) == [[1]]


def test_nothing_is_held_for_more_than_three_frames_or_a_quarter_of_a_second() -> None:
    # With this least score the evidence would be enough for four misses.
    assert follow(Tracker(TrackerOptions(min_score=0.05)), [0.9, *[None] * 4]) == [[1]] * 4 + [[]]
    tracker = Tracker(TrackerOptions(min_score=0.05))
    tracker.update(detections((CRANIUM, 0.9, HEAD)), 0.0)
    assert [ids(tracker.update(detections(), second)) for second in (0.2, 0.3)] == [[1], []]


def test_weak_detections_keep_what_is_shown_and_never_begin_anything() -> None:
    tracker = started()
    assert follow(tracker, [0.25] * 10) == [[]] * 10
    shown = follow(tracker, [0.6] * 3 + [0.25] * 10, begin=10)
    assert shown == [[1]] * 13


def test_a_score_is_never_told_below_the_least() -> None:
    tracker = Tracker()
    tracker.update(detections((CRANIUM, 0.4, HEAD)), 0)
    for frame in range(1, 10):
        shown = tracker.update(detections((CRANIUM, 0.22, HEAD)), frame * FRAME_S)
        assert shown.scores.tolist() == pytest.approx([0.4])


def test_a_least_score_that_is_raised_counts_at_once() -> None:
    tracker = Tracker()
    assert follow(tracker, [0.6] * 3) == [[1]] * 3
    tracker.options = TrackerOptions(min_score=0.8)
    assert follow(tracker, [0.6, 0.6, 0.95], begin=3) == [[], [], [1]]


def test_a_score_around_the_least_does_not_flicker() -> None:
    shown = follow(Tracker(), [0.35, 0.25] * 20)
    assert shown == [[1]] * 40


@pytest.mark.parametrize(("label", "identity"), [(FOOT, 2), (CRANIUM, 1)])
def test_a_foot_gone_for_two_seconds_may_be_the_other_one_but_there_is_one_cranium(label: int, identity: int) -> None:
    tracker = Tracker()
    frames = round(2.2 / FRAME_S)
    follow(tracker, [0.9, *[None] * frames], label=label)
    assert follow(tracker, [0.9], begin=frames + 1, label=label) == [[identity]]


def test_a_structure_that_comes_back_has_the_mask_of_now() -> None:
    tracker = Tracker()
    follow(tracker, [0.9] * 4 + [None] * 5)
    found = detections((CRANIUM, 0.9, HEAD))
    found.crops[0][:15] = False  # a pixel of the old mask would stay for a frame
    shown = tracker.update(found, 9 * FRAME_S)
    assert ids(shown) == [1]
    assert (shown.crops[0] == found.crops[0]).all()


def test_noise_above_a_very_low_least_score_does_not_pile_up() -> None:
    tracker = Tracker(TrackerOptions(min_score=0.05))
    for frame in range(6):
        # 40 feet that are in other places in each second frame, where they would still be held: 80 tracks.
        corners = [(10 + 40 * (n % 8) + 20 * (frame % 2), 10 + 40 * (n // 8)) for n in range(40)]
        found = detections(*[(FOOT, 0.9, (x, y, x + 8, y + 8)) for x, y in corners])
        shown = tracker.update(found, frame * FRAME_S)
        assert len(shown) <= 64
        assert {tuple(box) for box in found.crop_boxes.tolist()} <= {tuple(box) for box in shown.crop_boxes.tolist()}


def test_what_does_not_touch_is_never_one_whatever_the_least_score() -> None:
    tracker = Tracker(TrackerOptions(min_score=0.0))
    assert ids(tracker.update(detections((FOOT, 0.9, (20, 20, 60, 50))), 0)) == [1]
    assert 2 in ids(tracker.update(detections((FOOT, 0.9, (200, 150, 240, 180))), FRAME_S))


def test_of_a_structure_that_a_fetus_has_once_one_is_shown_and_it_keeps_its_identity_in_a_better_place() -> None:
    tracker = Tracker()
    other = (20, 150, 90, 220)
    for frame in range(3):
        shown = tracker.update(detections((CRANIUM, 0.6, HEAD), (CRANIUM, 0.5, other)), frame * FRAME_S)
        assert len(shown) == 1
        assert shown.boxes[0].tolist() == pytest.approx(HEAD, abs=1)
    # A little better is not enough to jump, a lot better is.
    for frame in range(3, 12):
        shown = tracker.update(detections((CRANIUM, 0.6, HEAD), (CRANIUM, 0.7, other)), frame * FRAME_S)
        assert shown.boxes[0].tolist() == pytest.approx(HEAD, abs=1)
    for frame in range(12, 20):
        shown = tracker.update(detections((CRANIUM, 0.6, HEAD), (CRANIUM, 0.95, other)), frame * FRAME_S)
        assert ids(shown) == [1]
    assert shown.boxes[0].tolist() == pytest.approx(other, abs=1)


def test_a_box_mostly_inside_another_one_of_its_kind_is_the_same_structure() -> None:
    whole, part = (100, 60, 200, 160), (150, 70, 210, 110)  # 50 of 60 columns inside: 0.83; IoU 0.19
    beside = (170, 70, 230, 110)  # 30 of 60: 0.5
    tracker = Tracker()
    for frame in range(5):
        shown = tracker.update(detections((HAND, 0.8, whole), (HAND, 0.6, part), (FOOT, 0.6, part)), frame * FRAME_S)
        assert sorted(zip(shown.labels.tolist(), ids(shown), strict=True)) == [(HAND, 1), (FOOT, 2)]
    # What is on the screen stays there until the other is much better.
    tracker = Tracker()
    seen = []
    for frame, score in enumerate([0.5, 0.7, 0.7, 0.95, 0.95, 0.95, 0.95]):
        shown = tracker.update(detections((HAND, 0.6, whole), (HAND, score, part)), frame * FRAME_S)
        seen += ids(shown)
    assert seen == sorted(seen)
    assert (seen[:3], seen[-1], len(seen)) == ([1, 1, 1], 2, 7)
    tracker = Tracker()
    assert len(tracker.update(detections((HAND, 0.8, whole), (HAND, 0.6, beside)), 0)) == 2


def test_limbs_that_cross_in_one_box_are_two() -> None:
    found = detections((HAND, 0.8, HEAD), (HAND, 0.7, (HEAD[0] + 2, *HEAD[1:])))
    diagonal = np.abs(np.subtract.outer(np.arange(100), np.arange(100))) < 15
    crossing = replace(found, crops=[diagonal, diagonal[:, 97::-1]])
    assert len(Tracker().update(crossing, 0)) == 2
    assert len(Tracker().update(replace(found, crops=[diagonal, diagonal[:, 2:]]), 0)) == 1
    nowhere = np.array([[0, 0, 0, 0]] * 2)
    without = replace(found, crops=[np.empty((0, 0), np.bool_)] * 2, crop_boxes=nowhere)
    assert len(Tracker().update(without, 0)) == 1  # without masks the boxes decide


def test_a_frame_that_is_not_later_is_the_same_frame() -> None:
    tracker = Tracker()
    first = tracker.update(detections((CRANIUM, 0.9, HEAD)), 1.0)
    assert tracker.update(detections((HEART, 0.9, HEAD)), 1.0) is first


def test_reset_another_size_and_a_long_pause_begin_new_identities() -> None:
    tracker = Tracker()
    follow(tracker, [0.9])
    tracker.reset()
    assert follow(tracker, [0.9], begin=1) == [[2]]
    wide = detections((CRANIUM, 0.9, HEAD), frame_shape=(240, 400))
    assert ids(tracker.update(wide, 2 * FRAME_S)) == [3]
    assert ids(tracker.update(wide, 5.0)) == [4]


def test_identities_begin_above_those_already_told() -> None:
    assert follow(Tracker(last_id=41), [0.9]) == [[42]]


def test_a_box_that_moves_is_shown_where_it_is_within_a_frame() -> None:
    tracker = Tracker()
    late = []
    for frame in range(50):
        x = 3 * frame
        found = detections((FOOT, 0.9, (20 + x, 60, 70 + x, 100)))
        shown = tracker.update(found, frame * FRAME_S)
        late.append(found.boxes[0, 0] - shown.boxes[0, 0])
        assert shown.crop_boxes[0].tolist() == [20 + x, 60, 70 + x, 100]
        assert shown.crops[0].all()
    # Less than the 3 px of one frame from the beginning on, and nothing in the end.
    assert max(late) < 3
    assert late[-1] == pytest.approx(0, abs=0.1)


def test_a_box_that_leaves_the_frame_is_not_held_outside() -> None:
    tracker = Tracker()
    for frame, x in enumerate(range(200, 320, 30)):
        tracker.update(detections((FOOT, 0.9, (x, 60, min(x + 40, 320), 100))), frame * FRAME_S)
    for frame in range(4, 8):
        shown = tracker.update(detections(), frame * FRAME_S)
        for x1, _, x2, _ in shown.boxes.tolist():
            assert 0 <= x1 < x2 <= 320


def test_detections_are_left_as_they_are() -> None:
    tracker = Tracker()
    found = [detections((CRANIUM, 0.9, HEAD)), detections((CRANIUM, 0.8, (102, 60, 203, 160)))]
    copies = [(f.boxes.copy(), f.scores.copy(), [c.copy() for c in f.crops]) for f in found]
    for number, frame in zip(range(6), itertools.cycle(found), strict=False):
        shown = tracker.update(frame, number * FRAME_S)
        for crop in shown.crops:
            crop[:] = False
    for frame, (boxes, scores, crops) in zip(found, copies, strict=True):
        assert (frame.boxes == boxes).all()
        assert (frame.scores == scores).all()
        assert all((one == other).all() for one, other in zip(frame.crops, crops, strict=True))


def test_no_detections_are_no_structures() -> None:
    shown = Tracker().update(detections(), 0)
    assert len(shown) == 0
    assert ids(shown) == []
    assert shown.boxes.shape == (0, 4)


def test_tracking_works_without_masks() -> None:
    tracker = Tracker()
    for frame in range(3):
        found = detections((CRANIUM, 0.9, HEAD))
        bare = Instances(
            found.labels, found.scores, found.boxes, [np.empty((0, 0), np.bool_)], np.full((1, 4), 60), FRAME
        )
        shown = tracker.update(bare, frame * FRAME_S)
        assert ids(shown) == [1]
        assert shown.crops[0].size == 0


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"min_score": 1.5}, r"min_score must be within 0\.\.1, got 1\.5"),
        ({"hold_frames": -1}, "hold_frames must be at least 0, got -1"),
        ({"jitter": 0.0}, r"jitter must be above 0, got 0\.0"),
    ],
)
def test_options_out_of_range_are_refused(wrong: dict[str, float], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        TrackerOptions(**wrong)  # type: ignore[arg-type]


def test_masks_are_made_for_what_is_shown_alone() -> None:
    tracker = started()
    made: list[int] = []

    def update(frame: int, *rows: Row) -> Instances:
        found = detections(*rows)
        crops = found.crops

        def make(row: int) -> Mask:
            made.append(row)
            return crops[row]

        return tracker.update(replace(found, crops=LazyCrops([crop.shape for crop in crops], make)), frame * FRAME_S)

    sure, doubtful, weak = (CRANIUM, 0.9, HEAD), (HEART, 0.32, (10, 10, 30, 30)), (FOOT, 0.2, (250, 180, 290, 220))
    assert [len(update(0, sure, doubtful, weak)), made] == [1, [0]]  # the heart's evidence is not enough yet
    assert [len(update(1, sure, weak)), made] == [1, [0, 0]]
    shown = update(2, weak)
    assert (len(shown), made) == (1, [0, 0])  # held, with the mask it had
    assert shown.crops[0].all()
