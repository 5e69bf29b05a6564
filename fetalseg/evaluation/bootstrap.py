"""Intervals by the bootstrap over patients: what is drawn once, and recounted many times.

Frames of one patient are alike, so patients are drawn, not frames (a cluster bootstrap: Davison and Hinkley, Bootstrap
Methods and their Application, 1997, section 3.8). A resample is a count for each frame; matching detections to the
truth happens once, and every figure is recounted with these weights. All models that are scored on the same frames
share the draws, so their differences are paired.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from fetalseg.data.records import ImageRecord

__all__ = [
    "LEVEL",
    "RESAMPLES",
    "Draws",
    "Interval",
    "Resampled",
    "draw_resamples",
    "mean_resampled",
    "percentile_interval",
    "resampled_figure",
    "resampled_ratio",
    "resampled_ratios",
    "weighted_sums",
]

RESAMPLES = 1000
LEVEL = 0.95

BY_PATIENT = "by patient"
BY_IMAGE = "by image, optimistic"
BY_BOTH = "by patient, by image where none is named, optimistic"


@dataclass(frozen=True, eq=False)
class Draws:
    """R resamples of the units of F frames.

    Attributes:
        weights: int64 [R, F], how many times each resample has each frame.
        unit: what was drawn, in the words to print beside every interval.
        units: how many there are.
        seed: of the draws.
    """

    weights: npt.NDArray[np.int64]
    unit: str
    units: int
    seed: int

    def __len__(self) -> int:
        return len(self.weights)

    @cached_property
    def factors(self) -> npt.NDArray[np.float64]:
        """The weights as float64 [R, F]: whole numbers are multiplied many times slower."""
        return self.weights.astype(np.float64)


@dataclass(frozen=True)
class Interval:
    """Where a figure lies with 95 % confidence.

    Attributes:
        low: lower bound.
        high: upper bound.
        dropped: resamples that don't have the figure, for want of ground truth; they are not behind the bounds.
    """

    low: float
    high: float
    dropped: int


@dataclass(frozen=True, eq=False)
class Resampled:
    """A figure of the whole set, and what it is in each resample.

    Attributes:
        value: of the set; None where it can't be computed.
        values: float64 [R], NaN in resamples that don't have it.
    """

    value: float | None
    values: npt.NDArray[np.float64]

    @property
    def interval(self) -> Interval | None:
        """The percentile interval; None where the set has no figure."""
        return None if self.value is None else percentile_interval(self.values)


def draw_resamples(images: Sequence[ImageRecord], *, resamples: int = RESAMPLES, seed: int = 0) -> Draws:
    """Draws as many units as there are, with replacement, again and again.

    The unit is the patient; an image that names none is a unit of its own. The draws depend on the images, their
    order and the seed, and on nothing that was found in them.

    Args:
        images: F frames, in the order in which figures count them.
        resamples: R, at least 1.
        seed: not negative.

    Raises:
        ValueError: no images, or a number out of its range.
    """
    if not images:
        raise ValueError("no images to draw from")
    if resamples < 1 or seed < 0:
        raise ValueError(f"expected at least 1 resample and a seed from 0 on, got {resamples} and {seed}")
    # A pair, so that a patient called "7" is not the image 7.
    names = [("patient", i.patient) if i.patient is not None else ("image", str(i.id)) for i in images]
    places = {name: place for place, name in enumerate(dict.fromkeys(names))}
    generator = np.random.default_rng(seed)
    counts = generator.multinomial(len(places), np.full(len(places), 1 / len(places)), size=resamples)
    named = sum(image.patient is not None for image in images)
    unit = BY_PATIENT if named == len(images) else BY_BOTH if named else BY_IMAGE
    return Draws(counts[:, [places[name] for name in names]].astype(np.int64), unit, len(places), seed)


def percentile_interval(values: npt.NDArray[np.float64], level: float = LEVEL) -> Interval | None:
    """The percentile interval (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 13.3).

    Args:
        values: [R], NaN in resamples without the figure: they are dropped, and counted.
        level: 0 < level < 1.

    Returns:
        None if no resample has the figure.
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return None
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2]).tolist()
    return Interval(low, high, len(values) - len(known))


def resampled_figure(figure: Callable[[npt.NDArray[np.int64] | None], float | None], draws: Draws) -> Resampled:
    """Any figure that takes weights of frames, called once for the set and once a resample.

    Args:
        figure: of weights int64 [F], or None for each frame once; None where it can't be computed.
        draws: the resamples.
    """
    values = [figure(weights) for weights in draws.weights]
    return Resampled(figure(None), np.array([np.nan if value is None else value for value in values], np.float64))


def resampled_ratio(numerators: npt.ArrayLike, denominators: npt.ArrayLike, draws: Draws) -> Resampled:
    """A figure that is a sum over the frames divided by another: recall, precision, F1, accuracy, mean Dice.

    Args:
        numerators: [F], such as the true positives of each frame.
        denominators: [F], such as its ground truths; where their sum is 0 there is no figure.
        draws: the resamples.
    """
    above, below = np.asarray(numerators, np.float64), np.asarray(denominators, np.float64)
    return resampled_ratios(above[None], below[None], draws)[0]


def resampled_ratios(numerators: npt.ArrayLike, denominators: npt.ArrayLike, draws: Draws) -> list[Resampled]:
    """K figures as of `resampled_ratio` at once.

    Args:
        numerators: [K, F].
        denominators: [K, F].
        draws: the resamples.

    Raises:
        ValueError: draws over another number of frames.
    """
    above, below = np.asarray(numerators, np.float64), np.asarray(denominators, np.float64)
    parts, wholes = np.split(weighted_sums(np.concatenate([above, below]), draws), 2)
    values = np.where(wholes > 0, parts / np.where(wholes > 0, wholes, 1), np.nan)
    totals: list[tuple[float, float]] = list(zip(above.sum(axis=1).tolist(), below.sum(axis=1).tolist(), strict=True))
    return [Resampled(part / whole if whole else None, row) for (part, whole), row in zip(totals, values, strict=True)]


def weighted_sums(values: npt.NDArray[np.float64], draws: Draws) -> npt.NDArray[np.float64]:
    """The sum of each row in each resample, [K, R].

    Args:
        values: [K, F].
        draws: the resamples.

    Raises:
        ValueError: draws over another number of frames.
    """
    if values.shape[1] != draws.weights.shape[1]:
        raise ValueError(f"{values.shape[1]} frames, and draws over {draws.weights.shape[1]}")
    sums: npt.NDArray[np.float64] = values @ draws.factors.T
    return sums


def mean_resampled(figures: Sequence[Resampled]) -> Resampled:
    """The mean of the figures that the set has.

    A resample that lacks one of them is dropped: the mean of the others would be another figure.
    """
    known = [figure for figure in figures if figure.value is not None]
    if not known:
        return Resampled(None, np.full(len(figures[0].values) if figures else 0, np.nan))
    value = float(np.mean([figure.value for figure in known]))
    return Resampled(value, np.asarray(np.mean([figure.values for figure in known], axis=0)))
