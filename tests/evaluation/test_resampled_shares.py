"""Shares of Table 3 in all resamples of two patients."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evaluation.enumerated_draws import all_resamples
from fetalseg.evaluation.resampled_shares import resampled_shares
from fetalseg.evaluation.structure_tables import Outcome, StructureOutcomes


def test_shares_of_two_patients_are_those_of_their_four_resamples() -> None:
    # Patient a: found, missed, and two drawn in another view. Patient b: found beside, and absent and not drawn.
    outcomes = StructureOutcomes(
        structure="heart",
        view="thorax",
        rule="centre",
        cells=np.array([Outcome.TP, Outcome.FN, Outcome.UNSCORED, Outcome.FP, Outcome.TN], np.int8),
        in_other_view=np.array([False, False, True, False, False]),
        wrong_view=np.array([0, 0, 2, 0, 0]),
        present=np.array([True, True, False, True, False]),
    )
    found = resampled_shares(outcomes, all_resamples("a", "a", "a", "b", "b"))
    nan = math.nan
    expected = {
        "accuracy": [1 / 2, 1 / 2, 1 / 2, 1 / 2],
        "recall": [1 / 2, 1 / 2, 1 / 2, nan],
        "precision": [1, 1 / 2, 1 / 2, 0],
        "specificity": [nan, 1 / 2, 1 / 2, 1 / 2],
        "f1": [2 / 3, 1 / 2, 1 / 2, 0],
        "wrong_view_per_100": [200, 200, 200, nan],
    }
    assert list(found) == list(expected)
    for name, values in expected.items():
        assert found[name].values == pytest.approx(values, nan_ok=True)
        assert found[name].value == pytest.approx(getattr(outcomes.row(), name))
    assert [one.interval.dropped for one in found.values() if one.interval] == [0, 1, 0, 1, 0, 1]
