"""What a network offers to be compared."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from benchmarks.speed.stages import Frames, batch_of

__all__ = ["KEPT", "MADE_UP", "Found", "FrameToMasks", "Peer", "PeerFacts"]

KEPT = 12  # detections of a frame that every network keeps, as many as a full view has
MADE_UP = f"made up: {KEPT} boxes of 1.5 frames together"  # in the place of what random weights find


class Found(NamedTuple):
    """What came out of one frame.

    Attributes:
        instances: with a bool mask each.
        area: of their boxes together, in frames; masks of large boxes cost more.
    """

    instances: int
    area: float


@dataclass(frozen=True)
class PeerFacts:
    """What is compared.

    Attributes:
        name: of the network.
        runtime: what runs it, "torch".
        precision: what it computes in.
        input: [w, h], px.
        weights: what they are worth.
        kept: which detections are kept.
    """

    name: str
    runtime: str
    precision: str
    input: tuple[int, int]
    weights: str
    kept: str

    def __str__(self) -> str:
        return f"{self.name} {self.input[0]}x{self.input[1]}, {self.runtime} {self.precision}"


class Peer(Protocol):
    """A network and what stands before and behind it."""

    facts: PeerFacts

    def prepare(self, frame: npt.NDArray[np.uint8]) -> Any:
        """The network's input, uint8 where its device reads it, from a frame uint8 [H, W] or [H, W, 3]."""

    def infer(self, prepared: Any, stages: dict[str, float]) -> Any:
        """The network alone; ends when its device has ended.

        `stages["infer"]` is filled, in ms, where the call does more than that.
        """

    def finish(self, outputs: Any, frame_shape: tuple[int, int]) -> Found:
        """Bool masks in pixels of the frame (H, W), in the processor's memory."""


class FrameToMasks:
    """A contestant that takes frames to masks, one by one.

    Its figures: "model" is the network alone and "frame_to_masks" all of it, in ms; "instances" and "area" are those of
    `Found`.

    Args:
        peer: the network.
        frames: repeated without an end.

    Attributes:
        facts: of the peer.
    """

    def __init__(self, peer: Peer, frames: Frames) -> None:
        self.facts = peer.facts
        self._peer = peer
        self._frames = frames

    def __call__(self, frames: range) -> dict[str, list[float]]:
        """Runs the frames of these numbers."""
        rows = [self._run(batch_of(self._frames, 1, number)[0]) for number in frames]
        return {name: [row[name] for row in rows] for name in rows[0]}

    def _run(self, frame: npt.NDArray[np.uint8]) -> dict[str, float]:
        stages: dict[str, float] = {}
        start = time.perf_counter()
        prepared = self._peer.prepare(frame)
        before = time.perf_counter()
        outputs = self._peer.infer(prepared, stages)
        after = time.perf_counter()
        found = self._peer.finish(outputs, (frame.shape[0], frame.shape[1]))
        end = time.perf_counter()
        times = {"model": stages.get("infer", 1000 * (after - before)), "frame_to_masks": 1000 * (end - start)}
        return times | {"instances": float(found.instances), "area": found.area}
