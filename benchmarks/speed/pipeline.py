"""Frames a second when preprocess, network and post-processing overlap."""

from __future__ import annotations

import itertools
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from benchmarks.speed.stages import Frames, batch_of, prepare_batch
from benchmarks.speed.stand_in import stand_in_for
from fetalseg.candidates import Candidates
from fetalseg.preprocess import FrameGeometry
from fetalseg.segmenter import Segmenter

__all__ = ["Pipelined"]

_AHEAD = 2  # batches prepared before the network is free for them
_FILL = 2  # batches through the pipeline before the clock starts
_LEAST = 8  # batches a block: frames leave the threads in bursts, which a few would be counted by

_Prepared = tuple[npt.NDArray[np.uint8], list[FrameGeometry]]


class Pipelined:
    """A contestant that keeps all stages busy; its figures are the "frames" of a block and the "seconds" they took.

    One thread prepares, one calls the engine, `finishers` threads suppress, assemble and encode; NumPy, OpenCV and the
    engines give the interpreter's lock back while they work. What waits between two stages is bounded. The clock runs
    from one finished frame to another, with the pipeline full at both: filling and draining it aren't in the figures.

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
        self._frames = frames
        self._batch = batch
        self._finishers = finishers
        self._stand_in = stand_in

    def __call__(self, batches: range) -> dict[str, list[float]]:
        """Runs as many batches, at least 8, from the first of these numbers on."""
        untimed = _FILL * self._batch
        timed = max(len(batches), _LEAST) * self._batch
        moments = sorted(self._run(batches.start - _FILL, untimed + timed))
        return {"frames": [float(timed)], "seconds": [moments[untimed + timed - 1] - moments[untimed - 1]]}

    def _run(self, first: int, wanted: int) -> list[float]:
        """The moments, s, at which frames were finished, at least as many as wanted, from a batch of this number on."""
        moments: list[float] = []
        numbers = itertools.count(first)
        prepared: deque[Future[_Prepared]] = deque()
        finishing: deque[Future[None]] = deque()
        with ThreadPoolExecutor(1) as before, ThreadPoolExecutor(self._finishers) as after:
            while len(moments) < wanted:
                while len(prepared) <= _AHEAD:
                    prepared.append(before.submit(self._prepare, next(numbers)))
                images, geometries = prepared.popleft().result()
                candidates = self._segmenter.infer(images)
                for i, geometry in enumerate(geometries):
                    finishing.append(after.submit(self._finish, candidates.frame(i), geometry, moments))
                while len(finishing) > 2 * self._finishers * self._batch:
                    finishing.popleft().result()
            for one in finishing:
                one.result()
        return moments

    def _prepare(self, number: int) -> _Prepared:
        return prepare_batch(self._segmenter, batch_of(self._frames, self._batch, number))

    def _finish(self, candidates: Candidates, geometry: FrameGeometry, moments: list[float]) -> None:
        if self._stand_in:
            candidates = stand_in_for(self._segmenter.facts, geometry)
        self._segmenter.finish(candidates, geometry).polygons()
        moments.append(time.perf_counter())
