"""Does an exported file compute what the network computes?"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from fetalseg.candidates import Candidates
from fetalseg.errors import EngineError
from fetalseg.preprocess import InputRule

__all__ = ["TOLERANCES", "Difference", "check_differences", "compare", "noise_frames", "structured_frames"]

# Float32 in another order of summation, with room: measured differences are 10 to 1000 times smaller.
TOLERANCES = {"scores": 1e-3, "boxes": 0.05, "coefficients": 1e-3, "prototypes": 1e-3, "ranks": 1e-3}


class Difference(NamedTuple):
    """The largest difference of one output.

    Attributes:
        frames: what was shown, "noise".
        output: "scores", "boxes" (px of the network input), "coefficients", "prototypes" (as a share of the largest, if
            that is above 1), or "ranks" (of the kept candidates against those that should have been kept).
        largest: absolute difference.
    """

    frames: str
    output: str
    largest: float


def noise_frames(rule: InputRule, batch: int) -> npt.NDArray[np.uint8]:
    """Uniform noise uint8 [batch, h, w, c], always the same."""
    shape = (batch, rule.height, rule.width, rule.channels)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def structured_frames(rule: InputRule, batch: int) -> npt.NDArray[np.uint8]:
    """Bright rings and filled ellipses under speckle, uint8 [batch, h, w, c], always the same."""
    rng = np.random.default_rng(1)
    height, width = rule.height, rule.width
    frames = np.empty((batch, height, width, rule.channels), np.uint8)
    for frame in frames:
        canvas = np.full((height, width), 20, np.uint8)
        for _ in range(4):
            centre = (int(rng.uniform(0.2, 0.8) * width), int(rng.uniform(0.2, 0.8) * height))
            axes = (int(rng.uniform(0.05, 0.4) * width), int(rng.uniform(0.02, 0.4) * height))
            turn, gray = float(rng.uniform(0, 180)), int(rng.uniform(60, 255))
            cv2.ellipse(canvas, centre, axes, turn, 0, 360, gray, thickness=int(rng.choice([-1, 1, 3])))
        speckle = rng.rayleigh(0.8, (height, width))
        frame[:] = np.clip(canvas * speckle, 0, 255).astype(np.uint8)[:, :, None]
    return frames


def compare(reference: Candidates, actual: Candidates, frames: str) -> list[Difference]:
    """Compares candidates of the same images, whatever their order.

    Anchors of equal rank may come in any order, and at the cut any of them may be kept. So the reference holds every
    anchor, each actual row is held against the nearest of them, and the sorted ranks against the best ranks.

    Args:
        reference: [B, A, ...], nothing cut.
        actual: [B, n, ...]; where n is above A the last n - A rows are padding and must be 0.
        frames: a word for the report.

    Returns:
        One difference for each output.
    """
    largest = dict.fromkeys(TOLERANCES, 0.0)
    kept = min(actual.scores.shape[1], reference.scores.shape[1])
    for i in range(len(reference.scores)):
        wanted, got = reference.frame(i), actual.frame(i)
        nearest = _nearest_rows(wanted, got, kept)
        for name in ("scores", "boxes", "coefficients"):
            expected, found = getattr(wanted, name)[0, nearest], getattr(got, name)[0]
            padding = float(np.abs(found[kept:]).max(initial=0))
            largest[name] = max(largest[name], padding, float(np.abs(expected - found[:kept]).max()))
        ranks = _sorted_ranks(wanted.scores[0])[:kept] - _sorted_ranks(got.scores[0, :kept])
        largest["ranks"] = max(largest["ranks"], float(np.abs(ranks).max()))
    size = max(1.0, float(np.abs(reference.prototypes).max()))
    largest["prototypes"] = float(np.abs(reference.prototypes - actual.prototypes).max()) / size
    return [Difference(frames, name, value) for name, value in largest.items()]


def check_differences(differences: list[Difference]) -> None:
    """Refuses a file that computes something else.

    Raises:
        EngineError: a difference above its tolerance, or not a number.
    """
    for difference in differences:
        tolerance = TOLERANCES[difference.output]
        if not difference.largest <= tolerance:
            raise EngineError(
                f"the exported {difference.output} differ from the network's by {difference.largest:.2g} "
                f"on {difference.frames} frames; expected at most {tolerance:g}"
            )


def _sorted_ranks(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Ranking keys of rows [n, C], best first (`fetalseg.export.graph.ranking_key`).

    The best rows of every structure are always kept, so that the keys of kept rows follow from these alone.
    """
    key = (scores / np.maximum(scores.max(axis=0), 0.05)).max(axis=1)
    return np.asarray(np.sort(key)[::-1], np.float32)


def _nearest_rows(reference: Candidates, actual: Candidates, kept: int) -> npt.NDArray[np.intp]:
    """For each of the first `kept` rows the index of the reference row that differs least in box and scores."""
    nearest = np.empty(kept, np.intp)
    for row in range(kept):  # one by one: all pairs at once would take gigabytes
        gap = np.abs(reference.boxes[0] - actual.boxes[0, row]).max(axis=1)
        close = np.flatnonzero(gap <= gap.min() + 0.1)
        scores = np.abs(reference.scores[0, close] - actual.scores[0, row]).max(axis=1)
        nearest[row] = close[scores.argmin()]
    return nearest
