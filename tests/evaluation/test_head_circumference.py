"""Ellipses with known perimeters, and agreement worked out on paper."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from evaluation.enumerated_draws import all_resamples
from evaluation.handmade_frames import HEIGHT, HERE, WIDTH, Mask, detections, frame, present, rectangle, set_of
from fetalseg.evaluation.head_circumference import (
    Agreement,
    HeadOutcomes,
    as_json,
    ellipse_circumference,
    ellipse_perimeter,
    head_outcomes,
)

PERIMETER_40_30 = 221.0349216  # 4 a E(e), by numerical integration


def ellipse(across: float, down: float) -> Mask:
    """The pixels whose centres lie in an ellipse around (60, 50) with these semi-axes."""
    y, x = np.indices((HEIGHT, WIDTH)) + 0.5
    return np.asarray(((x - 60) / across) ** 2 + ((y - 50) / down) ** 2 <= 1)


HEAD = ellipse(40, 30)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [(1, 1, 2 * math.pi), (4, 3, 22.1034921607), (3, 4, 22.1034921607), (10, 5, 48.4422411027)],
)
def test_the_perimeter_of_an_ellipse_is_that_of_its_integral(a: float, b: float, expected: float) -> None:
    assert ellipse_perimeter(a, b) == pytest.approx(expected, rel=1e-9)


def test_a_drawn_ellipse_has_its_perimeter() -> None:
    # Within half a pixel: an outline through the centres of the outermost pixels would be pi px too short.
    assert ellipse_circumference(HEAD, (1, 1)) == pytest.approx(PERIMETER_40_30, abs=0.5)
    assert ellipse_circumference(HEAD, (0.5, 0.5)) == pytest.approx(PERIMETER_40_30 / 2, abs=0.25)
    # With rows 4/3 as far apart as columns it is a circle of radius 40.
    assert ellipse_circumference(HEAD, (4 / 3, 1)) == pytest.approx(2 * math.pi * 40, abs=0.5)


def test_a_ring_counts_by_its_outline_and_specks_do_not_count() -> None:
    expected = ellipse_circumference(HEAD, (1, 1))
    ring = HEAD & ~ellipse(36, 26)
    ring[:3, :3] = True
    assert ellipse_circumference(ring, (1, 1)) == pytest.approx(expected)


def test_an_empty_mask_has_no_circumference() -> None:
    assert ellipse_circumference(np.zeros((HEIGHT, WIDTH), np.bool_), (1, 1)) is None


def test_agreement_worked_out() -> None:
    # Differences -1, 1, 3: mean 1, squares of the deviations 4 + 0 + 4, SD sqrt(8 / 2) = 2, limits 1 +- 3.92.
    agreement = Agreement.of(np.array([-1.0, 1, 3]))
    assert (agreement.n, agreement.mean, agreement.sd) == (3, 1, 2)
    assert agreement.mae == pytest.approx(5 / 3)
    assert (agreement.low, agreement.high) == pytest.approx((-2.92, 4.92))


def test_one_difference_has_no_spread_and_none_no_figure() -> None:
    assert Agreement.of(np.array([-2.0])) == Agreement(1, -2, None, 2, None, None)
    assert Agreement.of(np.array([])) == Agreement(0, None, None, None, None, None)


def test_the_cranium_found_is_compared_with_the_value_given() -> None:
    # 0.5 mm a pixel, given 110 mm: the annotated mask measures 110.5; the one found is 0.8 of it, 88.4 mm.
    facts: dict[int, dict[str, Any]] = {
        number: {"pixel_size_mm": 0.5, "head_circumference_mm": 110.0} for number in (1, 2, 3)
    }
    facts[4], facts[5] = {"head_circumference_mm": 110.0}, {"pixel_size_mm": 0.5}
    truth = present("cranium", HERE, HEAD)
    small, empty = ellipse(32, 24), np.zeros((HEIGHT, WIDTH), np.bool_)
    frames = [
        frame("head", [truth], detections(("cranium", 0.9, HERE, small)), number=1),
        frame("head", [truth], detections(("cranium", 0.2, HERE, small)), number=2),
        frame("head", [present("cranium", HERE)], detections(("cranium", 0.9, HERE, empty)), number=3),
        frame("head", [truth], detections(("cranium", 0.9, HERE, HEAD)), number=4),
        frame("head", [truth], detections(("cranium", 0.9, HERE, HEAD)), number=5),
    ]
    outcomes = head_outcomes(frames, set_of(frames), facts)
    assert outcomes is not None
    figures = outcomes.figures()
    assert figures is not None
    assert (figures.frames, figures.missed, figures.found.n, figures.annotated.n) == (3, 2, 1, 2)
    assert figures.found.mean == pytest.approx(0.8 * PERIMETER_40_30 / 2 - 110, abs=0.25)
    assert figures.annotated.mean == pytest.approx(PERIMETER_40_30 / 2 - 110, abs=0.25)
    assert as_json(figures)["found"]["n"] == 1


def test_two_annotated_heads_have_no_circumference_of_their_own() -> None:
    twins = [present("cranium", HERE, HEAD), present("cranium", HERE, HEAD, number=2)]
    facts = {1: {"pixel_size_mm": 0.5, "head_circumference_mm": 110.0}}
    frames = [frame("head", twins)]
    outcomes = head_outcomes(frames, set_of(frames), facts)
    assert outcomes is not None
    assert np.isnan(outcomes.annotated).all()


def test_frames_count_as_often_as_their_weights_say() -> None:
    # Differences 1, 1, 3: mean 5/3, SD sqrt((4/9 + 4/9 + 16/9) / 2) = sqrt(4/3).
    given = np.array([100.0, 100, 100, np.nan])
    found = np.array([101.0, 103, np.nan, np.nan])
    outcomes = HeadOutcomes(given, found, given)
    figures = outcomes.figures(np.array([2, 1, 4, 1]))
    assert figures is not None
    assert (figures.frames, figures.missed, figures.annotated.mean) == (7, 4, 0)
    assert (figures.found.mean, figures.found.sd) == pytest.approx((5 / 3, math.sqrt(4 / 3)))
    assert outcomes.figures(np.array([0, 0, 0, 1])) is None


def test_without_a_cranium_or_masks_there_is_nothing_to_measure() -> None:
    own = ("yolk_sac",)
    frames = [frame("head", structures=own)]
    assert head_outcomes(frames, set_of(frames, own), {}) is None
    boxes = [
        frame("head", [present("cranium", HERE, rectangle(HERE))], detections(("cranium", 0.9, HERE), masks=False))
    ]
    assert head_outcomes(boxes, set_of(boxes), {}) is None


def test_intervals_of_two_patients_are_those_of_their_four_resamples() -> None:
    # Patient a: 1 and 3 mm too long. Patient b: 2 mm too short, one missed, and one that nothing is given for.
    nan = math.nan
    outcomes = HeadOutcomes(
        given=np.array([100.0, 100, 100, 100, nan]),
        found=np.array([101.0, 103, 98, nan, nan]),
        annotated=np.full(5, nan),
    )
    found = outcomes.resampled(all_resamples("a", "a", "b", "b", "b"))["found"]
    # a twice: 1, 3, 1, 3; both: 1, 3, -2; b twice: -2, -2.
    assert found["mean"].values == pytest.approx([2, 2 / 3, 2 / 3, -2])
    assert found["mae"].values == pytest.approx([2, 2, 2, 2])
    # Squares of the deviations: 4 over 3, then 1/9 + 49/9 + 64/9 over 2, then 0.
    assert found["sd"].values == pytest.approx([math.sqrt(4 / 3), math.sqrt(19 / 3), math.sqrt(19 / 3), 0])
    whole = outcomes.figures()
    assert whole is not None
    for name, one in found.items():
        assert one.value == pytest.approx(getattr(whole.found, name))
    nowhere = outcomes.resampled(all_resamples("a", "a", "b", "b", "b"))["annotated"]
    assert {one.interval for one in nowhere.values()} == {None}


def test_one_head_has_a_bias_and_no_spread_to_have_an_interval_of() -> None:
    outcomes = HeadOutcomes(np.array([100.0, math.nan]), np.array([101.0, math.nan]), np.full(2, math.nan))
    found = outcomes.resampled(all_resamples("a", "b"))["found"]
    bias = found["mean"].interval
    assert bias is not None
    assert (bias.low, bias.high, bias.dropped) == (1, 1, 1)
    assert found["sd"].interval is None
