"""What is on the screen at each tick, with timings that are worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fetalseg.anatomy import structure
from fetalseg.data.records import Annotation, CocoSet, ImageRecord
from fetalseg.evaluation.on_screen import (
    Answer,
    Latency,
    ScreenAge,
    on_screen,
    screen_age,
    screened,
    simulate,
    tick_times,
)
from fetalseg.evaluation.scored_frames import Detections, ScoredFrame, detections_of
from fetalseg.evaluation.streaming_precision import streaming_precision
from fetalseg.instances import Instances

HEIGHT, WIDTH, SIDE = 100, 400, 40
CRANIUM = structure("cranium").label


def shown_frames(frames: int, latency: Latency) -> list[int | None]:
    """Which frame's answer is on the screen at each tick of a cine at 25 a second."""
    ticks = tick_times(frames, 25)
    answers = simulate(ticks, latency, seed=0)
    return [None if place is None else answers[place].frame for place in on_screen(ticks, answers)]


def test_ticks_are_the_moments_of_capture() -> None:
    assert tick_times(4, 25) == [0, 40_000, 80_000, 120_000]
    assert tick_times(3, 30) == [0, 33_333, 66_667]
    with pytest.raises(ValueError, match="fps must be above 0, got 0"):
        tick_times(3, 0)


@pytest.mark.parametrize(
    ("busy_ms", "shown"),
    [
        (0, [0, 1, 2, 3, 4, 5, 6, 7, 8]),
        (1, [None, 0, 1, 2, 3, 4, 5, 6, 7]),  # an answer that comes right after a tick is seen with the next one
        (40, [None, 0, 1, 2, 3, 4, 5, 6, 7]),  # just in time
        # Frames 0, 1, 3, 4, 6 are begun at 0, 60, 120, 180, 240 ms and shown from 60, 120, 180, 240, 300 ms on;
        # frame 2 waited from 80 ms on and was replaced by frame 3 at 120 ms.
        (60, [None, None, 0, 1, 1, 3, 4, 4, 6]),
        # Frames 0, 2, 4, 6 are begun at 0, 80, 160, 240 ms and shown from 80, 160, 240, 320 ms on.
        (80, [None, None, 0, 0, 2, 2, 4, 4, 6]),
        # Frames 0, 2, 5 are begun at 0, 100, 200 ms; 2, not 1, for it came at 80 ms; 5 comes at 200 ms exactly.
        (100, [None, None, None, 0, 0, 2, 2, 2, 5]),
    ],
)
def test_the_newest_frame_is_worked_at_and_the_newest_answer_is_shown(busy_ms: float, shown: list[int | None]) -> None:
    assert shown_frames(9, Latency((busy_ms,))) == shown


def test_time_on_the_way_makes_answers_later_but_skips_no_frame() -> None:
    assert shown_frames(6, Latency((40.0,), way_ms=40.0)) == [None, None, 0, 1, 2, 3]
    assert shown_frames(6, Latency((80.0,))) == [None, None, 0, 0, 2, 2]


def test_measured_times_are_drawn_in_the_order_of_the_frames_that_are_worked_at() -> None:
    ticks = tick_times(50, 25)
    measured = Latency((10.0, 90.0))
    answers = simulate(ticks, measured, seed=3)
    assert answers == simulate(ticks, measured, seed=3)
    assert answers != simulate(ticks, measured, seed=4)
    begun_us = [max(ticks[a.frame], b.arrived_us) for a, b in zip(answers[1:], answers, strict=False)]
    taken = {a.arrived_us - begin for a, begin in zip(answers[1:], begun_us, strict=True)}
    assert taken == {10_000, 90_000}


def test_an_answer_that_was_overtaken_is_not_shown() -> None:
    answers = [Answer(0, 100), Answer(2, 150), Answer(1, 180)]
    assert on_screen([0, 100, 149, 150, 200], answers) == [None, 0, 0, 1, 1]
    assert on_screen([0, 100], []) == [None, None]


def test_age_counts_from_the_capture_of_the_frame_that_is_answered() -> None:
    # At ticks 2, 3, 4, 5 the answers to frames 0, 0, 2, 2 are shown. The 95th percentile lies between the two highest.
    ticks = tick_times(6, 25)
    answers = simulate(ticks, Latency((80.0,)), seed=0)
    age = screen_age(ticks, answers, on_screen(ticks, answers))
    assert age == ScreenAge(blank=2, ages_us=(80_000, 120_000, 80_000, 120_000), ages_frames=(2, 3, 2, 3))
    assert (age + ScreenAge(1, (50_000,), (1,))).mean_ms == 90.0
    assert age.as_json() == {"ticks": 6, "blank": 2, "mean_ms": 100.0, "p95_ms": 120.0, "mean_frames": 2.5}


def test_a_screen_that_stays_blank_has_no_age() -> None:
    age = screen_age([0, 40], [], [None, None])
    assert age.as_json() == {"ticks": 2, "blank": 2, "mean_ms": None, "p95_ms": None, "mean_frames": None}


@pytest.mark.parametrize(
    ("busy_ms", "way_ms", "words"),
    [
        ((), 0.0, "busy_ms is empty"),
        ((40.0, -1.0), 0.0, "busy_ms must be 0 or more, got -1.0"),
        ((40.0,), float("nan"), "way_ms must be 0 or more, got nan"),
    ],
)
def test_times_that_can_not_be_are_refused(busy_ms: tuple[float, ...], way_ms: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Latency(busy_ms, way_ms)


def test_ticks_that_do_not_ascend_are_refused() -> None:
    with pytest.raises(ValueError, match="ticks must ascend, got 40 us after 40 us"):
        on_screen([0, 40, 40], [])


def head(x: int, y: int = 20) -> Instances:
    """A cranium as a square of 40 px with this corner."""
    region = np.array([[x, y, x + SIDE, y + SIDE]])
    return Instances(
        labels=np.array([CRANIUM]),
        scores=np.array([0.9], np.float32),
        boxes=region.astype(np.float32),
        crops=[np.ones((SIDE, SIDE), np.bool_)],
        crop_boxes=region,
        frame_shape=(HEIGHT, WIDTH),
    )


def sweep(frames: int, step: int) -> CocoSet:
    """A head that moves to the right by `step` px a frame."""
    images = []
    for frame in range(frames):
        runs = head(step * frame).rle()[0]
        annotation = Annotation(
            frame + 1,
            CRANIUM,
            (step * frame, 20, SIDE, SIDE),
            {"size": runs["size"], "counts": runs["counts"]},
            crowd=False,
        )
        images.append(ImageRecord(frame + 1, Path(f"{frame}.png"), HEIGHT, WIDTH, frozenset({CRANIUM}), (annotation,)))
    return CocoSet(Path("instances.json"), "", "", {label: label + 1 for label in range(17)}, tuple(images))


def streamed(truth: CocoSet, error_px: int, step: int, latency: Latency) -> list[ScoredFrame]:
    """What is on the screen of a system that puts the head `error_px` too low."""
    ticks = tick_times(len(truth.images), 25)
    answers = simulate(ticks, latency, seed=0)
    found = [detections_of(head(step * answer.frame, 20 + error_px), truth, masks=True) for answer in answers]
    return screened(truth.images, [None if p is None else found[p] for p in on_screen(ticks, answers)])


def test_a_better_model_that_is_slower_loses_on_the_screen() -> None:
    truth = sweep(21, 6)  # the head moves by 6 px a frame
    coarse, fine = 5, 0
    # Frame by frame the coarse model's squares overlap by 35 of 45 rows: IoU 0.78, at least 6 of the 10 thresholds.
    offline = Latency((0.0,))
    assert streaming_precision(streamed(truth, coarse, 6, offline), truth).box.ap == pytest.approx(0.6)
    assert streaming_precision(streamed(truth, fine, 6, offline), truth).box.ap == 1.0
    # One tick late they are 6 px aside as well: 34 x 35 px in common, IoU 1190 / 2010 = 0.59, at least 2 thresholds.
    # The first of 21 heads is missed: recall 20 / 21 = 0.952 reaches 96 of the 101 recall points, with precision 1.
    quick = streaming_precision(streamed(truth, coarse, 6, Latency((40.0,))), truth)
    assert quick.mask is not None
    assert (quick.box.ap, quick.box.ap50) == pytest.approx((0.2 * 96 / 101, 96 / 101))
    assert quick.mask == quick.box
    # Three ticks late the fine model's are 18 px aside, 22 of 58 columns, IoU 0.38: none is right. It loses.
    late = streaming_precision(streamed(truth, fine, 6, Latency((40.0,), way_ms=80.0)), truth)
    assert late.mask is not None
    assert (late.box.ap50, late.mask.ap50) == (0.0, 0.0)


def test_figures_name_the_structures_that_there_are() -> None:
    truth = sweep(4, 0)
    figures = streaming_precision(streamed(truth, 0, 0, Latency((0.0,))), truth).as_json()
    assert list(figures["structures"]) == ["cranium"]
    assert figures["structures"]["cranium"]["mask"]["ap50"] == 1.0
    assert figures["mask"]["n"] == 1


def test_a_screen_is_asked_for_each_tick_and_of_the_size_of_the_picture() -> None:
    truth = sweep(2, 0)
    with pytest.raises(ValueError, match="1 screens for 2 images"):
        screened(truth.images, [None])
    small = Detections(np.array([CRANIUM]), np.array([0.9]), np.zeros((1, 4)), ({"size": [50, 50], "counts": "0"},))
    with pytest.raises(ValueError, match=r"image 2 is \[100, 400\] px; the masks on the screen are \[50, 50\]"):
        screened(truth.images, [None, small])
