"""How far an engine may be from the reference, by the precision that it computes in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

__all__ = ["PRECISIONS", "TOLERANCES", "Limits", "Word", "limits_for"]

Word = Literal["fp32", "fp16", "bf16", "int8"]
PRECISIONS: tuple[Word, ...] = ("fp32", "fp16", "bf16", "int8")  # from fine to coarse


@dataclass(frozen=True)
class Limits:
    """What is allowed.

    In reduced precision single instances go far astray, where two anchors or two shapes are almost equally good: some
    may, not many.

    Attributes:
        score: what the score of an instance may differ by,
        box_px: and a coordinate of its box, in `TOLERANCES` in px of the network's input,
        mask_iou: and which IoU its mask must have with the other's;
        off: share of instances of which that may not be so, rounded up to whole ones.
        mean_mask_iou: lowest mean of the mask IoU.
        usual_score: what a candidate may differ by,
        usual_box_px: likewise;
        unusual: share of the candidates that may differ by more, or be absent.
        ap: largest difference of AP or AP50 on a data set.
    """

    score: float
    box_px: float
    mask_iou: float
    off: float
    mean_mask_iou: float
    usual_score: float
    usual_box_px: float
    unusual: float
    ap: float


# Measured on fetalseg-s and fetalseg-m and their fp16 and int8 files, onnxruntime and OpenVINO (fp32 and bf16 also with
# PyTorch), against onnxruntime in fp32: 32 default frames, 30 of HC18, 30 of the nuchal translucency set, with 165 to
# 251 instances each; AP on 79 to 130 held-out frames. The worst of them is told, in px of the network's input.
TOLERANCES: dict[Word, Limits] = {
    # All are within score 1.1e-6, box 0.0002 px, mask IoU 0.999; AP the same. The rest is room for other processors.
    "fp32": Limits(1e-3, 0.05, 0.99, 0.0, 0.999, 1e-3, 0.05, 0.001, 1e-3),
    # 98 % are within score 0.004, box 0.9 px, mask IoU 0.987; mean IoU 0.997; 95 % of the candidates within 0.0016 and
    # 0.7 px; AP 0.0024.
    "fp16": Limits(0.02, 2.0, 0.95, 0.02, 0.99, 0.005, 1.5, 0.05, 5e-3),
    # 98 %: 0.058, 5.0 px, 0.907 (the lowest mask IoU is 0.20); mean IoU 0.977; candidates: 0.019, 5.5 px; AP 0.0023.
    "bf16": Limits(0.1, 8.0, 0.85, 0.05, 0.96, 0.03, 8.0, 0.1, 0.01),
    # 98 %: 0.09, 8.7 px, 0.757; mean IoU 0.927; candidates: 0.035, 10.7 px; AP 0.0039.
    "int8": Limits(0.15, 15.0, 0.7, 0.08, 0.9, 0.06, 15.0, 0.12, 0.015),
}


def limits_for(precisions: Sequence[str], scale: float) -> tuple[Word, Limits]:
    """The tolerance of the coarsest of several precisions.

    Args:
        precisions: of the reference, the file and the engine, in any order.
        scale: px of the frame in a px of the network's input.

    Raises:
        ValueError: an unknown word.
    """
    if unknown := sorted(set(precisions) - set(PRECISIONS)):
        raise ValueError(f"no tolerance for precision {', '.join(unknown)}; there is one for {', '.join(PRECISIONS)}")
    word = max(PRECISIONS, key=lambda one: PRECISIONS.index(one) if one in precisions else -1)
    of_input = TOLERANCES[word]
    return word, replace(of_input, box_px=of_input.box_px * scale, usual_box_px=of_input.usual_box_px * scale)
