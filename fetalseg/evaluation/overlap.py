"""How well the best detection of a structure covers it: Dice, IoU, 95 % Hausdorff distance, and whether it is centred.

The best detection in a frame is the one with the highest score from 0.3 on; it is compared with the annotated mask that
it overlaps most (where it overlaps none, with the one whose outline is nearest). Where nothing is found, Dice and IoU
are 0, and there is no distance: how many frames stand behind the distances is stated with them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fetalseg.data.facts import spacing_mm
from fetalseg.data.records import CocoSet
from fetalseg.encoding import decode_crop
from fetalseg.evaluation.best_detection import MIN_BEST_SCORE, counted, has_centre_inside
from fetalseg.evaluation.coco import Record, mask_iou, truth_mask
from fetalseg.evaluation.frame_weights import FrameWeights, frame_weights
from fetalseg.evaluation.hausdorff import hausdorff95
from fetalseg.evaluation.scored_frames import ScoredFrame
from fetalseg.instances import RunLengths

__all__ = ["OverlapFigures", "OverlapOutcomes", "as_json", "overlap_outcomes"]


@dataclass(frozen=True)
class OverlapFigures:
    """Figures of one structure; None where no frame stands behind them.

    Attributes:
        structure: name.
        frames: in which it is annotated, crowds apart.
        centre_hit: share of `frames` in which the centre of the best detection's box lies in an annotated box.
        mask_frames: those of `frames` that are scored by mask.
        dice: mean over `mask_frames`.
        iou: mean over `mask_frames`.
        hausdorff_frames: those of `mask_frames` in which the structure is found.
        hausdorff_px: mean over `hausdorff_frames`.
        hausdorff_px_median: as `hausdorff_px`.
        hausdorff_mm_frames: those of `hausdorff_frames` whose pixels have a known size.
        hausdorff_mm: mean over `hausdorff_mm_frames`.
        hausdorff_mm_median: as `hausdorff_mm`.
    """

    structure: str
    frames: int
    centre_hit: float | None
    mask_frames: int
    dice: float | None
    iou: float | None
    hausdorff_frames: int
    hausdorff_px: float | None
    hausdorff_px_median: float | None
    hausdorff_mm_frames: int
    hausdorff_mm: float | None
    hausdorff_mm_median: float | None


@dataclass(frozen=True, eq=False)
class OverlapOutcomes:
    """One structure in F frames; counted as often as wanted.

    Attributes:
        structure: name.
        present: bool [F], frames in which it is annotated, crowds apart.
        centre_hit: bool [F], false also where nothing is found.
        dice: float64 [F], 0..1; NaN where the structure isn't there, or isn't scored by mask.
        iou: float64 [F], as `dice`.
        hausdorff_px: float64 [F]; NaN also where nothing is found.
        hausdorff_mm: float64 [F]; NaN also where the size of a pixel isn't known.
    """

    structure: str
    present: npt.NDArray[np.bool_]
    centre_hit: npt.NDArray[np.bool_]
    dice: npt.NDArray[np.float64]
    iou: npt.NDArray[np.float64]
    hausdorff_px: npt.NDArray[np.float64]
    hausdorff_mm: npt.NDArray[np.float64]

    def figures(self, weights: FrameWeights | None = None) -> OverlapFigures:
        """The figures with each frame as often as its weight says, [F].

        Raises:
            ValueError: as of `frame_weights`.
        """
        times = frame_weights(weights, len(self.present))
        frames = int(times[self.present].sum())
        dice, iou = _counted(self.dice, times), _counted(self.iou, times)
        px, mm = _counted(self.hausdorff_px, times), _counted(self.hausdorff_mm, times)
        return OverlapFigures(
            structure=self.structure,
            frames=frames,
            centre_hit=int(times[self.present & self.centre_hit].sum()) / frames if frames else None,
            mask_frames=len(dice),
            dice=_mean(dice),
            iou=_mean(iou),
            hausdorff_frames=len(px),
            hausdorff_px=_mean(px),
            hausdorff_px_median=_median(px),
            hausdorff_mm_frames=len(mm),
            hausdorff_mm=_mean(mm),
            hausdorff_mm_median=_median(mm),
        )


def overlap_outcomes(
    frames: Sequence[ScoredFrame], truth: CocoSet, facts: Mapping[int, Mapping[str, Any]]
) -> tuple[OverlapOutcomes, ...]:
    """Compares masks once for each structure of the set, in the set's order.

    Args:
        frames: F frames.
        truth: the set that they are from.
        facts: record of each image as written, by image id, see `fetalseg.data.facts.image_facts`; for the spacing.

    Raises:
        DataError: a mask of the ground truth covers no pixel.
    """
    spacings = [spacing_mm(dict(facts.get(frame.image.id, {}))) for frame in frames]
    return tuple(_outcomes_of(label, name, frames, spacings) for label, name in enumerate(truth.structures))


def as_json(figures: OverlapFigures) -> dict[str, str | int | float | None]:
    """The figures by name."""
    return asdict(figures)


class _Overlap(NamedTuple):
    dice: float
    iou: float
    hausdorff_px: float
    hausdorff_mm: float


_NOT_SCORED = _Overlap(math.nan, math.nan, math.nan, math.nan)
_MISSED = _Overlap(0.0, 0.0, math.nan, math.nan)


def _outcomes_of(
    label: int, structure: str, frames: Sequence[ScoredFrame], spacings: Sequence[tuple[float, float] | None]
) -> OverlapOutcomes:
    overlaps = [_overlap(frame, label, spacing) for frame, spacing in zip(frames, spacings, strict=True)]
    columns = np.array(overlaps, np.float64).reshape(-1, len(_Overlap._fields)).T
    return OverlapOutcomes(
        structure,
        np.array([bool(counted(frame.image, label)) for frame in frames], np.bool_),
        np.array([_is_centred(frame, label) for frame in frames], np.bool_),
        *columns,
    )


def _is_centred(frame: ScoredFrame, label: int) -> bool:
    best = frame.found.best_of(label, MIN_BEST_SCORE)
    boxes = [annotation.bbox for annotation in counted(frame.image, label)]
    return best is not None and has_centre_inside(frame.found.boxes[best], boxes)


def _overlap(frame: ScoredFrame, label: int, spacing: tuple[float, float] | None) -> _Overlap:
    image, masks = frame.image, frame.found.masks
    wanted = counted(image, label)
    if not wanted or masks is None or not frame.is_scored_by_mask(label):
        return _NOT_SCORED
    best = frame.found.best_of(label, MIN_BEST_SCORE)
    if best is None:
        return _MISSED
    truths = [truth_mask(annotation, image.height, image.width) for annotation in wanted]
    ious = mask_iou(masks[best], truths)
    iou = float(ious.max())
    nearest = truths if iou == 0 else [truths[int(ious.argmax())]]
    px, mm = _distances(*_decoded(masks[best], nearest, image.height, image.width), spacing)
    return _Overlap(2 * iou / (1 + iou), iou, px, mm)


def _distances(
    found: npt.NDArray[np.bool_], masks: Sequence[npt.NDArray[np.bool_]], spacing: tuple[float, float] | None
) -> tuple[float, float]:
    """95 % Hausdorff distance to the nearest mask, in px and in mm; NaN of an empty mask, and without a spacing."""
    distances = [hausdorff95(found, mask) for mask in masks]
    px = np.array([math.nan if distance is None else distance for distance in distances])
    if np.isnan(px).all():
        return math.nan, math.nan
    nearest = int(np.nanargmin(px))
    if spacing is None:
        return float(px[nearest]), math.nan
    row, column = spacing
    mm = float(px[nearest]) * row if row == column else hausdorff95(found, masks[nearest], spacing)
    assert mm is not None
    return float(px[nearest]), mm


def _decoded(
    found: RunLengths, truths: Sequence[Record], height: int, width: int
) -> tuple[npt.NDArray[np.bool_], list[npt.NDArray[np.bool_]]]:
    """A mask and several others, all cut to the smallest part of the frame that holds their foreground."""
    counts: list[str | bytes] = [found["counts"], *(rle["counts"] for rle in truths)]
    crops = [decode_crop(one, (height, width)) for one in counts]
    # Of the truths none is empty, see `truth_mask`.
    spans = [(x, y, x + crop.shape[1], y + crop.shape[0]) for crop, (x, y) in crops if crop.size]
    left, top = min(span[0] for span in spans), min(span[1] for span in spans)
    right, bottom = max(span[2] for span in spans), max(span[3] for span in spans)
    masks = np.zeros((len(crops), bottom - top, right - left), np.bool_)
    for mask, (crop, (x, y)) in zip(masks, crops, strict=True):
        if crop.size:
            mask[y - top : y - top + crop.shape[0], x - left : x - left + crop.shape[1]] = crop
    return masks[0], list(masks[1:])


def _counted(values: npt.NDArray[np.float64], times: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The values that there are, each as often as its frame counts."""
    kept = ~np.isnan(values)
    return np.repeat(values[kept], times[kept])


def _mean(values: npt.NDArray[np.float64]) -> float | None:
    return float(values.mean()) if len(values) else None


def _median(values: npt.NDArray[np.float64]) -> float | None:
    return float(np.median(values)) if len(values) else None
