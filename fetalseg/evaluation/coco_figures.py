"""The figures that COCO's own evaluation prints, for one structure: average precision and recall, over all and by size.

Sizes are COCO's: small up to 32 x 32 px, medium up to 96 x 96 px, large above.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fetalseg.evaluation.frame_weights import FrameWeights
from fetalseg.evaluation.matches import AREAS, Matches
from fetalseg.evaluation.precision import AveragePrecision, average_precision, average_recall, mean_precision

__all__ = ["MOST_DETECTIONS", "CocoFigures", "as_json", "coco_figures", "mean_figures"]

MOST_DETECTIONS = (1, 10, 100)  # of a structure in a frame, for average recall

_SIZES = AREAS[1:]


@dataclass(frozen=True)
class CocoFigures:
    """Figures 0..1; None where there is nothing to find.

    Attributes:
        precision: over all sizes.
        by_size: the same of "small", "medium", "large".
        recall: average recall with the best 1, 10 and 100 detections of a frame.
        recall_by_size: average recall with the best 100, by the same words.
    """

    precision: AveragePrecision
    by_size: dict[str, AveragePrecision]
    recall: dict[int, float | None]
    recall_by_size: dict[str, float | None]


def coco_figures(matches: Matches, weights: FrameWeights | None = None) -> CocoFigures:
    """Counts them all.

    Args:
        matches: of one structure, F frames.
        weights: how often each frame counts, [F]; None: each once.
    """
    return CocoFigures(
        precision=average_precision(matches, weights=weights),
        by_size={name: average_precision(matches, area, weights) for area, name in enumerate(_SIZES, 1)},
        recall={most: average_recall(matches, weights=weights, max_detections=most) for most in MOST_DETECTIONS},
        recall_by_size={name: average_recall(matches, area, weights) for area, name in enumerate(_SIZES, 1)},
    )


def mean_figures(figures: Sequence[CocoFigures]) -> CocoFigures:
    """The mean of each over the structures that have it; `n` is their number."""
    return CocoFigures(
        precision=mean_precision(f.precision for f in figures),
        by_size={name: mean_precision(f.by_size[name] for f in figures) for name in _SIZES},
        recall={most: _mean(f.recall[most] for f in figures) for most in MOST_DETECTIONS},
        recall_by_size={name: _mean(f.recall_by_size[name] for f in figures) for name in _SIZES},
    )


def as_json(figures: CocoFigures) -> dict[str, Any]:
    """By the names that COCO prints, such as "AP50", "AP_small" and "AR10"; `n_small` is the support of "AP_small"."""
    whole = figures.precision
    return {
        "AP": whole.ap,
        "AP50": whole.ap50,
        "AP75": whole.ap75,
        "n": whole.n,
        **{f"AP_{name}": one.ap for name, one in figures.by_size.items()},
        **{f"n_{name}": one.n for name, one in figures.by_size.items()},
        **{f"AR{most}": value for most, value in figures.recall.items()},
        **{f"AR_{name}": value for name, value in figures.recall_by_size.items()},
    }


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
