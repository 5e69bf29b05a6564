"""How far an engine may be from the reference, by the precision that it computes in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

__all__ = ["PRECISIONS", "TOLERANCES", "Limits", "Word", "limits_for"]

Word = Literal["fp32", "fp16", "bf16", "int8"]
PRECISIONS: tuple[Word, ...] = ("fp32", "fp16", "bf16", "int8")  # from fine to coarse


@dataclass(frozen=True)
class Limits:
    """What is allowed.

    Attributes:
        score: largest difference of an instance's score.
        box_px: largest difference of a coordinate of its box; in `TOLERANCES` in px of the network's input.
        mask_iou: lowest IoU of an instance's mask.
        mean_mask_iou: lowest mean of these.
        usual_score: what candidates may differ by,
        usual_box_px: likewise,
        unusual: and the share of candidates that may differ by more, or be absent.
        ap: largest difference of AP or AP50 on a data set.
    """

    score: float
    box_px: float
    mask_iou: float
    mean_mask_iou: float
    usual_score: float
    usual_box_px: float
    unusual: float
    ap: float


TOLERANCES: dict[Word, Limits] = {
    "fp32": Limits(1e-3, 0.05, 0.99, 0.999, 1e-3, 0.05, 0.001, 1e-3),
    "fp16": Limits(0.05, 2.0, 0.9, 0.99, 0.01, 1.0, 0.02, 5e-3),
    "bf16": Limits(0.15, 12.0, 0.7, 0.95, 0.05, 8.0, 0.02, 0.02),
    "int8": Limits(0.3, 25.0, 0.5, 0.9, 0.1, 12.0, 0.05, 0.03),
}


def limits_for(precisions: list[str], scale: float) -> tuple[Word, Limits]:
    """The tolerance of the coarsest of several precisions.

    Args:
        precisions: of the reference, the file and the engine. A word without a line here ("f16") is an engine's own
            name for a half precision.
        scale: px of the frame in a px of the network's input.

    Raises:
        ValueError: an unknown word.
    """
    if unknown := sorted(set(precisions) - set(PRECISIONS)):
        raise ValueError(f"no tolerance for precision {', '.join(unknown)}; there is one for {', '.join(PRECISIONS)}")
    word = max(PRECISIONS, key=lambda one: PRECISIONS.index(one) if one in precisions else -1)
    of_input = TOLERANCES[word]
    return word, replace(of_input, box_px=of_input.box_px * scale, usual_box_px=of_input.usual_box_px * scale)
