"""The structures found in one frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from fetalseg.anatomy import structure_names
from fetalseg.encoding import compressed_runs, polygons, run_lengths
from fetalseg.lazy_crops import LazyCrops, Mask

__all__ = ["Instances", "RunLengths"]

Index = npt.NDArray[np.intp] | npt.NDArray[np.bool_] | slice | list[int]


class RunLengths(TypedDict):
    """A mask as COCO writes it: `size` is [H, W], `counts` the compressed text, see `fetalseg.encoding.rle`."""

    size: list[int]
    counts: str


@dataclass(frozen=True, eq=False)
class Instances:
    """A table of N found structures, best score first; equal-length columns, filtered by one index.

    A mask is kept as a crop: a bool array at an integer box, everything outside is background. That is what
    post-processing makes, what encoders need, and a fraction of N full frames.

    Attributes:
        labels: int64 [N], places in `structures` (structure id minus one).
        scores: float32 [N], 0..1.
        boxes: float32 [N, 4] xyxy in frame pixels.
        crops: N bool arrays, crop i of the shape of its crop box: a list, or `LazyCrops`.
        crop_boxes: int64 [N, 4] xyxy in frame pixels, inside the frame.
        frame_shape: (H, W).
        track_ids: int64 [N], or None where nothing tracks.
        timing_ms: milliseconds per stage, by name.
        structures: C names in label order, those of the model.
    """

    labels: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]
    boxes: npt.NDArray[np.float32]
    crops: Sequence[Mask]
    crop_boxes: npt.NDArray[np.int64]
    frame_shape: tuple[int, int]
    track_ids: npt.NDArray[np.int64] | None = None
    timing_ms: dict[str, float] = field(default_factory=dict)
    structures: tuple[str, ...] = structure_names()

    def __post_init__(self) -> None:
        n = len(self.labels)
        lengths = {"scores": len(self.scores), "boxes": len(self.boxes), "crops": len(self.crops)}
        lengths["crop_boxes"] = len(self.crop_boxes)
        if self.track_ids is not None:
            lengths["track_ids"] = len(self.track_ids)
        wrong = {name: length for name, length in lengths.items() if length != n}
        if wrong:
            raise ValueError(f"columns of Instances must have {n} rows like labels, got {wrong}")
        if n and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < len(self.structures):
            raise ValueError(
                f"labels must be within 0..{len(self.structures) - 1}, got {sorted(set(self.labels.tolist()))}"
            )
        shapes = self.crops.shapes if isinstance(self.crops, LazyCrops) else [crop.shape for crop in self.crops]
        for shape, (x1, y1, x2, y2) in zip(shapes, self.crop_boxes.tolist(), strict=True):
            if shape != (y2 - y1, x2 - x1):
                raise ValueError(f"a crop of shape {shape} doesn't fit its crop box {[x1, y1, x2, y2]}")

    @classmethod
    def empty(cls, frame_shape: tuple[int, int], structures: tuple[str, ...] = structure_names()) -> Instances:
        """No structure found in a frame of (H, W)."""
        return cls(
            labels=np.empty(0, np.int64),
            scores=np.empty(0, np.float32),
            boxes=np.empty((0, 4), np.float32),
            crops=[],
            crop_boxes=np.empty((0, 4), np.int64),
            frame_shape=frame_shape,
            structures=structures,
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Index) -> Instances:
        """The rows chosen by a slice, a bool mask [N] or integer positions."""
        rows = np.arange(len(self))[index]
        return replace(
            self,
            labels=self.labels[rows],
            scores=self.scores[rows],
            boxes=self.boxes[rows],
            crops=_taken(self.crops, rows.tolist()),
            crop_boxes=self.crop_boxes[rows],
            track_ids=None if self.track_ids is None else self.track_ids[rows],
        )

    @property
    def names(self) -> list[str]:
        """The structure's name of each row."""
        return [self.structures[label] for label in self.labels.tolist()]

    @property
    def masks(self) -> npt.NDArray[np.bool_]:
        """All masks, bool [N, H, W], built anew at each call."""
        masks = np.zeros((len(self), *self.frame_shape), np.bool_)
        for mask, crop, (x1, y1, x2, y2) in zip(masks, self.crops, self.crop_boxes.tolist(), strict=True):
            mask[y1:y2, x1:x2] = crop
        return masks

    def rle(self) -> list[RunLengths]:
        """Each mask as COCO's compressed run lengths, ready for pycocotools and for JSON."""
        height, width = self.frame_shape
        return [
            {
                "size": [height, width],
                "counts": compressed_runs(run_lengths(crop, corner=(x, y), frame_shape=(height, width))),
            }
            for crop, (x, y, _, _) in zip(self.crops, self.crop_boxes.tolist(), strict=True)
        ]

    def polygons(self) -> list[list[list[float]]]:
        """Each mask as outer rings x, y, x, y, ... in frame pixels, largest first, see `fetalseg.encoding.polygons`."""
        return polygons(self.crops, self.crop_boxes[:, :2])

    def label_map(self) -> npt.NDArray[np.uint8]:
        """All masks in one uint8 [H, W]: 0 background, else the structure id (label plus one).

        The largest mask is drawn first, so that the smallest is on top; of two of one size, the better score.
        """
        result = np.zeros(self.frame_shape, np.uint8)
        sizes = [int(np.count_nonzero(crop)) for crop in self.crops]
        for i in sorted(range(len(self)), key=lambda i: (-sizes[i], self.scores[i])):
            x1, y1, x2, y2 = self.crop_boxes[i].tolist()
            result[y1:y2, x1:x2][self.crops[i]] = self.labels[i] + 1
        return result


def _taken(crops: Sequence[Mask], rows: list[int]) -> Sequence[Mask]:
    return crops.take(rows) if isinstance(crops, LazyCrops) else [crops[row] for row in rows]
