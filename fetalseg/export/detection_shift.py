"""How far the detections of a file in lower precision lie from those of the network in fp32."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fetalseg.candidates import Candidates
from fetalseg.errors import EngineError
from fetalseg.model_file import Precision
from fetalseg.postprocess.nms import iou_between

__all__ = ["FOUND", "SHIFT_TOLERANCES", "Shift", "check_found", "check_shifts", "detection_shifts"]

FOUND = 0.3  # score from which on a detection is shown, and compared here

# Of the mean over the detections. Measured with fetalseg-s on synthetic frames: 0.0004, 0.0008 and 0.0008 in fp16;
# 0.011, 0.023 and 0.028 in int8 (symmetric activations: 0.015, 0.036 and 0.050), which costs no AP50 on real frames.
SHIFT_TOLERANCES: dict[Precision, dict[str, float]] = {
    "fp16": {"scores": 0.005, "boxes": 0.01, "masks": 0.02},
    "int8": {"scores": 0.05, "boxes": 0.1, "masks": 0.15},
}


class Shift(NamedTuple):
    """The shift of all detections in one respect.

    Attributes:
        output: "scores" (absolute difference), "boxes" or "masks" (1 less the IoU of the two).
        detections: how many were compared.
        mean: over the detections.
        largest: of them.
    """

    output: str
    detections: int
    mean: float
    largest: float


def check_found(reference: Candidates) -> None:
    """Refuses frames that tell nothing of a network.

    Raises:
        EngineError: it finds no structure in any of them.
    """
    if not reference.scores.max(initial=0) >= FOUND:
        raise EngineError(
            f"the network finds nothing with a score of {FOUND} or more in the {len(reference.scores)} frames that the "
            "file is to be checked on; expected frames that show its structures, as those of its data set do"
        )


def detection_shifts(reference: Candidates, actual: Candidates, input_shape: tuple[int, int]) -> list[Shift]:
    """Compares the best detection of each structure in each frame.

    Its counterpart is the row with the largest score times box IoU: quantisation may turn the order of two anchors that
    tell the same structure equally well.

    Args:
        reference: [B, A, ...], nothing cut.
        actual: [B, n, ...] of the same images.
        input_shape: (h, w) of the network's input.

    Returns:
        The shift of scores, boxes and masks.

    Raises:
        EngineError: the network finds nothing in these frames.
    """
    check_found(reference)
    shifts: list[tuple[float, float, float]] = []
    for i in range(len(reference.scores)):
        wanted, got = reference.frame(i), actual.frame(i)
        best = wanted.scores[0].argmax(axis=0)
        found = wanted.scores[0].max(axis=0) >= FOUND
        for label in np.flatnonzero(found):
            overlap = iou_between(wanted.boxes[0, best[label], None], got.boxes[0])[0]
            row = int((got.scores[0, :, label] * overlap).argmax())
            masks = _mask(wanted, int(best[label]), input_shape), _mask(got, row, input_shape)
            score = abs(float(wanted.scores[0, best[label], label]) - float(got.scores[0, row, label]))
            shifts.append((score, 1 - float(overlap[row]), 1 - _mask_iou(*masks)))
    columns = np.array(shifts).T
    return [
        Shift(output, len(shifts), float(values.mean()), float(values.max()))
        for output, values in zip(("scores", "boxes", "masks"), columns, strict=True)
    ]


def check_shifts(shifts: list[Shift], precision: Precision) -> None:
    """Refuses a file whose detections lie elsewhere.

    Raises:
        EngineError: a mean above its tolerance.
    """
    for shift in shifts:
        tolerance = SHIFT_TOLERANCES[precision][shift.output]
        if not shift.mean <= tolerance:
            raise EngineError(
                f"the {shift.output} of {shift.detections} detections in {precision} differ from the network's by "
                f"{shift.mean:.2g} in the mean; expected at most {tolerance:g}"
            )


def _mask(candidates: Candidates, row: int, input_shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """The mask [Hp, Wp] of a row: where its sum of prototypes is positive, within its box."""
    prototypes = candidates.prototypes[0]
    mask = np.tensordot(candidates.coefficients[0, row], prototypes, axes=1) > 0
    height, width = prototypes.shape[1:]
    scale = np.array([width / input_shape[1], height / input_shape[0]] * 2, np.float32)
    left, top, right, bottom = candidates.boxes[0, row] * scale
    rows, columns = np.arange(height)[:, None] + 0.5, np.arange(width) + 0.5
    return np.asarray(mask & (rows > top) & (rows < bottom) & (columns > left) & (columns < right))


def _mask_iou(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> float:
    """1 if both are empty."""
    union = np.count_nonzero(first | second)
    return np.count_nonzero(first & second) / union if union else 1.0
