"""A model's results on annotated frames, scored under this project's rules.

- Structures of model and set are matched by name. One that the set doesn't have, or has no ground truth of, has no
  figure and is left out of the mean; one that the model doesn't know is left out altogether, and named.
- Partial labels: detections of a structure are dropped in frames where it isn't listed as annotated, after the cut
  at 100 detections a frame.
- Boxes without masks: a structure is scored by mask in a frame only if every annotation of it there has a mask.

Beside average precision stand two figures of the best detection of a structure in a frame, the one with the highest
score from 0.3 on: the share of frames in which its centre lies in a box of the ground truth, and its Dice with the mask
that it overlaps most (0 where nothing was found).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from fetalseg.data.records import Annotation, CocoSet, ImageRecord
from fetalseg.errors import DataError
from fetalseg.evaluation.coco import (
    MAX_DETECTIONS,
    AveragePrecision,
    Record,
    average_precision,
    mask_iou,
    mean_precision,
    truth_mask,
)
from fetalseg.instances import Instances
from fetalseg.postprocess.options import PostprocessOptions
from fetalseg.segmenter import Segmenter

__all__ = ["MIN_BEST_SCORE", "Evaluation", "Evaluator", "StructureResult", "evaluate_model"]

MIN_BEST_SCORE = 0.3  # of the detection that stands for a structure in a frame

_NOTHING = AveragePrecision(None, None, None, 0)


@dataclass(frozen=True)
class StructureResult:
    """Figures of one structure.

    Attributes:
        support: annotations, crowds apart.
        frames: frames with such an annotation.
        box: by box.
        mask: by mask; None in a set without masks.
        centre_hit: share of `frames`; None without any.
        dice: mean over those of `frames` that are scored by mask; None without any.
    """

    support: int
    frames: int
    box: AveragePrecision
    mask: AveragePrecision | None
    centre_hit: float | None
    dice: float | None


@dataclass(frozen=True)
class Evaluation:
    """Figures of a set.

    Attributes:
        box: mean over the structures with ground truth.
        mask: the same by mask; None in a set without masks.
        structures: by name, all that the model finds, in its order.
        unknown: names that have ground truth in the set, and that the model doesn't find; not in any figure.
        frames: how many were scored.
        box_results: the scored detections in COCO's form, with the category ids of the file.
        mask_results: those scored by mask. They carry no bbox: pycocotools would take areas from it.
    """

    box: AveragePrecision
    mask: AveragePrecision | None
    structures: dict[str, StructureResult]
    unknown: tuple[str, ...]
    frames: int
    box_results: list[Record]
    mask_results: list[Record]


class Evaluator:
    """Takes the instances of one frame after another, then scores them all.

    Args:
        truth: the annotated frames.
        structures: what the model finds, names in label order; those of the set if None.

    Raises:
        DataError: model and set have no structure in common.
    """

    def __init__(self, truth: CocoSet, structures: tuple[str, ...] | None = None) -> None:
        self.structures = truth.structures if structures is None else structures
        self._unknown = _unknown_structures(truth, self.structures)
        # All below goes by the model's labels.
        self._label_in_set = {
            label: truth.structures.index(n) for label, n in enumerate(self.structures) if n in truth.structures
        }
        self._category_ids = {
            label: truth.category_ids[there]
            for label, there in self._label_in_set.items()
            if there in truth.category_ids
        }
        self._has_masks = truth.has_masks
        self._frames: set[int] = set()
        self._box_truths: list[Record] = []
        self._box_results: list[Record] = []
        self._mask_truths: list[Record] = []
        self._mask_results: list[Record] = []
        self._centre_hits: dict[int, list[bool]] = {label: [] for label in range(len(self.structures))}
        self._dices: dict[int, list[float]] = {label: [] for label in range(len(self.structures))}

    def process(self, image: ImageRecord, instances: Instances) -> None:
        """Takes what was found in one frame.

        Raises:
            ValueError: the frame came before, or the instances are of a frame of another size or of other structures.
            DataError: a mask of the ground truth covers no pixel.
        """
        if image.id in self._frames:
            raise ValueError(f"image {image.id} was processed before")
        if instances.frame_shape != (image.height, image.width):
            raise ValueError(f"instances of a frame {instances.frame_shape}; expected {(image.height, image.width)}")
        if instances.structures != self.structures:
            raise ValueError(f"instances of {', '.join(instances.structures)}; expected {', '.join(self.structures)}")
        self._frames.add(image.id)
        kept = instances[np.argsort(-instances.scores, kind="stable")[:MAX_DETECTIONS]]
        for label, there in self._label_in_set.items():
            if there not in image.known:
                continue
            truths = [annotation for annotation in image.annotations if annotation.label == there]
            found = kept[kept.labels == label]
            self._process_boxes(image, label, truths, found)
            if self._has_masks and all(annotation.segmentation is not None for annotation in truths):
                self._process_masks(image, label, truths, found)

    def evaluate(self) -> Evaluation:
        """The figures of all frames processed so far."""
        box = average_precision(self._box_truths, self._box_results, "bbox")
        mask = average_precision(self._mask_truths, self._mask_results, "segm")
        structures = {}
        for label, name in enumerate(self.structures):
            category = self._category_ids.get(label, -1)
            box_figures = box.get(category, _NOTHING)
            hits, dices = self._centre_hits[label], self._dices[label]
            structures[name] = StructureResult(
                support=box_figures.n,
                frames=len(hits),
                box=box_figures,
                mask=mask.get(category, _NOTHING) if self._has_masks else None,
                centre_hit=float(np.mean(hits)) if hits else None,
                dice=float(np.mean(dices)) if dices else None,
            )
        return Evaluation(
            box=mean_precision(box.values()),
            mask=mean_precision(mask.values()) if self._has_masks else None,
            structures=structures,
            unknown=self._unknown,
            frames=len(self._frames),
            box_results=self._box_results,
            mask_results=self._mask_results,
        )

    def _process_boxes(self, image: ImageRecord, label: int, truths: Sequence[Annotation], found: Instances) -> None:
        place = {"image_id": image.id, "category_id": self._category_ids[label]}
        self._box_truths += [{**place, "iscrowd": int(a.crowd), "bbox": list(a.bbox)} for a in truths]
        for (x1, y1, x2, y2), score in zip(found.boxes.tolist(), found.scores.tolist(), strict=True):
            self._box_results.append({**place, "bbox": [x1, y1, x2 - x1, y2 - y1], "score": score})
        wanted = [annotation.bbox for annotation in truths if not annotation.crowd]
        if wanted:
            self._centre_hits[label].append(_centre_hits(_best(found), wanted))

    def _process_masks(self, image: ImageRecord, label: int, truths: Sequence[Annotation], found: Instances) -> None:
        place = {"image_id": image.id, "category_id": self._category_ids[label]}
        masks = [truth_mask(annotation, image.height, image.width) for annotation in truths]
        for annotation, mask in zip(truths, masks, strict=True):
            self._mask_truths.append({**place, "iscrowd": int(annotation.crowd), "segmentation": mask})
        for rle, score in zip(found.rle(), found.scores.tolist(), strict=True):
            self._mask_results.append({**place, "segmentation": rle, "score": score})
        wanted = [mask for annotation, mask in zip(truths, masks, strict=True) if not annotation.crowd]
        if wanted:
            self._dices[label].append(_dice(_best(found), wanted))


def evaluate_model(
    segmenter: Segmenter,
    truth: CocoSet,
    options: PostprocessOptions,
    *,
    track: Callable[[Sequence[ImageRecord]], Iterable[ImageRecord]] = iter,
) -> Evaluation:
    """Runs a model over annotated frames and scores it.

    Args:
        segmenter: the model.
        truth: the frames.
        options: of post-processing, the same for all frames.
        track: wraps the frames as they are gone through, to show progress.

    Raises:
        DataError: an image that can't be read, a mask without a pixel, or no structure that model and set share.
        EngineError: the runtime failed.
    """
    evaluator = Evaluator(truth, segmenter.structures)
    for image in track(truth.images):
        evaluator.process(image, segmenter.segment(image.pixels(), options))
    return evaluator.evaluate()


def _unknown_structures(truth: CocoSet, structures: tuple[str, ...]) -> tuple[str, ...]:
    """Names with annotations that a model with these structures can't find.

    Raises:
        DataError: the set's categories are all of this kind.
    """
    names = [truth.structures[label] for label in sorted(truth.category_ids)]
    if not set(names) & set(structures):
        raise DataError(
            f"{truth.path}: nothing to evaluate: the set has {', '.join(names) or 'no categories'}; "
            f"the model finds {', '.join(structures)}"
        )
    annotated = {truth.structures[a.label] for image in truth.images for a in image.annotations}
    return tuple(name for name in names if name in annotated and name not in structures)


def _best(found: Instances) -> Instances:
    """The instance of the highest score, if it is high enough; one row or none."""
    return found[:1][found.scores[:1] >= MIN_BEST_SCORE]


def _centre_hits(best: Instances, boxes: Sequence[tuple[float, float, float, float]]) -> bool:
    if len(best) == 0:
        return False
    x1, y1, x2, y2 = best.boxes[0].tolist()
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    return any(left <= x <= left + width and top <= y <= top + height for left, top, width, height in boxes)


def _dice(best: Instances, masks: Sequence[Record]) -> float:
    if len(best) == 0:
        return 0.0
    iou = float(mask_iou(best.rle()[0], masks).max())
    return 2 * iou / (1 + iou)
