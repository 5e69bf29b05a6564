"""Two systems on the same frames: how much better one is, how sure that is, and with how many questions asked.

The draws are shared, so that a hard patient is hard for both in every resample, and only their difference varies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fetalseg.evaluation.bootstrap import Interval, Resampled, percentile_interval
from fetalseg.evaluation.resampled_precision import MEAN

__all__ = ["Comparison", "as_json", "compare", "holm", "two_sided_p"]


@dataclass(frozen=True)
class Comparison:
    """One figure of two systems.

    Attributes:
        figure: its name, `structure.kind.measure`.
        base: of the first system; None where it can't be computed.
        new: of the second.
        difference: new - base; None where one of them is missing.
        interval: of the difference, 95 %.
        p: two-sided p-value of "there is no difference".
        adjusted_p: the same by Holm, among the structures with the same kind and measure; None for their mean.
    """

    figure: str
    base: float | None
    new: float | None
    difference: float | None
    interval: Interval | None
    p: float | None
    adjusted_p: float | None


def compare(base: Mapping[str, Resampled], new: Mapping[str, Resampled]) -> list[Comparison]:
    """Compares all figures of two systems.

    Args:
        base: figures by name, from draws that both share.
        new: the same figures of the other system.

    Returns:
        In the order of `base`.

    Raises:
        ValueError: other figures, or another number of resamples: not the same draws.
    """
    if base.keys() != new.keys():
        apart = ", ".join(sorted(base.keys() ^ new.keys()))
        raise ValueError(f"expected the same figures of both systems; only one of them has {apart}")
    return _adjusted([_difference(name, figure, new[name]) for name, figure in base.items()])


def two_sided_p(differences: npt.NDArray[np.float64]) -> float | None:
    """The two-sided p-value of "there is no difference" from resampled differences.

    Twice the smaller share of resamples on either side of zero: the interval of level 1 - p just reaches zero (Efron
    and Tibshirani, An Introduction to the Bootstrap, 1993, section 15.4). One is added to count and number, so that no
    finite number of resamples proves a chance of 0 (Davison and Hinkley, Bootstrap Methods and their Application, 1997,
    section 4.2). With 1,000 resamples the smallest value is 0.002.

    Args:
        differences: [R], NaN in resamples without the figure.

    Returns:
        None if no resample has the figure.
    """
    known = differences[~np.isnan(differences)]
    if not len(known):
        return None
    side = min(np.count_nonzero(known <= 0), np.count_nonzero(known >= 0))
    return float(min(1.0, 2 * (side + 1) / (len(known) + 1)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: each may be held against 0.05, and the chance of one false alarm among all stays below it.

    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 1979;6:65-70.

    Args:
        p_values: of M questions.

    Returns:
        M values in the same order; the smallest p times M, the next times M - 1, never falling, at most 1.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [1.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, p_values[place] * (len(p_values) - rank)))
        adjusted[place] = highest
    return adjusted


def as_json(comparisons: Iterable[Comparison]) -> dict[str, dict[str, Any]]:
    """By name of the figure; what can't be computed is None."""
    rows = {row.figure: asdict(row) for row in comparisons}
    for row in rows.values():
        del row["figure"]
    return rows


def _difference(name: str, base: Resampled, new: Resampled) -> Comparison:
    if base.values.shape != new.values.shape:
        raise ValueError(
            f"{name}: {len(base.values)} resamples of one system and {len(new.values)} of the other; "
            "both must be drawn together"
        )
    if base.value is None or new.value is None:
        return Comparison(name, base.value, new.value, None, None, None, None)
    differences = new.values - base.values
    interval, p = percentile_interval(differences), two_sided_p(differences)
    return Comparison(name, base.value, new.value, new.value - base.value, interval, p, None)


def _adjusted(rows: list[Comparison]) -> list[Comparison]:
    """With Holm's p-values: the structures of one kind and measure are one family of questions."""
    families: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        # From the right: a hospital's own name of a structure may hold a dot.
        subject, kind, measure = row.figure.rsplit(".", 2)
        if subject != MEAN and row.p is not None:
            families.setdefault(f"{kind}.{measure}", []).append(place)
    adjusted = list(rows)
    for places in families.values():
        p_values = holm([p for place in places if (p := rows[place].p) is not None])
        for place, p_value in zip(places, p_values, strict=True):
            adjusted[place] = replace(rows[place], adjusted_p=p_value)
    return adjusted
