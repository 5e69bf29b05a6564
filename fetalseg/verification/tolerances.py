"""How far an engine may be from the reference, by the precision that it computes in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

__all__ = ["PRECISIONS", "TOLERANCES", "Limits", "limits_for"]

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
        ap: what AP or AP50 may change by on any data set,
        ap_detections: and how many detections more or less in each structure, which of the two by chance, may come on
            top. A detection whose overlap is next to a threshold falls to one side or the other, and in a set of few
            annotations that alone moves AP far. None in fp32, where it takes a difference of 1e-6.
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
    ap_detections: float

    def ap_tolerance(self, one_detection: float) -> float:
        """What AP or AP50 may change by on a set.

        Args:
            one_detection: what one detection in each structure moves it by, see
                `fetalseg.verification.figures.one_detection`.
        """
        return self.ap + self.ap_detections * one_detection


# Measured on fetalseg-s and fetalseg-m and their fp16 and int8 files, onnxruntime and OpenVINO (fp32 and bf16 also with
# PyTorch), against onnxruntime in fp32: on the default frames, and on held-out frames of HC18 (87), of the nuchal
# translucency set (79) and synthetic ones (426), of which 32 were drawn 200 times. Told is the worst of all draws, px
# are those of the network's input. Of instances and candidates twice the worst share may be off; the mean mask IoU, a
# mean of hundreds, may be 1.3 times as far from 1; AP may change by 1.7 times what it did in cuts of 5 to 426 frames.
# Weights of four bits, for comparison: a fifth to a half of the instances off, mean IoU 0.68 to 0.81, AP 0.1 less.
TOLERANCES: dict[Word, Limits] = {
    # All are within score 1.1e-6, box 0.0002 px, mask IoU 0.999; AP the same. The rest is room for other processors.
    "fp32": Limits(
        score=1e-3, box_px=0.05, mask_iou=0.99, off=0.0, mean_mask_iou=0.999,
        usual_score=1e-3, usual_box_px=0.05, unusual=0.001, ap=1e-3, ap_detections=0.0,
    ),
    # 98 % of the instances are within score 0.004, box 0.9 px, mask IoU 0.987, off 0.005; mean IoU 0.997; 95 % of the
    # candidates within 0.0016 and 0.7 px, unusual 0.017.
    "fp16": Limits(
        score=0.02, box_px=2.0, mask_iou=0.95, off=0.02, mean_mask_iou=0.99,
        usual_score=0.005, usual_box_px=1.5, unusual=0.05, ap=0.0025, ap_detections=1.0,
    ),
    # 98 %: 0.062, 5.0 px, 0.91 (the lowest mask IoU is 0), off 0.024; mean IoU 0.973; candidates: 0.019, 5.7 px,
    # unusual 0.048.
    "bf16": Limits(
        score=0.1, box_px=8.0, mask_iou=0.85, off=0.05, mean_mask_iou=0.96,
        usual_score=0.03, usual_box_px=8.0, unusual=0.1, ap=0.005, ap_detections=1.0,
    ),
    # 98 %: 0.10, 9.3 px, 0.78, off 0.024; mean IoU 0.925; candidates: 0.036, 10.1 px, unusual 0.036.
    "int8": Limits(
        score=0.15, box_px=15.0, mask_iou=0.7, off=0.05, mean_mask_iou=0.9,
        usual_score=0.06, usual_box_px=15.0, unusual=0.08, ap=0.01, ap_detections=1.0,
    ),
}  # fmt: skip


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
