"""One batch after another, every stage timed."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from benchmarks.speed.stand_in import stand_in_for
from fetalseg.candidates import Candidates
from fetalseg.preprocess import FrameGeometry
from fetalseg.segmenter import Segmenter

__all__ = ["STAGES", "Frames", "OneAfterAnother", "batch_of", "prepare_batch", "size_of_all", "stage_times"]

STAGES = ("preprocess", "upload", "infer", "copy_back", "nms", "masks", "encode", "total")

Frames = Sequence[npt.NDArray[np.uint8]]  # gray [H, W] or RGB [H, W, 3]


class OneAfterAnother:
    """A contestant that takes frames to polygons; milliseconds of a batch by stage, and its "instances".

    - preprocess: frames resized to the network's input.
    - upload: input to the memory of an engine's device; an engine on the processor has none.
    - infer: the exported graph, uint8 in, candidates out, and on the processor the check that they are finite.
    - copy_back: candidates to the memory of the processor, as float32, checked; only where there is an upload.
    - nms: suppression, and boxes in pixels of the frame.
    - masks: a mask in each box.
    - encode: polygons.
    - total: the sum of these, which leave no gap.

    Args:
        segmenter: the model.
        frames: repeated without an end.
        batch: frames a batch.
        stand_in: put made-up candidates (`benchmarks.speed.stand_in`) in the place of those of random weights.
    """

    def __init__(self, segmenter: Segmenter, frames: Frames, batch: int, *, stand_in: bool = False) -> None:
        self._segmenter = segmenter
        self._frames = frames
        self._batch = batch
        self._stand_in = stand_in
        if stand_in:  # they are made once for a size of frames, outside the clock
            for shape in {frame.shape[:2] for frame in frames}:
                stand_in_for(segmenter.facts, FrameGeometry.of(shape, segmenter.facts.input))

    def __call__(self, batches: range) -> dict[str, list[float]]:
        """Runs the batches of these numbers."""
        rows = [self._run(batch_of(self._frames, self._batch, number)) for number in batches]
        return {name: [row[name] for row in rows] for name in rows[0]}

    def _run(self, frames: Frames) -> dict[str, float]:
        reported: dict[str, float] = {}
        clock = [time.perf_counter()]
        images, geometries = prepare_batch(self._segmenter, frames)
        clock.append(time.perf_counter())
        candidates = self._segmenter.infer(images, stages=reported)
        clock.append(time.perf_counter())
        kept = [
            self._segmenter.finish(self._shown(candidates, i, geometry), geometry, lazy_masks=True)
            for i, geometry in enumerate(geometries)
        ]
        clock.append(time.perf_counter())
        found = [replace(instances, crops=list(instances.crops)) for instances in kept]
        clock.append(time.perf_counter())
        for instances in found:
            instances.polygons()
        clock.append(time.perf_counter())
        spans = [1000 * (end - start) for start, end in itertools.pairwise(clock)]
        return stage_times(spans, reported) | {"instances": float(sum(map(len, found)))}

    def _shown(self, candidates: Candidates, index: int, geometry: FrameGeometry) -> Candidates:
        return stand_in_for(self._segmenter.facts, geometry) if self._stand_in else candidates.frame(index)


def stage_times(spans: Sequence[float], reported: dict[str, float]) -> dict[str, float]:
    """Milliseconds by stage.

    Args:
        spans: of preprocess, the whole call of the engine, NMS, masks and encode.
        reported: what the engine told of its call, see `Engine.infer`.
    """
    prepared, inferred, *others = spans
    stages = {"preprocess": prepared, "infer": inferred}
    if "upload" in reported:
        stages |= {"upload": reported["upload"], "infer": reported["infer"]}
        stages["copy_back"] = inferred - reported["upload"] - reported["infer"]
    stages |= dict(zip(("nms", "masks", "encode"), others, strict=True))
    return stages | {"total": sum(spans)}


def batch_of(frames: Frames, size: int, number: int) -> Frames:
    """The frames of a batch, of `frames` repeated without an end in both directions."""
    return [frames[(number * size + i) % len(frames)] for i in range(size)]


def size_of_all(frames: Frames) -> str:
    """Of frames: "640x432", width first, or "several sizes"."""
    sizes = {frame.shape[:2] for frame in frames}
    height, width = frames[0].shape[:2]
    return f"{width}x{height}" if len(sizes) == 1 else "several sizes"


def prepare_batch(segmenter: Segmenter, frames: Frames) -> tuple[npt.NDArray[np.uint8], list[FrameGeometry]]:
    """The network's input uint8 [B, h, w, c] of some frames, and where each lies in it."""
    rule = segmenter.facts.input
    images = np.empty((len(frames), rule.height, rule.width, rule.channels), np.uint8)
    return images, [segmenter.prepare(frame, image)[1] for frame, image in zip(frames, images, strict=True)]
