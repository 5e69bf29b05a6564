"""Which detections match which ground truth, found once by the rules of pycocotools; every figure is then a recount.

IoU is pycocotools' own. Its search goes through every detection of every frame for each threshold and range of areas;
here only those that overlap an annotation enough are searched, with the same matches. pycocotools' own search stays the
reference, see `fetalseg.evaluation.reference_matching`.

A resample of the frames, a view or a slice changes how often a frame counts, but not what matches what inside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from fetalseg.data.records import Annotation, CocoSet
from fetalseg.errors import MissingExtraError
from fetalseg.evaluation.boundary import boundary_record
from fetalseg.evaluation.coco import truth_mask
from fetalseg.evaluation.scored_frames import MAX_DETECTIONS, ScoredFrame
from fetalseg.instances import RunLengths

try:
    import pycocotools.mask as coco_mask
except ModuleNotFoundError:
    raise MissingExtraError("pycocotools", "eval") from None

__all__ = ["AREAS", "AREA_RANGES", "IOU_THRESHOLDS", "Kind", "Matches", "is_scored", "match_all"]

Kind = Literal["bbox", "segm", "boundary"]

AREAS = ("all", "small", "medium", "large")
IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)  # as pycocotools computes them, to the last bit

AREA_RANGES = ((0.0, 1e10), (0.0, 32.0**2), (32.0**2, 96.0**2), (96.0**2, 1e10))  # px, COCO's own
_THRESHOLDS = np.minimum(IOU_THRESHOLDS, 1 - 1e-10).tolist()


@dataclass(frozen=True, eq=False)
class Matches:
    """What became of the D detections of one structure, over F frames.

    Attributes:
        scores: float64 [D], frame by frame in the order of the image ids (of equal ones, in that of the sequence), as
            pycocotools concatenates them; best first within a frame.
        frames: int64 [D], position in the sequence of frames.
        matched: bool [A, T, D], by `AREAS` and `IOU_THRESHOLDS`.
        ignored: bool [A, T, D], counts neither way: it lies in a crowd or matches an annotation of another size, or
            matches nothing and is itself of another size.
        positives: int64 [A, F], annotations to be found in each frame of the sequence; 0 where there are none, and
            where the structure isn't scored.
    """

    scores: npt.NDArray[np.float64]
    frames: npt.NDArray[np.int64]
    matched: npt.NDArray[np.bool_]
    ignored: npt.NDArray[np.bool_]
    positives: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.scores)

    @cached_property
    def ranks(self) -> npt.NDArray[np.int64]:
        """Place of each detection within its frame, int64 [D]: 0 for the best."""
        starts = np.flatnonzero(np.diff(self.frames, prepend=-1))
        lengths = np.diff(starts, append=len(self.frames))
        return np.arange(len(self.frames)) - np.repeat(starts, lengths)


def match_all(frames: Sequence[ScoredFrame], truth: CocoSet, kind: Kind) -> dict[int, Matches]:
    """Matches the detections of all structures that the set annotates.

    Partial labels: a structure is scored in the frames that list it; by mask only where, besides, every annotation of
    it has a mask. What belongs to other frames is neither matched nor counted.

    Sizes, for the ranges of `AREAS`, are those of masks: of an annotation, of its mask, or of its box if it has none;
    of a detection, of what is scored. That is what COCO's own files hold as `area`; the field itself isn't read.

    Args:
        frames: F frames.
        truth: the set that they are from.
        kind: by IoU of boxes, of masks, or the lower one of masks and of their boundaries.

    Returns:
        By label, of all structures that the set's file has as categories.

    Raises:
        ValueError: to be scored by mask, and the detections have none.
        DataError: a mask of the ground truth covers no pixel.
    """
    labels = sorted(truth.category_ids)
    cells: dict[int, list[_Cell]] = {label: [] for label in labels}
    for position in sorted(range(len(frames)), key=lambda position: frames[position].image.id):
        frame = frames[position]
        scored = {label for label in labels if is_scored(frame, label, kind)}
        for label, found, wanted in _by_label(frame, scored, kind):
            cells[label].append(_cell(position, found, wanted, kind))
    return {label: _collect(cells[label], len(frames)) for label in labels}


def is_scored(frame: ScoredFrame, label: int, kind: Kind) -> bool:
    """Whether a structure is scored in a frame: it is listed, and to be scored by mask has no annotation without."""
    return label in frame.image.known and (kind == "bbox" or frame.is_scored_by_mask(label))


class _Found(NamedTuple):
    """A detection to be matched: a box or a mask in COCO's form, by which it is compared, and its area."""

    score: float
    shape: Any
    area: float


class _Wanted(NamedTuple):
    """An annotation, in the same form."""

    shape: Any
    area: float
    crowd: bool


class _Cell(NamedTuple):
    """One structure in one frame: D detections, best score first, and G annotations.

    Attributes:
        position: of the frame in the caller's sequence.
        scores: [D].
        areas: [D], of the detections, px.
        hits: (area range, threshold, detection, whether the annotation is ignored) of each match.
        positives: [A], annotations to be found.
    """

    position: int
    scores: list[float]
    areas: list[float]
    hits: list[tuple[int, int, int, bool]]
    positives: list[int]


def _by_label(frame: ScoredFrame, labels: Set[int], kind: Kind) -> Iterator[tuple[int, list[_Found], list[_Wanted]]]:
    """The structures of which there is anything in a frame; detections best score first.

    Raises:
        ValueError: to be scored by mask, and the detections have none.
        DataError: a mask of the ground truth covers no pixel.
    """
    found: dict[int, list[_Found]] = {}
    wanted: dict[int, list[_Wanted]] = {}
    for annotation in frame.image.annotations:
        if annotation.label in labels:
            wanted.setdefault(annotation.label, []).append(_wanted(annotation, frame, kind))
    masks = frame.found.masks
    if kind != "bbox" and masks is None:
        raise ValueError(f"image {frame.image.id}: the detections have no masks to score")
    rows = np.argsort(-frame.found.scores, kind="stable").tolist()
    all_labels, scores = frame.found.labels.tolist(), frame.found.scores.tolist()
    boxes = frame.found.coco_boxes
    areas = [box[2] * box[3] for box in boxes] if masks is None or kind == "bbox" else _mask_areas(masks)
    for row in rows:
        if all_labels[row] not in labels:
            continue
        shape = boxes[row] if masks is None or kind == "bbox" else masks[row]
        found.setdefault(all_labels[row], []).append(_Found(scores[row], shape, areas[row]))
    for label in found.keys() | wanted.keys():
        yield label, found.get(label, [])[:MAX_DETECTIONS], wanted.get(label, [])


def _mask_areas(masks: Sequence[RunLengths]) -> list[float]:
    return [float(area) for area in coco_mask.area(list(masks))] if masks else []


def _wanted(annotation: Annotation, frame: ScoredFrame, kind: Kind) -> _Wanted:
    box = list(annotation.bbox)
    if annotation.segmentation is None:
        return _Wanted(box, box[2] * box[3], annotation.crowd)
    mask = truth_mask(annotation, frame.image.height, frame.image.width)
    return _Wanted(box if kind == "bbox" else mask, float(coco_mask.area(mask)), annotation.crowd)


def _cell(position: int, found: Sequence[_Found], wanted: Sequence[_Wanted], kind: Kind) -> _Cell:
    hits: list[tuple[int, int, int, bool]] = []
    positives = []
    iou = _iou(found, wanted, kind)
    # What reaches the lowest threshold with nothing can't match at any: most detections of a full frame.
    close = np.flatnonzero((iou >= IOU_THRESHOLDS[0]).any(axis=1)).tolist()
    crowds, overlaps = [one.crowd for one in wanted], iou[close].tolist()
    matched: dict[tuple[bool, ...], list[tuple[int, int, int]]] = {}  # two ranges often ignore the same
    for area, (low, high) in enumerate(AREA_RANGES):
        ignored = tuple(one.crowd or one.area < low or one.area > high for one in wanted)
        positives.append(len(ignored) - sum(ignored))
        if close:
            if ignored not in matched:
                matched[ignored] = list(_match(overlaps, crowds, ignored))
            hits += [(area, threshold, close[row], ignored[place]) for threshold, row, place in matched[ignored]]
    return _Cell(position, [one.score for one in found], [one.area for one in found], hits, positives)


def _match(
    iou: Sequence[Sequence[float]], crowds: Sequence[bool], ignored: Sequence[bool]
) -> Iterator[tuple[int, int, int]]:
    """The rule of pycocotools (`COCOeval.evaluateImg`): each detection in turn takes the best annotation left.

    Of equal ones it takes the last; one that isn't to be found only if no other reaches the threshold; a crowd can be
    taken again and again.

    Args:
        iou: [D, G], best score first; neither is 0.
        crowds: [G].
        ignored: [G], whether an annotation isn't to be found, crowds among them.

    Yields:
        Place of the threshold, row of the detection, place of the annotation.
    """
    # Those to be found come first: the search ends with them if one fits.
    order = sorted(range(len(ignored)), key=lambda place: ignored[place])
    highest = max(max(row) for row in iou)
    for threshold, lowest in enumerate(_THRESHOLDS):
        if highest < lowest:
            return
        taken: set[int] = set()
        for row, overlaps in enumerate(iou):
            best, match = lowest, -1
            for place in order:
                if place in taken and not crowds[place]:
                    continue
                if match >= 0 and ignored[place] and not ignored[match]:
                    break
                if overlaps[place] >= best:
                    best, match = overlaps[place], place
            if match >= 0:
                taken.add(match)
                yield threshold, row, match


def _iou(found: Sequence[_Found], wanted: Sequence[_Wanted], kind: Kind) -> npt.NDArray[np.float64]:
    """IoU of detections and annotations, [D, G]; with a crowd, the share of the detection that lies in it.

    By boundary it is the lower one of mask IoU and boundary IoU; where the mask IoU is below the lowest threshold it
    is that alone: the lower one of both is below it as well, and matches nothing.
    """
    if not found or not wanted:
        return np.zeros((len(found), len(wanted)))
    crowds = [int(one.crowd) for one in wanted]
    iou = np.asarray(coco_mask.iou([one.shape for one in found], [one.shape for one in wanted], crowds), np.float64)
    if kind != "boundary":
        return iou
    close = iou >= IOU_THRESHOLDS[0]
    rows, columns = np.flatnonzero(close.any(axis=1)).tolist(), np.flatnonzero(close.any(axis=0)).tolist()
    if len(rows):
        bands = [boundary_record(found[i].shape) for i in rows]
        their_bands = [boundary_record(wanted[i].shape) for i in columns]
        both = np.ix_(rows, columns)
        between = coco_mask.iou(bands, their_bands, [crowds[i] for i in columns])
        iou[both] = np.minimum(iou[both], between)
    return iou


def _collect(cells: Sequence[_Cell], frames: int) -> Matches:
    """Puts the frames of one structure together, in the order given."""
    counts = [len(cell.scores) for cell in cells]
    shape = (len(AREAS), len(IOU_THRESHOLDS), sum(counts))
    matched, ignored = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    positives = np.zeros((len(AREAS), frames), np.int64)
    start = 0
    for cell, count in zip(cells, counts, strict=True):
        positives[:, cell.position] = cell.positives
        for area, threshold, row, is_ignored in cell.hits:
            matched[area, threshold, start + row] = True
            ignored[area, threshold, start + row] = is_ignored
        start += count
    if cells:
        # What matches nothing and is itself of another size counts neither way.
        areas = np.array([area for cell in cells for area in cell.areas], np.float64)
        outside = np.stack([(areas < low) | (areas > high) for low, high in AREA_RANGES])
        ignored |= ~matched & outside[:, None]
    return Matches(
        scores=np.array([score for cell in cells for score in cell.scores], np.float64),
        frames=np.repeat(np.array([cell.position for cell in cells], np.int64), counts),
        matched=matched,
        ignored=ignored,
        positives=positives,
    )
