"""Figures of cines on sequences whose figures are known."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from fetalseg.anatomy import structure
from fetalseg.evaluation.cine_figures import (
    TimesToFound,
    Truth,
    dice_of,
    false_structures,
    flicker,
    jitter,
    lag,
    match,
    switches,
    times_to_found,
)
from fetalseg.instances import Instances

CRANIUM, HEART = (structure(name).label for name in ("cranium", "heart"))
FPS = 25.0


def instances(boxes: Sequence[tuple[int, float, float]], ids: Sequence[int] | None = None) -> Instances:
    """Squares of 40 px: label, x and y of the corner."""
    corners = np.array([(x, y) for _, x, y in boxes], np.float32).reshape(-1, 2)
    whole = np.rint(np.hstack([corners, corners + 40])).astype(np.int64)
    return Instances(
        labels=np.array([label for label, _, _ in boxes], np.int64),
        scores=np.ones(len(boxes), np.float32),
        boxes=np.hstack([corners, corners + 40]).astype(np.float32),
        crops=[np.ones((40, 40), np.bool_) for _ in boxes],
        crop_boxes=whole,
        frame_shape=(200, 300),
        track_ids=None if ids is None else np.array(ids, np.int64),
    )


def truth(x: float = 50, *, ignored: bool = False, there: bool = True) -> Truth:
    """A cranium, in a frame that says everything about cranium and heart."""
    shown = instances([(CRANIUM, x, 50)] if there else [])
    return Truth(shown, (1,) * there, np.array([ignored] * there, np.bool_), frozenset({CRANIUM, HEART}))


def cranium(x: float = 50, identity: int | None = None) -> Instances:
    return instances([(CRANIUM, x, 50)], None if identity is None else [identity])


NOTHING = instances([])


def test_only_structures_of_one_kind_that_overlap_are_matched_and_ignored_ones_are_left_out() -> None:
    truths = [truth(), truth(), truth(), truth(ignored=True)]
    shown = [cranium(52), cranium(80), instances([(HEART, 50, 50)]), cranium()]
    assert {key: sorted(found) for key, found in match(truths, shown).items()} == {1: [0]}


def test_dice_is_that_of_the_masks() -> None:
    # 40 x 40 px each, 30 x 40 in common.
    assert dice_of(cranium(50), 0, cranium(60), 0) == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("seen", "changes"),
    [
        ("1111111111", 0),
        ("0011111111", 0),  # found late, then steady
        ("1101111111", 2),
        ("0101010101", 8),  # 9 changes, the first of them to the truth
        ("1111111100", 1),
    ],
)
def test_flicker_counts_what_the_truth_does_not_explain(seen: str, changes: int) -> None:
    shown = [cranium() if c == "1" else NOTHING for c in seen]
    assert flicker([truth()] * 10, shown, FPS) == pytest.approx(changes * FPS / 10)


def test_what_comes_and_goes_with_the_truth_does_not_flicker() -> None:
    truths = [truth(there=5 <= f < 15) for f in range(20)]
    assert flicker(truths, [cranium() if 6 <= f < 17 else NOTHING for f in range(20)], FPS) == 0
    assert flicker(truths, [cranium() if f in (1, 17) else NOTHING for f in range(20)], FPS) == 4 * FPS / 20


def test_switches_are_counted_within_a_second() -> None:
    frames = [0, 1, 2, 3, 40]
    truths = [truth()] * 41
    shown = [NOTHING] * 41
    for frame, identity in zip(frames, [1, 1, 2, 1, 3], strict=True):
        shown[frame] = cranium(identity=identity)
    assert switches(match(truths, shown), FPS) == 2


def test_jitter_is_the_change_of_the_error() -> None:
    # The box lies 1 px to the left and to the right in turn, in both x sides: changes of 2, 0, 2, 0 over root of 2.
    truths = [truth(50 + 3 * f) for f in range(6)]
    series = match(truths, [cranium(50 + 3 * f + (-1) ** f) for f in range(6)])
    assert jitter(series, series).tolist() == pytest.approx([1.0] * 5)
    assert jitter(series, match(truths[:3], [cranium(50 + 3 * f) for f in range(3)])).size == 2
    assert jitter(series, {}).size == 0


@pytest.mark.parametrize("late", [0.0, 0.5, 1.0])
def test_lag_tells_by_how_many_frames_boxes_come_late(late: float) -> None:
    def swing(frame: float) -> float:
        return 100 + 20 * math.sin(2 * math.pi * frame / 40)

    truths = [truth(swing(f)) for f in range(120)]
    shown = [cranium(swing(f - late) + 3) for f in range(120)]  # 3 px aside all the time: no lag
    assert lag(match(truths, shown)) == pytest.approx(late, abs=0.05)
    assert math.isnan(lag(match([truth()] * 20, [cranium()] * 20)))


def test_false_structures_are_those_that_a_frame_is_known_not_to_show() -> None:
    wrong = instances([(HEART, 10, 10), (CRANIUM, 200, 100)])
    unknown = Truth(*truth()[:3], annotated=frozenset({CRANIUM}))
    assert (
        false_structures(
            [truth(), truth()],
            [wrong, cranium()],
        )
        == 1.0
    )
    assert false_structures([unknown], [instances([(HEART, 10, 10)])]) == 0
    assert false_structures([truth(ignored=True)], [cranium(200)]) == 0


def appearing(words: str) -> list[Truth]:
    """A frame for each letter: the cranium is there (x), faint (?) or absent (.)."""
    return [truth(there=letter != ".", ignored=letter == "?") for letter in words]


def showing(words: str) -> list[Instances]:
    return [cranium() if letter == "x" else NOTHING for letter in words]


@pytest.mark.parametrize(
    ("there", "seen", "expected"),
    [
        ("...xxxxxxx", "...xxxxxxx", TimesToFound((0.0,), 0)),
        ("...xxxxxxx", ".....xxxxx", TimesToFound((0.08,), 0)),  # two frames of 40 ms
        ("...xxxxxxx", ".x........", TimesToFound((), 1)),  # what is shown before has found nothing
        ("..??xxx...", "...x..x...", TimesToFound((0.08,), 0)),  # it counts from when it can be seen
        ("xxx?????xx", ".........x", TimesToFound((0.36,), 0)),  # five faint frames, 0.2 s: it had not gone
        ("xxx......x", "........xx", TimesToFound((0.0,), 1)),  # six frames without it: it comes anew
        ("..........", "xxxxxxxxxx", TimesToFound((), 0)),
    ],
)
def test_time_to_found_runs_from_coming_into_the_picture(there: str, seen: str, expected: TimesToFound) -> None:
    times = times_to_found(appearing(there), showing(seen), FPS)
    assert (pytest.approx(times.found_s), times.missed) == (expected.found_s, expected.missed)


def test_what_lies_elsewhere_has_not_been_found() -> None:
    assert times_to_found([truth(50)] * 3, [cranium(100), cranium(52), cranium(50)], FPS).found_s == (0.04,)


def test_shares_of_appearances_count_those_that_were_never_found() -> None:
    times = TimesToFound((0.1, 0.3), 1) + TimesToFound((0.2,), 1)
    assert (times.appearances, times.found_s) == (5, (0.1, 0.2, 0.3))
    # The second, the third and the fourth of five; there is no fourth.
    assert [times.within(share) for share in (0.4, 0.6, 0.8)] == [0.2, 0.3, None]
    assert TimesToFound((), 0).within(0.5) is None
