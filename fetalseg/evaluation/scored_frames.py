"""Annotated frames with what a system found in them: what every figure of an evaluation is computed from.

A system is a model of ours or anything that writes COCO results. All that follows goes by the structures of the set.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from fetalseg.data.records import CocoSet, ImageRecord
from fetalseg.errors import DataError
from fetalseg.instances import Instances, RunLengths

__all__ = ["MAX_DETECTIONS", "Detections", "ScoredFrame", "detections_of"]

MAX_DETECTIONS = 100  # of a frame


@dataclass(frozen=True, eq=False)
class Detections:
    """N detections in one frame, best score first, of equal ones the one that came first; N <= `MAX_DETECTIONS`.

    Attributes:
        labels: int64 [N], places in the set's `structures`.
        scores: float64 [N], 0..1.
        boxes: float64 [N, 4], xyxy in frame pixels.
        masks: N run lengths; None where the system gives boxes only.
    """

    labels: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]
    boxes: npt.NDArray[np.float64]
    masks: tuple[RunLengths, ...] | None

    def __len__(self) -> int:
        return len(self.labels)

    def best_of(self, label: int, min_score: float) -> int | None:
        """The row of the highest score of a structure, if that is at least `min_score`."""
        row = self._best_rows.get(label)
        return row if row is not None and self.scores[row] >= min_score else None

    @cached_property
    def coco_boxes(self) -> list[list[float]]:
        """The boxes as COCO writes them, N of x, y, width, height."""
        starts, ends = self.boxes[:, :2], self.boxes[:, 2:]
        boxes: list[list[float]] = np.concatenate([starts, ends - starts], axis=1).tolist()
        return boxes

    @cached_property
    def _best_rows(self) -> dict[int, int]:
        labels, rows = np.unique(self.labels, return_index=True)
        return dict(zip(labels.tolist(), rows.tolist(), strict=True))


@dataclass(frozen=True, eq=False)
class ScoredFrame:
    """One frame.

    Attributes:
        image: with its ground truth. Structures outside `image.known` are not scored here.
        found: all detections in it, also those of structures that are not annotated here.
    """

    image: ImageRecord
    found: Detections

    def is_scored_by_mask(self, label: int) -> bool:
        """Whether each annotation of a structure here has a mask: else its masks are not scored in this frame."""
        return all(a.segmentation is not None for a in self.image.annotations if a.label == label)


def detections_of(instances: Instances, truth: CocoSet, *, masks: bool) -> Detections:
    """What a model of ours found in one frame; structures that the set doesn't have are left out.

    The cut at `MAX_DETECTIONS` counts them all the same: it belongs to what the model puts out.

    Args:
        instances: of the frame.
        truth: for its structures; those of the model are matched by name.
        masks: whether to keep them.

    Raises:
        DataError: model and set have no structure in common.
    """
    places = {name: label for label, name in enumerate(truth.structures)}
    if not places.keys() & set(instances.structures):
        raise DataError(
            f"{truth.path}: nothing to evaluate: the set has {', '.join(truth.structures)}; "
            f"the model finds {', '.join(instances.structures)}"
        )
    order = np.argsort(-instances.scores, kind="stable")[:MAX_DETECTIONS]
    kept = instances[[int(i) for i in order if instances.structures[instances.labels[i]] in places]]
    return Detections(
        labels=np.array([places[name] for name in kept.names], np.int64),
        scores=kept.scores.astype(np.float64),
        boxes=kept.boxes.astype(np.float64).reshape(-1, 4),
        masks=tuple(kept.rle()) if masks else None,
    )
