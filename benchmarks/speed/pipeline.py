"""Frames a second when preprocess, network and post-processing overlap."""

from __future__ import annotations

import itertools
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from benchmarks.speed.stages import Frames, prepare_batch
from benchmarks.speed.stand_in import stand_in_for
from fetalseg.candidates import Candidates
from fetalseg.preprocess import FrameGeometry
from fetalseg.segmenter import Segmenter

__all__ = ["Pipelined"]

_AHEAD = 2  # batches prepared before the network is free for them

_Prepared = tuple[npt.NDArray[np.uint8], list[FrameGeometry]]


class Pipelined:
    """A contestant that keeps all stages busy; its only figure is "fps" of a block.

    One thread prepares, one calls the engine, `finishers` threads suppress, assemble and encode; NumPy, OpenCV and the
    engines give the interpreter's lock back while they work. Batches stay in order, and no more than two wait at any
    place. A block includes the filling of the pipeline and its draining.

    Args:
        segmenter: the model.
        frames: repeated without an end.
        batch: frames a batch.
        finishers: threads.
        stand_in: as `OneAfterAnother`.
    """

    def __init__(
        self, segmenter: Segmenter, frames: Frames, batch: int, *, finishers: int, stand_in: bool = False
    ) -> None:
        self._segmenter = segmenter
        self._frames = itertools.cycle(frames)
        self._batch = batch
        self._finishers = finishers
        self._stand_in = stand_in

    def __call__(self, batches: int) -> dict[str, list[float]]:
        """Runs that many batches."""
        start = time.perf_counter()
        with ThreadPoolExecutor(1) as before, ThreadPoolExecutor(self._finishers) as after:
            self._run(batches, before, after)
        return {"fps": [batches * self._batch / (time.perf_counter() - start)]}

    def _run(self, batches: int, before: ThreadPoolExecutor, after: ThreadPoolExecutor) -> None:
        prepared: deque[Future[_Prepared]] = deque()
        finished: deque[Future[None]] = deque()
        for index in range(batches + _AHEAD):
            if index < batches:
                frames = list(itertools.islice(self._frames, self._batch))
                prepared.append(before.submit(prepare_batch, self._segmenter, frames))
            if index < _AHEAD or not prepared:
                continue
            images, geometries = prepared.popleft().result()
            candidates = self._segmenter.infer(images)
            for i, geometry in enumerate(geometries):
                finished.append(after.submit(self._finish, candidates.frame(i), geometry))
            while len(finished) > 2 * self._finishers * self._batch:
                finished.popleft().result()
        for one in finished:
            one.result()

    def _finish(self, candidates: Candidates, geometry: FrameGeometry) -> None:
        if self._stand_in:
            candidates = stand_in_for(self._segmenter.facts, geometry)
        self._segmenter.finish(candidates, geometry).polygons()
