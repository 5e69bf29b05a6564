"""Structures that aren't there, by hand-made frames."""

from __future__ import annotations

import numpy as np

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
