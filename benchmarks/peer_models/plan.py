"""What to compare, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["BAR_MODEL", "NETWORK_RUNTIMES", "PEERS", "RUNTIMES", "Plan"]

PEERS = ("yolact-r50", "mask-rcnn", "mask-scoring-rcnn", "detectron2", "yolo11n-seg", "fetalseg-s", "fetalseg-m")
RUNTIMES = ("torch", "onnxruntime", "openvino", "tensorrt")
NETWORK_RUNTIMES = ("onnxruntime", "openvino")  # that run somebody else's network from its file
BAR_MODEL = "fetalseg-s"  # its frame to masks shall be as fast as a small YOLO's network alone


@dataclass(frozen=True)
class Plan:
    """What to run.

    Attributes:
        peers: words of `PEERS`, other `*-seg` networks of ultralytics, or models and variants of ours.
        runtimes: words of `RUNTIMES`; all but ours run in torch alone.
        size: (h, w) of the input of those that have none of their own.
        precision: "fp32", or "bf16" or "fp16" where a runtime can.
        threads: of one inference; None: one for each core.
        device: "cpu" or "cuda", of all of them.
        yolo_onnx: a network that the user has exported, to be run in those `runtimes` that are `NETWORK_RUNTIMES`.
        bar_model: whose frame to masks is held against a YOLO's network alone.
    """

    peers: Sequence[str]
    runtimes: Sequence[str]
    size: tuple[int, int]
    precision: str = "fp32"
    threads: int | None = None
    device: str = "cpu"
    yolo_onnx: Path | None = None
    bar_model: str = BAR_MODEL
