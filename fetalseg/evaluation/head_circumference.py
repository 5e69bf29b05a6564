"""Head circumference from the mask of the cranium, compared with the value that the set gives.

The mask's outline is filled and replaced by the ellipse with the same second moments; its perimeter is compared with
`head_circumference_mm` of the image's record as Bland and Altman do (Lancet 1986;327:307-310). The same formula applied
to the annotated mask shows how much of the error is not the system's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from fetalseg.data.facts import spacing_mm
from fetalseg.data.records import CocoSet
from fetalseg.encoding import decode_mask
from fetalseg.evaluation.best_detection import MIN_BEST_SCORE, counted
from fetalseg.evaluation.bootstrap import Draws, Resampled, weighted_sums
from fetalseg.evaluation.coco import truth_mask
from fetalseg.evaluation.frame_weights import FrameWeights, frame_weights
from fetalseg.evaluation.scored_frames import ScoredFrame

__all__ = [
    "Agreement",
    "HeadFigures",
    "HeadOutcomes",
    "as_json",
    "ellipse_circumference",
    "ellipse_perimeter",
    "head_outcomes",
]

_LIMIT = 1.96  # standard deviations that hold 95 % of the differences if they are normally distributed


@dataclass(frozen=True)
class Agreement:
    """Differences of measurements, measured minus annotated, in mm; None where there are too few.

    Attributes:
        n: how many.
        mean: bias.
        sd: with n - 1 in the denominator.
        mae: mean of the absolute differences.
        low: lower limit of agreement, mean - 1.96 SD.
        high: upper limit of agreement, mean + 1.96 SD.
    """

    n: int
    mean: float | None
    sd: float | None
    mae: float | None
    low: float | None
    high: float | None

    @classmethod
    def of(cls, differences: npt.NDArray[np.float64]) -> Agreement:
        """Of differences [n]."""
        n = len(differences)
        if n == 0:
            return cls(0, None, None, None, None, None)
        mean, mae = float(differences.mean()), float(np.abs(differences).mean())
        if n == 1:
            return cls(1, mean, None, mae, None, None)
        sd = float(differences.std(ddof=1))
        return cls(n, mean, sd, mae, mean - _LIMIT * sd, mean + _LIMIT * sd)


@dataclass(frozen=True)
class HeadFigures:
    """Errors of head circumference.

    Attributes:
        frames: with an annotated circumference and a known size of a pixel.
        missed: those of `frames` in which no cranium is found, or its mask is empty.
        found: of the cranium found, in the others.
        annotated: of the annotated mask, in those of `frames` that have one.
    """

    frames: int
    missed: int
    found: Agreement
    annotated: Agreement


@dataclass(frozen=True, eq=False)
class HeadOutcomes:
    """Circumferences in F frames, mm; counted as often as wanted.

    Attributes:
        given: float64 [F], as the set says; NaN where it says none, or no size of a pixel.
        found: float64 [F], of the best detection of the cranium; NaN where there is none, and where nothing is given.
        annotated: float64 [F], of the annotated mask; NaN as of `found`.
    """

    given: npt.NDArray[np.float64]
    found: npt.NDArray[np.float64]
    annotated: npt.NDArray[np.float64]

    def figures(self, weights: FrameWeights | None = None) -> HeadFigures | None:
        """The figures with each frame as often as its weight says, [F]; None if no circumference is given in any.

        Raises:
            ValueError: as of `frame_weights`.
        """
        times = frame_weights(weights, len(self.given))
        frames = int(times[~np.isnan(self.given)].sum())
        if frames == 0:
            return None
        found = Agreement.of(_differences(self.found, self.given, times))
        annotated = Agreement.of(_differences(self.annotated, self.given, times))
        return HeadFigures(frames, frames - found.n, found, annotated)

    def resampled(self, draws: Draws) -> dict[str, dict[str, Resampled]]:
        """ "mean", "sd" and "mae" of `Agreement` in every resample, by "found" and "annotated".

        Args:
            draws: over the same frames.

        Raises:
            ValueError: draws over another number of frames.
        """
        measured = {"found": self.found, "annotated": self.annotated}
        return {name: _resampled_agreement(values - self.given, draws) for name, values in measured.items()}


def head_outcomes(
    frames: Sequence[ScoredFrame], truth: CocoSet, facts: Mapping[int, Mapping[str, Any]]
) -> HeadOutcomes | None:
    """Measures each head once; None for a set without a cranium among its structures, or detections without masks.

    Args:
        frames: F frames.
        truth: the set that they are from.
        facts: record of each image as written, by image id, see `fetalseg.data.facts.image_facts`.

    Raises:
        DataError: a mask of the ground truth covers no pixel.
    """
    if "cranium" not in truth.structures or any(frame.found.masks is None for frame in frames):
        return None
    label = truth.structures.index("cranium")
    rows = [_measure(frame, label, facts.get(frame.image.id, {})) for frame in frames]
    given, found, annotated = np.array(rows, np.float64).reshape(-1, 3).T
    return HeadOutcomes(given, found, annotated)


def as_json(figures: HeadFigures) -> dict[str, Any]:
    """The figures by name, lengths in mm."""
    return asdict(figures)


def ellipse_circumference(mask: npt.NDArray[np.bool_], spacing: tuple[float, float]) -> float | None:
    """Perimeter of the ellipse that has the second moments of a mask's largest part, its holes filled.

    An ellipse with semi-axis a has the variance a^2 / 4 along it; a pixel is a square and adds 1/12 of its side squared
    to the variance of the centres. On 199 drawn ellipses the mean error is 0.03 px; a fit to the centres of the
    outline's pixels (cv2.fitEllipse) gives 2.8 px too little.

    Args:
        mask: bool [H, W].
        spacing: (row, column) distance of pixel centres.

    Returns:
        The perimeter in the unit of `spacing`, or None for an empty mask.
    """
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return None
    filled = np.zeros(mask.shape, np.uint8)
    cv2.drawContours(filled, [max(outlines, key=cv2.contourArea)], -1, (1,), cv2.FILLED)
    moments = cv2.moments(filled, binaryImage=True)
    around = np.array([[moments["mu02"], moments["mu11"]], [moments["mu11"], moments["mu20"]]])  # rows, columns
    variances = np.linalg.eigvalsh((around / moments["m00"] + np.eye(2) / 12) * np.outer(spacing, spacing))
    short, long = (2 * np.sqrt(variances)).tolist()
    return ellipse_perimeter(long, short)


def ellipse_perimeter(a: float, b: float) -> float:
    """Perimeter of an ellipse with semi-axes a and b, not both 0.

    Ramanujan's second approximation (Modular equations and approximations to pi, Quarterly Journal of Mathematics
    1914;45:350-372); for heads, with axes of about 4:3, it is exact to ten digits.
    """
    h = ((a - b) / (a + b)) ** 2
    return math.pi * (a + b) * (1 + 3 * h / (10 + math.sqrt(4 - 3 * h)))


def _measure(frame: ScoredFrame, label: int, record: Mapping[str, Any]) -> tuple[float, float, float]:
    """Circumference given, of the cranium found, and of the annotated one; NaN where there is none."""
    spacing, given = spacing_mm(dict(record)), record.get("head_circumference_mm")
    if given is None or spacing is None:
        return math.nan, math.nan, math.nan
    size = frame.image.height, frame.image.width
    best, masks = frame.found.best_of(label, MIN_BEST_SCORE), frame.found.masks
    found = None
    if best is not None and masks is not None:
        found = ellipse_circumference(decode_mask(masks[best]["counts"], size), spacing)
    annotated = None
    drawn = [a for a in counted(frame.image, label) if a.segmentation is not None]
    if len(drawn) == 1:  # of two heads it isn't said whose circumference is given
        annotated = ellipse_circumference(decode_mask(truth_mask(drawn[0], *size)["counts"], size), spacing)
    return float(given), math.nan if found is None else found, math.nan if annotated is None else annotated


def _differences(
    measured: npt.NDArray[np.float64], given: npt.NDArray[np.float64], times: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    differences = measured - given
    kept = ~np.isnan(differences)
    return np.repeat(differences[kept], times[kept])


def _resampled_agreement(differences: npt.NDArray[np.float64], draws: Draws) -> dict[str, Resampled]:
    """As of `HeadOutcomes.resampled`.

    Args:
        differences: [F], NaN in frames that have none.
        draws: over the same frames.
    """
    known = ~np.isnan(differences)
    whole = Agreement.of(differences[known])
    # From the mean of all, or the squares would be differences of large numbers.
    centre = 0.0 if whole.mean is None else whole.mean
    apart = np.where(known, differences - centre, 0.0)
    absolute = np.where(known, np.abs(differences), 0.0)
    n, sums, squares, off = weighted_sums(np.stack([known.astype(np.float64), apart, apart**2, absolute]), draws)
    some, several = np.maximum(n, 1), np.maximum(n - 1, 1)
    variances = np.maximum(squares - sums**2 / some, 0) / several
    return {
        "mean": Resampled(whole.mean, np.where(n > 0, centre + sums / some, np.nan)),
        "sd": Resampled(whole.sd, np.where(n > 1, np.sqrt(variances), np.nan)),
        "mae": Resampled(whole.mae, np.where(n > 0, off / some, np.nan)),
    }
