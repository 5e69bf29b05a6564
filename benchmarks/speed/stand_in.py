"""Candidates to post-process where a network of random weights finds nothing, or nonsense."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from fetalseg.candidates import Candidates
from fetalseg.model_file import ModelFacts
from fetalseg.preprocess import FrameGeometry

__all__ = ["INSTANCES", "stand_in_boxes", "stand_in_candidates", "stand_in_for"]

# Centre and size as shares of the frame: boxes of 1.5 frames together, as a fetus in profile with its parts has them.
_BOXES = (
    (0.50, 0.50, 0.94, 0.83),
    (0.32, 0.48, 0.44, 0.58),
    (0.66, 0.52, 0.40, 0.50),
    (0.25, 0.45, 0.20, 0.24),
    (0.42, 0.52, 0.20, 0.22),
    (0.33, 0.50, 0.34, 0.03),
    (0.66, 0.50, 0.18, 0.22),
    (0.80, 0.60, 0.12, 0.14),
    (0.55, 0.80, 0.22, 0.16),
    (0.72, 0.82, 0.16, 0.14),
    (0.12, 0.70, 0.18, 0.20),
    (0.45, 0.22, 0.16, 0.10),
)
INSTANCES = len(_BOXES)


def stand_in_boxes(geometry: FrameGeometry) -> npt.NDArray[np.float32]:
    """The boxes, float32 xyxy [12, 4] in pixels of the network's input, for a frame that lies in it so."""
    height, width = geometry.frame_shape
    shares = np.array(_BOXES, np.float32) * np.array([width, height, width, height], np.float32)
    corners = np.concatenate([shares[:, :2] - shares[:, 2:] / 2, shares[:, :2] + shares[:, 2:] / 2], axis=1)
    return geometry.boxes_to_input(corners)


@cache
def stand_in_candidates(
    rows: int, prototype_shape: tuple[int, int, int], structures: int, geometry: FrameGeometry
) -> Candidates:
    """Candidates of one frame; each mask fills its box's ellipse.

    Every instance has equally many rows, slightly moved and with falling scores from 0.99 to 0.31, of a structure of
    its own as far as the model's structures go. Kept for the next call: not to be changed.

    Args:
        rows: n.
        prototype_shape: (K, Hp, Wp).
        structures: C.
        geometry: where the frame lies in the network's input.
    """
    random = np.random.default_rng(0)
    (k, proto_height, proto_width), (h, w) = prototype_shape, geometry.input_shape
    truth = stand_in_boxes(geometry)
    planes = max(1, k - 1)  # the last prototype is the background that all are held against
    y, x = np.mgrid[:proto_height, :proto_width].astype(np.float32)
    x, y = (x + 0.5) * w / proto_width, (y + 0.5) * h / proto_height
    prototypes = random.random(prototype_shape, dtype=np.float32)
    prototypes[:INSTANCES] = 0
    for i, (x1, y1, x2, y2) in enumerate(truth):
        cone = np.maximum(0, 2 - np.hypot((2 * x - x1 - x2) / (x2 - x1), (2 * y - y1 - y2) / (y2 - y1)))
        np.maximum(prototypes[i % planes], cone, out=prototypes[i % planes])
    prototypes[-1] = 1
    which = np.arange(rows) % INSTANCES
    scores = np.zeros((rows, structures), np.float32)
    scores[np.arange(rows), which % structures] = np.linspace(0.99, 0.31, rows)
    coefficients = np.zeros((rows, k), np.float32)
    coefficients[np.arange(rows), which % planes] = 10
    coefficients[:, -1] = -10.5
    size = np.tile(truth[which, 2:] - truth[which, :2], 2)
    boxes = truth[which] + np.float32(0.02) * size * random.normal(size=(rows, 4)).astype(np.float32)
    return Candidates(scores[None], boxes[None], coefficients[None], prototypes[None])


def stand_in_for(facts: ModelFacts, geometry: FrameGeometry) -> Candidates:
    """Those that a model of ours could have returned."""
    return stand_in_candidates(facts.candidates, facts.prototypes, len(facts.structures), geometry)
