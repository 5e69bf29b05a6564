"""What a caller may choose for one frame's post-processing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

__all__ = ["NMS_KINDS", "NmsKind", "PostprocessOptions"]

NmsKind = Literal["fast", "fast_cross_class", "greedy", "greedy_cross_class", "soft_linear", "soft_gaussian", "matrix"]
NMS_KINDS: tuple[NmsKind, ...] = get_args(NmsKind)


@dataclass(frozen=True)
class PostprocessOptions:
    """Run-time choices; a model's facts may carry other defaults.

    Attributes:
        nms: kind of non-maximum suppression, see `fetalseg.postprocess.nms`.
        iou_threshold: 0..1, boxes that overlap more are one structure.
        min_score: 0..1, nothing below is returned.
        top_k: candidates of a structure that enter NMS.
        max_detections: instances of a frame at the most.
        sigma: of the Gaussian decay, for the soft kinds and matrix.
        single_structures: keep only the best instance of structures that one fetus has once.
        masks: assemble masks; without them crops are empty boxes.
        box_voting: candidates that overlap an instance by at least this IoU (0..1) move its box to their mean, see
            `fetalseg.postprocess.voting`; None leaves the best candidate's box, as YOLACT does.
        structure_thresholds: where the model's facts hold a threshold of a structure, keep from there on what it finds,
            in place of `min_score`.
    """

    nms: NmsKind = "fast"
    iou_threshold: float = 0.5
    min_score: float = 0.3
    top_k: int = 200
    max_detections: int = 100
    sigma: float = 0.5
    single_structures: bool = True
    masks: bool = True
    box_voting: float | None = None
    structure_thresholds: bool = False

    def __post_init__(self) -> None:
        if self.nms not in NMS_KINDS:
            raise ValueError(f"unknown nms {self.nms!r}; expected one of {', '.join(NMS_KINDS)}")
        for name in ("iou_threshold", "min_score"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must be within 0..1, got {value}")
        if self.box_voting is not None and not 0 < self.box_voting <= 1:
            raise ValueError(f"box_voting must be above 0 and at most 1, or None, got {self.box_voting}")
        for name in ("top_k", "max_detections"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if not self.sigma > 0:
            raise ValueError(f"sigma must be above 0, got {self.sigma}")
