"""The figures that two systems are compared by, of three hand-made frames."""

from __future__ import annotations

import pytest

from evaluation.enumerated_draws import all_resamples
from evaluation.handmade_frames import HERE, THERE, detections, frame, present, rectangle, set_of
from fetalseg.evaluation.compared_figures import best_detection_figures, compared_names


def test_figures_of_two_patients_have_the_names_that_rules_may_use() -> None:
    # Patient a: a heart found and one missed. Patient b: a heart found beside.
    heart = [present("heart", HERE, rectangle(HERE))]
    frames = [
        frame("thorax", heart, detections(("heart", 0.9, HERE)), number=1),
        frame("thorax", heart, number=2),
        frame("thorax", heart, detections(("heart", 0.9, THERE)), number=3),
    ]
    draws = all_resamples("a", "a", "b")
    found = best_detection_figures({"box": frames, "mask": frames}, set_of(frames), ["heart"], draws)
    assert found["heart.overlap.centre_hit"].values == pytest.approx([1 / 2, 1 / 3, 1 / 3, 0])
    assert found["heart.overlap.dice"].values == pytest.approx([1 / 2, 1 / 3, 1 / 3, 0])
    assert found["heart.centre.precision"].values == pytest.approx([1, 1 / 2, 1 / 2, 0])
    names = [name for name in compared_names(["heart"], ["box", "mask"]) if ".AP" not in name]
    assert sorted(found) == sorted(names)


def test_a_structure_of_no_view_and_a_system_without_masks_have_fewer_figures() -> None:
    assert [name for name in compared_names(["yolk_sac"], ["box"]) if ".AP" not in name] == [
        "yolk_sac.overlap.centre_hit"
    ]
