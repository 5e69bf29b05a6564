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

__all__ = ["STAGES", "OneAfterAnother", "prepare_batch", "stage_times"]

STAGES = ("preprocess", "upload", "infer", "copy_back", "nms", "masks", "encode", "total")

Frames = Sequence[npt.NDArray[np.uint8]]


class OneAfterAnother:
    """A contestant that takes frames to polygons; milliseconds of a batch by stage.

    - preprocess: frames resized to the network's input.
    - upload: input to the memory of an engine's device; an engine on the processor has none.
    - infer: the exported graph, uint8 in, candidates out, and on the processor the check that they are finite.
    - copy_back: candidates to the memory of the processor, as float32, checked; only where there is an upload.
    - nms: suppression, and boxes in pixels of the frame.
    - masks: a mask in each box.
    - encode: polygons.
    - total: all of it, on one clock.

    Args:
        segmenter: the model.
        frames: repeated without an end.
        batch: frames a batch.
        stand_in: put made-up candidates (`benchmarks.speed.stand_in`) in the place of those of random weights.

    Attributes:
        found: instances so far.
        seen: frames so far.
    """

    def __init__(self, segmenter: Segmenter, frames: Frames, batch: int, *, stand_in: bool = False) -> None:
        self._segmenter = segmenter
        self._frames = itertools.cycle(frames)
        self._batch = batch
        self._stand_in = stand_in
        self.found = self.seen = 0

    def __call__(self, batches: int) -> dict[str, list[float]]:
        """Runs that many batches."""
        rows = [self._run() for _ in range(batches)]
        return {stage: [row[stage] for row in rows] for stage in STAGES if rows and stage in rows[0]}

    def _run(self) -> dict[str, float]:
        frames = list(itertools.islice(self._frames, self._batch))
        reported: dict[str, float] = {}
        clock = [time.perf_counter()]
        images, geometries = prepare_batch(self._segmenter, frames)
        clock.append(time.perf_counter())
        candidates = self._segmenter.engine.infer(images, stages=reported)
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
        self.found += sum(map(len, found))
        self.seen += len(found)
        return stage_times([1000 * (end - start) for start, end in itertools.pairwise(clock)], reported)

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


def prepare_batch(segmenter: Segmenter, frames: Frames) -> tuple[npt.NDArray[np.uint8], list[FrameGeometry]]:
    """The network's input uint8 [B, h, w, c] of some frames, and where each lies in it."""
    rule = segmenter.facts.input
    images = np.empty((len(frames), rule.height, rule.width, rule.channels), np.uint8)
    return images, [segmenter.prepare(frame, image)[1] for frame, image in zip(frames, images, strict=True)]
