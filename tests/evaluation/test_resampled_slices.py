"""AP50 of slices in all resamples of two patients."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evaluation.enumerated_draws import all_resamples
from evaluation.handmade_frames import HERE, THERE, detections, frame, present, set_of
from fetalseg.evaluation.bootstrap import Interval
from fetalseg.evaluation.matches import match_all
from fetalseg.evaluation.precision import average_precision
from fetalseg.evaluation.resampled_slices import resampled_slices
from fetalseg.evaluation.slices import Slice

NAMES = ("heart", "spine")

# Frames of patient a, a, b, b; the first and the third are thorax views, the others head views.
FRAMES = [
    frame(
        "thorax",
        [present("heart", HERE, structures=NAMES)],
        detections(("heart", 0.9, HERE), structures=NAMES),
        number=1,
        structures=NAMES,
    ),
    frame(
        "head",
        [present("spine", HERE, structures=NAMES)],
        detections(("spine", 0.8, HERE), structures=NAMES),
        number=2,
        structures=NAMES,
    ),
    frame(
        "thorax",
        [present("heart", HERE, structures=NAMES)],
        detections(("heart", 0.95, THERE), structures=NAMES),
        number=3,
        structures=NAMES,
    ),
    frame("head", structures=NAMES, number=4),
]
DRAWS = all_resamples("a", "a", "b", "b")
THORAX = Slice("view", "thorax", np.array([True, False, True, False]))
HEAD = Slice("view", "head", np.array([False, True, False, True]))
MATCHES = match_all(FRAMES, set_of(FRAMES, NAMES), "bbox")


def test_slices_of_two_patients_are_those_of_their_four_resamples() -> None:
    thorax, head = resampled_slices([THORAX, HEAD], MATCHES, NAMES, DRAWS)
    # Of a alone all hearts are found; of both one of two, after a false one: 51 points of precision 1/2; of b none.
    half = 51 / 101 / 2
    assert thorax["heart"].values == pytest.approx([1, half, half, 0])
    assert thorax["heart"].value == pytest.approx(half)
    assert (thorax["spine"].value, thorax["spine"].interval) == (None, None)
    # The mean is over the heart alone, as the slice has no spine.
    assert thorax["mean"].values == pytest.approx([1, half, half, 0])
    # b has no spine: such a resample is dropped.
    assert head["spine"].values == pytest.approx([1, 1, 1, math.nan], nan_ok=True)
    assert head["mean"].interval == head["spine"].interval == Interval(pytest.approx(1), pytest.approx(1), dropped=1)


def test_a_slice_of_all_frames_has_the_figures_of_the_set() -> None:
    (whole,) = resampled_slices([Slice("probe", "all", np.ones(4, np.bool_))], MATCHES, NAMES, DRAWS)
    for label, name in enumerate(NAMES):
        assert whole[name].value == average_precision(MATCHES[label]).ap50


def test_a_slice_without_frames_has_no_figures() -> None:
    (nothing,) = resampled_slices([Slice("probe", "none", np.zeros(4, np.bool_))], MATCHES, NAMES, DRAWS)
    assert {one.value for one in nothing.values()} == {None}
    assert {len(one.values) for one in nothing.values()} == {4}
