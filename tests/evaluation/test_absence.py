"""Structures that aren't there, by hand-made frames."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.enumerated_draws import all_resamples
from evaluation.handmade_frames import HERE, THERE, detections, frame, present, set_of
from fetalseg.evaluation.absence import AbsenceCounts, AbsenceFigures, absence_outcomes, as_json
from fetalseg.evaluation.scored_frames import ScoredFrame

STOMACH, AGAIN = ("stomach", 0.9, HERE), ("stomach", 0.4, THERE)


def figures_of(name: str, frames: list[ScoredFrame]) -> AbsenceFigures:
    return next(o.figures() for o in absence_outcomes(frames, set_of(frames)) if o.structure == name)


def test_every_detection_is_false_where_the_structure_is_annotated_and_absent() -> None:
    # Absent in four frames: two of its own view (one with two detections, one without), two of others (one of each).
    frames = [
        frame("abdomen", found=detections(STOMACH, AGAIN)),
        frame("abdomen", found=detections(("stomach", 0.29, HERE))),
        frame("abdomen", [present("stomach", HERE)], detections(STOMACH)),
        frame("head", found=detections(STOMACH)),
        frame(None),
    ]
    stomach = figures_of("stomach", frames)
    assert stomach.own_view == AbsenceCounts(frames=2, clear=1, detections=2)
    assert stomach.all_views == AbsenceCounts(frames=4, clear=2, detections=3)
    assert (stomach.own_view.specificity, stomach.own_view.per_100) == (0.5, 100)
    assert (stomach.all_views.specificity, stomach.all_views.per_100) == (0.5, 75)


def test_unlisted_and_crowded_frames_say_nothing_of_absence() -> None:
    frames = [
        frame("abdomen", found=detections(STOMACH), known=["spine"]),
        frame("abdomen", [present("stomach", HERE, crowd=True)], detections(STOMACH)),
    ]
    counts = figures_of("stomach", frames).all_views
    assert (counts.frames, counts.specificity, counts.per_100) == (0, None, None)


def test_a_structure_of_a_hospital_s_own_belongs_to_no_view() -> None:
    own = ("yolk_sac",)
    frames = [frame("head", structures=own)]
    (outcomes,) = absence_outcomes(frames, set_of(frames, own))
    assert outcomes.figures() == AbsenceFigures("yolk_sac", AbsenceCounts(1, 1, 0), None)
    assert as_json(outcomes.figures())["own_view"] is None


def test_frames_count_as_often_as_their_weights_say() -> None:
    frames = [frame("abdomen", found=detections(STOMACH, AGAIN)), frame("abdomen"), frame("head")]
    stomach = absence_outcomes(frames, set_of(frames))[9].figures(np.array([2, 1, 0]))
    assert stomach.own_view == stomach.all_views == AbsenceCounts(frames=3, clear=1, detections=4)
    assert as_json(stomach)["all_views"] == {
        **{"frames": 3, "clear": 1, "detections": 4},
        **{"specificity": 1 / 3, "per_100": 400 / 3},
    }


def test_intervals_of_two_patients_are_those_of_their_four_resamples() -> None:
    # Patient a: two false stomachs in an abdomen. Patient b: none in an abdomen, none in a head.
    frames = [
        frame("abdomen", found=detections(STOMACH, AGAIN), number=1),
        frame("abdomen", number=2),
        frame("head", number=3),
    ]
    found = absence_outcomes(frames, set_of(frames))[9].resampled(all_resamples("a", "b", "b"))
    assert list(found) == ["all_views", "own_view"]
    assert found["all_views"]["specificity"].values == pytest.approx([0, 2 / 3, 2 / 3, 1])
    assert found["all_views"]["per_100"].values == pytest.approx([200, 200 / 3, 200 / 3, 0])
    assert found["own_view"]["specificity"].values == pytest.approx([0, 1 / 2, 1 / 2, 1])
    assert found["own_view"]["per_100"].values == pytest.approx([200, 100, 100, 0])
    # 2.5 % and 97.5 % of four values lie at 0.075 and 2.925 of the way from place 0 to place 3.
    interval = found["own_view"]["per_100"].interval
    assert interval is not None
    assert (interval.low, interval.high, interval.dropped) == pytest.approx((7.5, 192.5, 0))


def test_a_resample_without_such_a_frame_is_dropped_and_one_that_is_never_absent_has_no_interval() -> None:
    frames = [frame("abdomen", number=1), frame("abdomen", [present("stomach", HERE)], number=2)]
    found = absence_outcomes(frames, set_of(frames))[9].resampled(all_resamples("a", "b"))
    interval = found["own_view"]["specificity"].interval
    assert interval is not None
    assert (interval.low, interval.high, interval.dropped) == (1, 1, 1)
    always = absence_outcomes(frames[1:], set_of(frames))[9].resampled(all_resamples("b"))
    assert always["own_view"]["specificity"].interval is None
