"""The boxes of data sets as a network sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fetalseg.data.records import CocoSet
from fetalseg.preprocess import FrameGeometry, InputRule

__all__ = ["InputBoxes", "input_boxes"]


@dataclass(frozen=True, eq=False)
class InputBoxes:
    """Boxes of all annotations but crowds.

    Attributes:
        boxes: float32 [N, 4] xyxy in pixels of the network's input.
        names: [N], the structure of each.
    """

    boxes: npt.NDArray[np.float32]
    names: npt.NDArray[np.str_]

    @property
    def sizes(self) -> npt.NDArray[np.float64]:
        """Width and height [N, 2]."""
        return np.asarray(self.boxes[:, 2:] - self.boxes[:, :2], np.float64)


def input_boxes(sources: Sequence[CocoSet], rule: InputRule) -> InputBoxes:
    """Where the boxes of sets lie in the input without augmentation; what the frame cuts to nothing is left out."""
    boxes: list[npt.NDArray[np.float32]] = []
    names: list[str] = []
    for source in sources:
        for image in source.images:
            geometry = FrameGeometry.of((image.height, image.width), rule)
            for annotation in image.annotations:
                box = geometry.boxes_to_input(annotation.box(image.height, image.width))
                if not annotation.crowd and box[0] < box[2] and box[1] < box[3]:
                    boxes.append(box)
                    names.append(source.structures[annotation.label])
    return InputBoxes(np.array(boxes, np.float32).reshape(-1, 4), np.array(names, np.str_))
