"""Masks that are made when they are asked for.

A tracker is given several times as many detections as it shows. A mask is most of what a detection costs, so those that
stay unseen should not have one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import overload

import numpy as np
import numpy.typing as npt

__all__ = ["LazyCrops", "Mask"]

Mask = npt.NDArray[np.bool_]


class LazyCrops(Sequence[Mask]):
    """N masks, each made once, when it is first asked for.

    Args:
        shapes: (H, W) of each.
        make: makes mask i, of `shapes[i]`; what it reads must stay as it is for as long as masks are asked for.
    """

    def __init__(self, shapes: Sequence[tuple[int, int]], make: Callable[[int], Mask]) -> None:
        self.shapes = list(shapes)
        self._make = make
        self._made: dict[int, Mask] = {}

    def __len__(self) -> int:
        return len(self.shapes)

    @overload
    def __getitem__(self, index: int) -> Mask: ...

    @overload
    def __getitem__(self, index: slice) -> LazyCrops: ...

    def __getitem__(self, index: int | slice) -> Mask | LazyCrops:
        positions = range(len(self))[index]  # IndexError as of a list
        if isinstance(positions, range):
            return self.take(positions)
        if positions not in self._made:
            self._made[positions] = self._make(positions)
        return self._made[positions]

    def take(self, rows: Sequence[int]) -> LazyCrops:
        """The masks at some places, those made already included; none is made."""
        return LazyCrops([self.shapes[row] for row in rows], lambda index: self[rows[index]])
