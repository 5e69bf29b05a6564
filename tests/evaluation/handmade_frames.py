"""Scored frames of a few rectangles, 100 x 120 px, whose figures can be worked out on paper."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fetalseg.anatomy import structure_names
from fetalseg.data.records import Annotation, CocoSet, ImageRecord, WrittenRle
from fetalseg.encoding import compressed_runs, run_lengths
from fetalseg.evaluation.scored_frames import Detections, ScoredFrame
from fetalseg.instances import RunLengths

HEIGHT, WIDTH = 100, 120

Box = tuple[float, float, float, float]  # x1, y1, x2, y2
Mask = npt.NDArray[np.bool_]
SEVENTEEN = structure_names()

HERE: Box = (10, 10, 50, 50)
THERE: Box = (70, 60, 110, 90)


def rectangle(box: Box) -> Mask:
    """A mask of the frame's size that fills a box of whole pixels."""
    x1, y1, x2, y2 = map(int, box)
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[y1:y2, x1:x2] = True
    return mask


def present(
    name: str,
    box: Box,
    mask: Mask | None = None,
    *,
    crowd: bool = False,
    number: int = 1,
    structures: Sequence[str] = SEVENTEEN,
) -> Annotation:
    x1, y1, x2, y2 = box
    written = None if mask is None else WrittenRle(size=list(mask.shape), counts=_runs(mask))
    return Annotation(number, structures.index(name), (x1, y1, x2 - x1, y2 - y1), written, crowd)


def detections(
    *rows: tuple[str, float, Box] | tuple[str, float, Box, Mask],
    structures: Sequence[str] = SEVENTEEN,
    masks: bool = True,
) -> Detections:
    """Rows best first; a mask that isn't given fills its box."""
    boxes = [row[2] for row in rows]
    drawn = [row[3] if len(row) == 4 else rectangle(row[2]) for row in rows]
    return Detections(
        labels=np.array([structures.index(row[0]) for row in rows], np.int64),
        scores=np.array([row[1] for row in rows], np.float64),
        boxes=np.array(boxes, np.float64).reshape(-1, 4),
        masks=tuple(RunLengths(size=list(m.shape), counts=_runs(m)) for m in drawn) if masks else None,
    )


def frame(
    view: str | None,
    truths: Sequence[Annotation] = (),
    found: Detections | None = None,
    *,
    number: int = 1,
    known: Sequence[str] | None = None,
    structures: Sequence[str] = SEVENTEEN,
) -> ScoredFrame:
    """One frame; all structures are known in it unless some are named."""
    labels = frozenset(structures.index(name) for name in (structures if known is None else known))
    image = ImageRecord(number, Path(f"{number}.png"), HEIGHT, WIDTH, labels, tuple(truths), view=view)
    return ScoredFrame(image, detections(structures=structures) if found is None else found)


def set_of(frames: Sequence[ScoredFrame], structures: Sequence[str] = SEVENTEEN) -> CocoSet:
    ids = {label: label + 1 for label in range(len(structures))}
    return CocoSet(Path("instances.json"), "", "", ids, tuple(f.image for f in frames), tuple(structures))


def _runs(mask: Mask) -> str:
    return compressed_runs(run_lengths(mask, corner=(0, 0), frame_shape=(mask.shape[0], mask.shape[1])))
