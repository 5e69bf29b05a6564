"""Batches of augmented frames, made in the background while the network computes.

The batch of a step is a pure function of seed and step: a resumed run sees what the uninterrupted run would have seen.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fetalseg.data.augment import AugmentOptions, augment
from fetalseg.data.frames import AnnotatedFrame
from fetalseg.data.geometry import Sample
from fetalseg.data.mosaic import draw_mosaic
from fetalseg.model.variants import Variant

__all__ = ["Batch", "BatchMaker", "FrameSet", "collate", "prefetch"]


class Batch(NamedTuple):
    """B samples.

    Attributes:
        images: uint8 [B, c, h, w].
        boxes: for each image float32 [M, 4], xyxy in network-input pixels.
        labels: for each image int64 [M], 0..C - 1.
        masks: for each image uint8 0 or 1 [M, Hp, Wp].
        has_mask: for each image bool [M].
        known: bool [B, C].
    """

    images: Tensor
    boxes: list[Tensor]
    labels: list[Tensor]
    masks: list[Tensor]
    has_mask: list[Tensor]
    known: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        return Batch(
            images=self.images.to(device),
            boxes=[t.to(device) for t in self.boxes],
            labels=[t.to(device) for t in self.labels],
            masks=[t.to(device) for t in self.masks],
            has_mask=[t.to(device) for t in self.has_mask],
            known=self.known.to(device),
        )


@dataclass(frozen=True)
class FrameSet:
    """The training frames of one data set.

    Attributes:
        name: of the set.
        frames: to draw from.
        share: of each batch, 0..1; the shares of all sets add up to 1.
        digest: of the annotation file, so that a run isn't resumed on other labels.
    """

    name: str
    frames: Sequence[AnnotatedFrame]
    share: float
    digest: str = ""


class BatchMaker:
    """Makes the batch of any step.

    Every set gives its stated share of the frames drawn so far, to within one frame; within a set every frame is seen
    once before any is seen again, in an order drawn anew for each pass.

    Args:
        sets: none of them empty, shares adding up to 1.
        variant: for input and prototype sizes.
        size: frames in a batch.
        options: of the augmentation.
        seed: all chance comes from it.
        part: rank of this process and how many there are; it makes every so-manyth frame of each batch.

    Raises:
        ValueError: an empty set, shares that don't add up to 1, or fewer frames in a batch than processes.
    """

    def __init__(
        self,
        sets: Sequence[FrameSet],
        variant: Variant,
        *,
        size: int,
        options: AugmentOptions,
        seed: int,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        if empty := [s.name for s in sets if not s.frames]:
            raise ValueError(f"no training frames in {', '.join(empty)}")
        total = sum(s.share for s in sets)
        if not math.isclose(total, 1, abs_tol=1e-6):
            raise ValueError(f"the shares of the sets must add up to 1, got {total:g}")
        if size < part[1]:
            raise ValueError(f"a batch of {size} frames is too small for {part[1]} processes")
        self._sets = tuple(sets)
        self._part = part
        self._variant = variant
        self._size = size
        self._options = options
        self._seed = seed

    def batch(self, step: int) -> Batch:
        """The batch of a step, 0 for the first; this process's part of it."""
        samples = []
        rank, processes = self._part
        for number, (chosen, position) in enumerate(self._places(step)):
            if number % processes != rank:
                continue
            frames = self._sets[chosen].frames
            passes, place = divmod(position, len(frames))
            order = np.random.default_rng((self._seed, 1, chosen, passes)).permutation(len(frames))
            rng = np.random.default_rng((self._seed, 2, step, number))
            frame = draw_mosaic(frames[order[place]], frames, self._options, rng)
            samples.append(augment(frame, self._variant.input, self._variant.prototype_shape, self._options, rng))
        return collate(samples, self._variant.input.channels)

    def _places(self, step: int) -> Iterator[tuple[int, int]]:
        """Set and running number within the set of each frame of a batch."""
        bounds = np.cumsum([0.0, *(s.share for s in self._sets)])
        bounds /= bounds[-1]  # shares that add up to 1 but for rounding would lose a frame after many steps
        # Frame n of the run goes to the sets by cumulative counts: floor(n * bound) frames lie below each bound.
        before = np.floor(step * self._size * bounds + 1e-6).astype(int)
        after = np.floor((step + 1) * self._size * bounds + 1e-6).astype(int)
        for chosen in range(len(self._sets)):
            low = before[chosen + 1] - before[chosen]
            high = after[chosen + 1] - after[chosen]
            for position in range(low, high):
                yield chosen, position


def collate(samples: Sequence[Sample], channels: int) -> Batch:
    """Stacks samples; gray is repeated where the network takes three channels."""
    images = torch.from_numpy(np.stack([s.image for s in samples]))[:, None]
    return Batch(
        images=images.expand(-1, channels, -1, -1),
        boxes=[torch.from_numpy(s.boxes) for s in samples],
        labels=[torch.from_numpy(s.labels) for s in samples],
        masks=[torch.from_numpy(s.masks) for s in samples],
        has_mask=[torch.from_numpy(s.has_mask) for s in samples],
        known=torch.from_numpy(np.stack([s.known for s in samples])),
    )


def prefetch(maker: BatchMaker, start: int, *, threads: int, ahead: int = 3) -> Generator[Batch, None, None]:
    """The batches from step `start` on, in order, without end, made `ahead` of time by `threads` threads."""
    ahead = max(ahead, threads + 1)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="batches")
    waiting: deque[Future[Batch]] = deque()
    step = start
    try:
        while True:
            while len(waiting) <= ahead:
                waiting.append(pool.submit(maker.batch, step))
                step += 1
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
