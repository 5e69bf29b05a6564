"""Which frames to look at: of each structure the best, the worst, the missed, and those where it is drawn and isn't.

The best detection of a frame (score 0.3 or more) stands for it. Best and worst go by its Dice with the annotated mask
that it overlaps most, or by box IoU where a structure isn't scored by mask anywhere. The number of pictures is bounded,
so that a page that holds them all can be mailed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from fetalseg.data.records import CocoSet
from fetalseg.errors import DataError
from fetalseg.evaluation.best_detection import MIN_BEST_SCORE, box_iou, counted
from fetalseg.evaluation.gallery_picture import draw_picture
from fetalseg.evaluation.overlap import OverlapOutcomes
from fetalseg.evaluation.scored_frames import ScoredFrame

__all__ = ["GALLERY_KINDS", "Choice", "Gallery", "GalleryKind", "GalleryPicture", "choose_frames", "make_gallery"]

GalleryKind = Literal["best", "worst", "missed", "false"]
Measure = Literal["Dice", "box IoU"]

GALLERY_KINDS: tuple[GalleryKind, ...] = get_args(GalleryKind)

PER_KIND = 2  # pictures of a structure
MOST_PICTURES = 160  # at 60 kB at most each, see `gallery_picture`


class Choice(NamedTuple):
    """A frame chosen for a structure.

    Attributes:
        label: of the structure, place in the set's.
        kind: "best" and "worst" of the frames that show it and where it is found, "missed" where it isn't, "false"
            where it is found and not annotated.
        frame: position in the sequence of frames.
        overlap: of the best detection, 0..1; None of "missed" and "false".
        measure: what `overlap` is.
        score: of the best detection; of "missed" the highest there is, None without any.
    """

    label: int
    kind: GalleryKind
    frame: int
    overlap: float | None
    measure: Measure
    score: float | None


@dataclass(frozen=True)
class GalleryPicture:
    """A frame, or the part of it around a structure, with what was found and what is annotated.

    Attributes:
        structure: name.
        kind: see `Choice`.
        image: id in the set's file.
        file_name: of the image.
        view: of the frame, or None.
        overlap: see `Choice`.
        measure: see `Choice`.
        score: see `Choice`.
        jpeg: the picture.
        width: px.
        height: px.
        zoom: px of the picture for one of the frame.
    """

    structure: str
    kind: GalleryKind
    image: int
    file_name: str
    view: str | None
    overlap: float | None
    measure: Measure
    score: float | None
    jpeg: bytes
    width: int
    height: int
    zoom: float


@dataclass(frozen=True)
class Gallery:
    """The pictures of a report.

    Attributes:
        pictures: structure by structure in the set's order, in each by `GALLERY_KINDS`.
        left_out: chosen, but more than fit.
        unreadable: chosen, but their image file can't be read.
    """

    pictures: tuple[GalleryPicture, ...]
    left_out: int
    unreadable: int


def make_gallery(
    frames: Sequence[ScoredFrame],
    truth: CocoSet,
    overlaps: Mapping[str, OverlapOutcomes],
    *,
    per_kind: int = PER_KIND,
    most: int = MOST_PICTURES,
) -> Gallery:
    """Chooses frames and draws them.

    Where there are too many, every structure keeps its first of each kind before any gets a second.

    Args:
        frames: F frames of the set.
        truth: the set.
        overlaps: of these frames, by name of the structure; one that isn't in it, because the system doesn't know it,
            isn't shown.
        per_kind: pictures of a structure and kind, at most.
        most: pictures in all, at most.

    Raises:
        ValueError: overlaps of other frames, or a negative number.
        DataError: a mask of the ground truth covers no pixel.
    """
    chosen = choose_frames(frames, truth, overlaps, per_kind=per_kind)
    ranks: dict[tuple[int, GalleryKind], int] = {}
    order = []
    for place, choice in enumerate(chosen):
        rank = ranks[choice.label, choice.kind] = ranks.get((choice.label, choice.kind), -1) + 1
        order.append((rank, place))
    kept = sorted(place for _, place in sorted(order)[:most])
    pictures, unreadable = [], 0
    for place in kept:
        choice = chosen[place]
        image = frames[choice.frame].image
        try:
            pixels = image.pixels()
        except DataError:
            unreadable += 1  # detections from a file can be scored without the images at hand
            continue
        drawn = draw_picture(pixels, frames[choice.frame], choice.label, truth.structures)
        pictures.append(
            GalleryPicture(
                structure=truth.structures[choice.label],
                kind=choice.kind,
                image=image.id,
                file_name=image.path.name,
                view=image.view,
                overlap=choice.overlap,
                measure=choice.measure,
                score=choice.score,
                jpeg=drawn.jpeg,
                width=drawn.width,
                height=drawn.height,
                zoom=drawn.zoom,
            )
        )
    return Gallery(tuple(pictures), len(chosen) - len(kept), unreadable)


def choose_frames(
    frames: Sequence[ScoredFrame],
    truth: CocoSet,
    overlaps: Mapping[str, OverlapOutcomes],
    *,
    per_kind: int = PER_KIND,
) -> list[Choice]:
    """The choice alone; arguments and errors as of `make_gallery`. A frame is "best" or "worst" of a structure once."""
    lengths = {len(one.present) for one in overlaps.values()} - {len(frames)}
    if lengths:
        raise ValueError(f"overlaps of {min(lengths)} frames; expected {len(frames)}")
    if per_kind < 0:
        raise ValueError(f"expected 0 or more pictures of a kind, got {per_kind}")
    chosen: list[Choice] = []
    for label in sorted(truth.category_ids):
        if truth.structures[label] in overlaps:
            chosen += _of_structure(frames, label, overlaps[truth.structures[label]].dice, per_kind)
    return chosen


def _of_structure(
    frames: Sequence[ScoredFrame], label: int, dice: npt.NDArray[np.float64], per_kind: int
) -> list[Choice]:
    by_mask = not np.isnan(dice).all()
    measure: Measure = "Dice" if by_mask else "box IoU"
    found: list[Choice] = []
    missed: list[tuple[float, Choice]] = []
    false: list[Choice] = []
    for position, frame in enumerate(frames):
        if label not in frame.image.known:
            continue
        best = frame.found.best_of(label, MIN_BEST_SCORE)
        score = None if best is None else float(frame.found.scores[best])
        boxes = [annotation.bbox for annotation in counted(frame.image, label)]
        if boxes and best is None:
            area = max(width * height for _, _, width, height in boxes)
            missed.append((area, Choice(label, "missed", position, None, measure, _highest(frame, label))))
        elif boxes and best is not None:
            iou = max(box_iou(frame.found.boxes[best], box) for box in boxes)
            overlap = float(dice[position]) if by_mask else iou
            if not np.isnan(overlap):
                found.append(Choice(label, "best", position, overlap, measure, score))
        elif best is not None and all(a.label != label for a in frame.image.annotations):
            false.append(Choice(label, "false", position, None, measure, score))
    found.sort(key=lambda one: -(one.overlap or 0.0))
    half = min(per_kind, (len(found) + 1) // 2)
    worst = found[half:][::-1][:per_kind]
    missed.sort(key=lambda pair: -pair[0])
    false.sort(key=lambda one: -(one.score or 0.0))
    return [
        *found[:half],
        *(one._replace(kind="worst") for one in worst),
        *(one for _, one in missed[:per_kind]),
        *false[:per_kind],
    ]


def _highest(frame: ScoredFrame, label: int) -> float | None:
    row = frame.found.best_of(label, 0.0)
    return None if row is None else float(frame.found.scores[row])
