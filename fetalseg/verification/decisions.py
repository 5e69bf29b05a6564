"""Where post-processing decides: small differences turn into an instance more or less, and mean nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fetalseg.anatomy import STRUCTURES
from fetalseg.instances import Instances
from fetalseg.model_file import ModelFacts
from fetalseg.postprocess.nms import iou_between
from fetalseg.postprocess.options import PostprocessOptions

__all__ = ["Decisions"]

_SINGLE = frozenset(s.name for s in STRUCTURES if s.single)
_NEAR_IOU = 0.1  # how far the overlap of two boxes may be from the threshold of suppression

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Decisions:
    """What decides whether an instance is shown.

    Attributes:
        floors: float32 [C], lowest score of each structure.
        single: bool [C], of which only the best is shown.
        iou_threshold: of suppression.
        max_detections: of a frame.
    """

    floors: npt.NDArray[np.float32]
    single: Flags
    iou_threshold: float
    max_detections: int

    @classmethod
    def of(cls, facts: ModelFacts, options: PostprocessOptions) -> Decisions:
        """Those of a model under some options."""
        chosen = facts.thresholds if options.structure_thresholds else {}
        return cls(
            floors=np.array([chosen.get(name, options.min_score) for name in facts.structures], np.float32),
            single=np.array([options.single_structures and name in _SINGLE for name in facts.structures], np.bool_),
            iou_threshold=options.iou_threshold,
            max_detections=options.max_detections,
        )

    def near_threshold(self, found: Instances, margin: float) -> Flags:
        """Which instances [N] are so near the lowest score that another engine may leave them out."""
        return np.asarray(found.scores < self.floors[found.labels] + margin)

    def near_cut(self, found: Instances, other: Instances, margin: float) -> Flags:
        """Which instances [N] may have fallen to the other side's cut at `max_detections`."""
        if len(other) < self.max_detections:
            return np.zeros(len(found), np.bool_)
        return np.asarray(found.scores <= other.scores.min() + margin)

    def displaced(self, found: Instances, shown: Instances, considered: Instances, margin: float) -> Flags:
        """Which instances [N] that aren't shown elsewhere may have given way to one of almost the same score.

        Something of the structure must be shown there with about the score, or a better one. Where several may be
        shown, a candidate of about the score or better must also overlap the instance almost as much as suppression
        asks for, or a little more.

        Args:
            found: by one side.
            shown: by the other.
            considered: by the first, candidates.
            margin: how far scores may be apart on either side.
        """
        result = np.zeros(len(found), np.bool_)
        overlaps = iou_between(found.boxes, considered.boxes) if len(found) and len(considered) else None
        for i, label in enumerate(found.labels.tolist()):
            least = found.scores[i] - 2 * margin
            if overlaps is None or not np.any((shown.labels == label) & (shown.scores >= least)):
                continue
            rivals = (considered.labels == label) & (considered.scores >= least)
            close = np.abs(overlaps[i] - self.iou_threshold) <= _NEAR_IOU
            result[i] = bool(self.single[label]) or bool(np.any(rivals & close))
        return result
