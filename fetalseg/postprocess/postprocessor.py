"""From an engine's candidates to the instances of one frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from fetalseg.anatomy import STRUCTURES
from fetalseg.candidates import Candidates
from fetalseg.instances import Instances
from fetalseg.lazy_crops import Mask
from fetalseg.postprocess.masks import assemble_masks, mask_regions
from fetalseg.postprocess.nms import NmsResult, nms
from fetalseg.postprocess.options import PostprocessOptions
from fetalseg.postprocess.voting import vote_boxes
from fetalseg.preprocess import FrameGeometry

__all__ = ["Postprocessor"]

_SINGLE = frozenset(s.name for s in STRUCTURES if s.single)


class Postprocessor:
    """Suppresses duplicates, maps boxes to the frame and assembles masks; keeps nothing from frame to frame.

    Args:
        structures: C names in label order. Names that `fetalseg.anatomy` doesn't know may be found any number of times.
        thresholds: lowest score to keep by structure, for `PostprocessOptions.structure_thresholds`.
    """

    def __init__(self, structures: tuple[str, ...], thresholds: Mapping[str, float] | None = None) -> None:
        self.structures = structures
        self._thresholds = {} if thresholds is None else dict(thresholds)
        self._is_single = np.array([name in _SINGLE for name in structures], np.bool_)

    def __call__(
        self,
        candidates: Candidates,
        geometry: FrameGeometry,
        options: PostprocessOptions,
        *,
        lazy_masks: bool = False,
    ) -> Instances:
        """The instances of one frame, best score first.

        Suppression works in pixels of the network's input. A box of which nothing lies inside the frame is dropped. An
        instance whose mask is empty stays, with its box: the structure was found, if not its outline.

        Args:
            candidates: a batch of one.
            geometry: where the frame lies in the network's input.
            options: the caller's choices.
            lazy_masks: masks are `LazyCrops`, made when they are asked for, from candidates that must not change.

        Raises:
            ValueError: a batch of another size, or another number of structures.
        """
        batch, _, structures = candidates.scores.shape
        if batch != 1:
            raise ValueError(f"post-processing takes the candidates of one frame, got a batch of {batch}")
        if structures != len(self.structures):
            raise ValueError(f"candidates have {structures} structures; expected {len(self.structures)}")
        floors = self._floors(options)
        # The cut to max_detections waits for the filters below, so that it counts only what is returned.
        found = nms(
            candidates.boxes[0],
            candidates.scores[0],
            kind=options.nms,
            iou_threshold=options.iou_threshold,
            score_threshold=float(floors.min()) if options.structure_thresholds else options.min_score,
            top_k=options.top_k,
            max_detections=max(1, candidates.scores.size),
            sigma=options.sigma,
        )
        boxes = geometry.boxes_to_frame(_boxes(candidates, found, options))
        keep = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        if options.structure_thresholds:
            keep &= found.scores >= floors[found.labels]
        if options.single_structures:
            keep &= ~self._is_single[found.labels] | _is_first_of_label(found.labels, keep)
        rows = np.flatnonzero(keep)[: options.max_detections]
        boxes = boxes[rows]
        crop_boxes, crops = self._masks(candidates, found.indices[rows], boxes, geometry, options)
        if not lazy_masks:
            crops = list(crops)
        return Instances(
            labels=found.labels[rows],
            scores=found.scores[rows],
            boxes=boxes,
            crops=crops,
            crop_boxes=crop_boxes,
            frame_shape=geometry.frame_shape,
            structures=self.structures,
        )

    def _floors(self, options: PostprocessOptions) -> npt.NDArray[np.float32]:
        """Lowest score to keep of each structure, float32 [C] as scores are."""
        chosen = self._thresholds if options.structure_thresholds else {}
        return np.array([chosen.get(name, options.min_score) for name in self.structures], np.float32)

    def _masks(
        self,
        candidates: Candidates,
        rows: npt.NDArray[np.int64],
        boxes: npt.NDArray[np.float32],
        geometry: FrameGeometry,
        options: PostprocessOptions,
    ) -> tuple[npt.NDArray[np.int64], Sequence[Mask]]:
        """Crop boxes [N, 4] and crops; empty ones at the boxes' first corner where no masks are wanted."""
        crop_boxes = mask_regions(boxes, (candidates.prototypes.shape[2], candidates.prototypes.shape[3]), geometry)
        if not options.masks:
            crop_boxes[:, 2:] = crop_boxes[:, :2]
            return crop_boxes, [np.empty((0, 0), np.bool_) for _ in crop_boxes]
        return crop_boxes, assemble_masks(
            candidates.prototypes[0], candidates.coefficients[0, rows], crop_boxes, geometry
        )


def _boxes(candidates: Candidates, found: NmsResult, options: PostprocessOptions) -> npt.NDArray[np.float32]:
    """Boxes [N, 4] of what was found, in pixels of the network's input."""
    if options.box_voting is None:
        boxes: npt.NDArray[np.float32] = candidates.boxes[0, found.indices]
        return boxes
    return vote_boxes(
        candidates.boxes[0], candidates.scores[0], found.indices, found.labels, iou_threshold=options.box_voting
    )


def _is_first_of_label(labels: npt.NDArray[np.int64], eligible: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """True for the first eligible row of each label [N]."""
    positions = np.flatnonzero(eligible)
    _, first = np.unique(labels[positions], return_index=True)
    result = np.zeros(len(labels), np.bool_)
    result[positions[first]] = True
    return result
