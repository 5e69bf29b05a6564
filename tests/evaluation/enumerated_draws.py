"""All resamples of a few units, each as often as chance draws it: figures of such draws can be worked out on paper."""

from __future__ import annotations

import itertools

import numpy as np

from fetalseg.evaluation.bootstrap import BY_PATIENT, Draws


def all_resamples(*patients: str) -> Draws:
    """Of frames of these patients: U patients have U**U resamples, all equally likely.

    Two patients are drawn as (first, first), (first, second), (second, first) and (second, second).
    """
    names = list(dict.fromkeys(patients))
    rows = itertools.product(names, repeat=len(names))
    weights = [[drawn.count(patient) for patient in patients] for drawn in rows]
    return Draws(np.array(weights, np.int64), BY_PATIENT, len(names), 0)
