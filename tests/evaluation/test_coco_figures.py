"""COCO's twelve figures of a structure, worked out by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fetalseg.evaluation.coco_figures import as_json, coco_figures, mean_figures
from fetalseg.evaluation.matches import Matches


def one_small_and_one_large() -> Matches:
    """Two frames: in the first a small annotation is found by the second detection, in the second a large one missed.

    The first detection matches nothing and is small itself, so that it counts over all sizes and among the small.
    """
    ignored = np.zeros((4, 10, 2), np.bool_)
    ignored[2:] = True
    matched = np.zeros((4, 10, 2), np.bool_)
    matched[:, :, 1] = True
    positives = np.array([[1, 1], [1, 0], [0, 0], [0, 1]])
    return Matches(np.array([0.9, 0.8]), np.array([0, 0]), matched, ignored, positives)


def test_figures_are_counted_over_all_and_by_size() -> None:
    figures = as_json(coco_figures(one_small_and_one_large()))
    # Over all: precision 1/2 up to recall 1/2, which is 51 of 101 points. Small: 1/2 everywhere. Large: not found.
    assert figures == {
        "AP": pytest.approx(0.5 * 51 / 101),
        "AP50": pytest.approx(0.5 * 51 / 101),
        "AP75": pytest.approx(0.5 * 51 / 101),
        "n": 2,
        "AP_small": pytest.approx(0.5),
        "AP_medium": None,
        "AP_large": 0,
        "n_small": 1,
        "n_medium": 0,
        "n_large": 1,
        "AR1": 0,  # the best detection is the wrong one
        "AR10": 0.5,
        "AR100": 0.5,
        "AR_small": 1,
        "AR_medium": None,
        "AR_large": 0,
    }
    json.dumps(figures, allow_nan=False)


def test_weights_choose_frames() -> None:
    figures = coco_figures(one_small_and_one_large(), np.array([True, False]))
    assert (figures.precision.n, figures.recall[100]) == (1, 1)
    assert figures.by_size["large"].ap is None


def test_the_mean_is_over_the_structures_that_have_the_figure() -> None:
    both = one_small_and_one_large()
    small = coco_figures(both, np.array([1, 0]))
    mean = mean_figures([small, coco_figures(both)])
    assert (mean.recall[100], mean.recall_by_size["large"], mean.recall_by_size["medium"]) == (0.75, 0, None)
    assert (mean.precision.n, mean.by_size["large"].n, mean.by_size["medium"].ap) == (2, 1, None)


def test_of_no_structure_there_is_no_mean() -> None:
    mean = mean_figures([])
    assert (mean.precision.ap, mean.recall[1], mean.precision.n) == (None, None, 0)
