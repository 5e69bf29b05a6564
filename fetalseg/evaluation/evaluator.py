"""What a system found in annotated frames, scored under this project's rules.

- Structures of system and set are matched by name. One that the set doesn't have, or has no ground truth of, has no
  figure and is left out of the mean; one that the system doesn't know is left out altogether, and named.
- Partial labels: detections of a structure are dropped in frames where it isn't listed as annotated, after the cut
  at 100 detections a frame.
- Boxes without masks: a structure is scored by mask in a frame only if every annotation of it there has a mask.

Beside average precision stand two figures of the best detection of a structure in a frame, see
`fetalseg.evaluation.overlap`: the share of frames in which it is centred, and its Dice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from fetalseg.data.facts import image_facts
from fetalseg.data.records import CocoSet, ImageRecord
from fetalseg.errors import DataError
from fetalseg.evaluation.coco import Record
from fetalseg.evaluation.matches import Kind, Matches, is_scored, match_all
from fetalseg.evaluation.overlap import OverlapOutcomes, overlap_outcomes
from fetalseg.evaluation.precision import AveragePrecision, average_precision, mean_precision
from fetalseg.evaluation.reference_matching import match_by_reference
from fetalseg.evaluation.scored_frames import ScoredFrame, detections_of
from fetalseg.instances import Instances
from fetalseg.postprocess.options import PostprocessOptions
from fetalseg.segmenter import Segmenter

__all__ = ["BACKENDS", "Backend", "Evaluation", "Evaluator", "StructureResult", "evaluate_frames", "evaluate_model"]

# What matches detections with annotations: both find the same, the second in twice the time.
Backend = Literal["fetalseg", "pycocotools"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)

_NOTHING = AveragePrecision(None, None, None, 0)


@dataclass(frozen=True)
class StructureResult:
    """Figures of one structure.

    Attributes:
        support: annotations, crowds apart.
        frames: frames with such an annotation.
        box: by box.
        mask: by mask; None in a set without masks, or if nothing is found but boxes.
        centre_hit: share of `frames`; None without any.
        dice: mean over those of `frames` that are scored by mask; None without any.
    """

    support: int
    frames: int
    box: AveragePrecision
    mask: AveragePrecision | None
    centre_hit: float | None
    dice: float | None


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Figures of a set.

    Attributes:
        box: mean over the structures with ground truth.
        mask: the same by mask; None in a set without masks, or if nothing is found but boxes.
        structures: by name, all that the system finds, in its order.
        unknown: names that have ground truth in the set, and that the system doesn't find; not in any figure.
        frames: how many were scored.
        box_results: the scored detections in COCO's form, with the category ids of the file.
        mask_results: those scored by mask. They carry no bbox: pycocotools would take areas from it.
        scored: the frames with all that was found, in the order in which they came.
        box_matches: by label of the set, of the structures that the system finds and the set annotates.
        mask_matches: the same by mask; None in a set without masks, or if nothing is found but boxes.
        overlaps: how the best detections lie, by name of the structure, of those that the set has.
        facts: records of the images as the file has them, by image id; empty if they weren't given.
        backend: what matched boxes and masks.
    """

    box: AveragePrecision
    mask: AveragePrecision | None
    structures: dict[str, StructureResult]
    unknown: tuple[str, ...]
    frames: int
    box_results: list[Record]
    mask_results: list[Record]
    scored: tuple[ScoredFrame, ...]
    box_matches: dict[int, Matches]
    mask_matches: dict[int, Matches] | None
    overlaps: dict[str, OverlapOutcomes]
    facts: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    backend: Backend = "fetalseg"


class Evaluator:
    """Takes the instances of one frame after another, then scores them all.

    Args:
        truth: the annotated frames.
        structures: what the model finds, names in label order; those of the set if None.
        facts: records of the images as the file has them, by image id: for lengths in mm.

    Raises:
        DataError: model and set have no structure in common.
    """

    def __init__(
        self,
        truth: CocoSet,
        structures: tuple[str, ...] | None = None,
        facts: Mapping[int, Mapping[str, Any]] | None = None,
    ) -> None:
        self.structures = truth.structures if structures is None else structures
        _check_common(truth, self.structures)
        self._truth = truth
        self._facts = facts
        self._has_masks = truth.has_masks
        self._frames: dict[int, ScoredFrame] = {}

    def process(self, image: ImageRecord, instances: Instances) -> None:
        """Takes what was found in one frame.

        Raises:
            ValueError: the frame came before, or the instances are of a frame of another size or of other structures.
        """
        if image.id in self._frames:
            raise ValueError(f"image {image.id} was processed before")
        if instances.frame_shape != (image.height, image.width):
            raise ValueError(f"instances of a frame {instances.frame_shape}; expected {(image.height, image.width)}")
        if instances.structures != self.structures:
            raise ValueError(f"instances of {', '.join(instances.structures)}; expected {', '.join(self.structures)}")
        found = detections_of(instances, self._truth, masks=self._has_masks)
        self._frames[image.id] = ScoredFrame(image, found)

    def evaluate(self, backend: Backend = "fetalseg") -> Evaluation:
        """The figures of all frames processed so far.

        Raises:
            DataError: a mask of the ground truth covers no pixel.
        """
        frames = tuple(self._frames.values())
        return evaluate_frames(frames, self._truth, self.structures, self._facts, backend=backend)


def evaluate_frames(
    frames: Sequence[ScoredFrame],
    truth: CocoSet,
    structures: tuple[str, ...] | None = None,
    facts: Mapping[int, Mapping[str, Any]] | None = None,
    *,
    backend: Backend = "fetalseg",
) -> Evaluation:
    """Scores what any system found.

    Args:
        frames: of the set, each once.
        truth: the set.
        structures: what the system finds, names in its order; those of the set if None.
        facts: records of the images as the file has them, by image id: for lengths in mm.
        backend: what matches boxes and masks.

    Raises:
        DataError: system and set have no structure in common, or a mask of the ground truth covers no pixel.
    """
    structures = truth.structures if structures is None else structures
    _check_common(truth, structures)
    by_mask = truth.has_masks and all(frame.found.masks is not None for frame in frames)
    # The structures that can be scored, in the system's order; a label is a place in the set's.
    labels = {name: truth.structures.index(name) for name in structures if name in truth.structures}
    scored = [label for label in labels.values() if label in truth.category_ids]
    match = match_by_reference if backend == "pycocotools" else match_all
    box = _chosen(match(frames, truth, "bbox"), scored)
    mask = _chosen(match(frames, truth, "segm"), scored) if by_mask else None
    facts = {} if facts is None else facts
    overlaps = {one.structure: one for one in overlap_outcomes(frames, truth, facts)}
    box_figures = {label: average_precision(one) for label, one in box.items()}
    mask_figures = None if mask is None else {label: average_precision(one) for label, one in mask.items()}
    return Evaluation(
        box=mean_precision(box_figures.values()),
        mask=None if mask_figures is None else mean_precision(mask_figures.values()),
        structures={
            name: _structure_result(overlaps.get(name), labels.get(name, -1), box_figures, mask_figures)
            for name in structures
        },
        unknown=_unknown_structures(truth, structures),
        frames=len(frames),
        box_results=_results(frames, scored, truth.category_ids, "bbox"),
        mask_results=_results(frames, scored, truth.category_ids, "segm") if by_mask else [],
        scored=tuple(frames),
        box_matches=box,
        mask_matches=mask,
        overlaps={name: overlaps[name] for name in labels},
        facts=facts,
        backend=backend,
    )


def evaluate_model(
    segmenter: Segmenter,
    truth: CocoSet,
    options: PostprocessOptions,
    *,
    track: Callable[[Sequence[ImageRecord]], Iterable[ImageRecord]] = iter,
    backend: Backend = "fetalseg",
) -> Evaluation:
    """Runs a model over annotated frames and scores it.

    Args:
        segmenter: the model.
        truth: the frames.
        options: of post-processing, the same for all frames.
        track: wraps the frames as they are gone through, to show progress.
        backend: what matches boxes and masks.

    Raises:
        DataError: an image that can't be read, a mask without a pixel, or no structure that model and set share.
        EngineError: the runtime failed.
    """
    evaluator = Evaluator(truth, segmenter.structures, image_facts(truth))
    for image in track(truth.images):
        evaluator.process(image, segmenter.segment(image.pixels(), options))
    return evaluator.evaluate(backend)


def _chosen(matches: Mapping[int, Matches], labels: Iterable[int]) -> dict[int, Matches]:
    return {label: matches[label] for label in labels}


def _check_common(truth: CocoSet, structures: tuple[str, ...]) -> None:
    """Refuses a system that finds nothing of what the set annotates.

    Raises:
        DataError: the set's categories are all of this kind.
    """
    names = [truth.structures[label] for label in sorted(truth.category_ids)]
    if not set(names) & set(structures):
        raise DataError(
            f"{truth.path}: nothing to evaluate: the set has {', '.join(names) or 'no categories'}; "
            f"the model finds {', '.join(structures)}"
        )


def _unknown_structures(truth: CocoSet, structures: tuple[str, ...]) -> tuple[str, ...]:
    """Names with annotations that a system with these structures can't find."""
    annotated = {a.label for image in truth.images for a in image.annotations}
    names = [truth.structures[label] for label in sorted(truth.category_ids) if label in annotated]
    return tuple(name for name in names if name not in structures)


def _structure_result(
    overlap: OverlapOutcomes | None,
    label: int,
    box: Mapping[int, AveragePrecision],
    mask: Mapping[int, AveragePrecision] | None,
) -> StructureResult:
    """Figures of one structure; without overlap and with label -1 it is one that the set doesn't have."""
    best = None if overlap is None else overlap.figures()
    figures = box.get(label, _NOTHING)
    return StructureResult(
        support=figures.n,
        frames=0 if best is None else best.frames,
        box=figures,
        mask=None if mask is None else mask.get(label, _NOTHING),
        centre_hit=None if best is None else best.centre_hit,
        dice=None if best is None or mask is None else best.dice,
    )


def _results(
    frames: Sequence[ScoredFrame], labels: Sequence[int], category_ids: Mapping[int, int], kind: Kind
) -> list[Record]:
    """The detections that are scored, in COCO's form, structure by structure within a frame."""
    results = []
    for frame in frames:
        found, masks = frame.found, frame.found.masks
        rows_by_label: dict[int, list[int]] = {}
        for row, label in enumerate(found.labels.tolist()):
            rows_by_label.setdefault(label, []).append(row)
        for label in labels:
            if label not in rows_by_label or not is_scored(frame, label, kind):
                continue
            place = {"image_id": frame.image.id, "category_id": category_ids[label]}
            for row in rows_by_label[label]:
                shape: Record = {"bbox": found.coco_boxes[row]}
                if kind == "segm":
                    assert masks is not None
                    shape = {"segmentation": masks[row]}
                results.append({**place, **shape, "score": float(found.scores[row])})
    return results
