"""A frame of the server's own: it shows that an engine answers, and how long that takes."""

from __future__ import annotations

import math
import random
import time

from fetalseg_server.protocol import Codec
from fetalseg_server.worker.jobs import Job

__all__ = ["Probe"]

_SHAPE = (480, 640)
_SMALLEST_SIDE = 16
_DARKEST, _BRIGHTEST = 20, 90


class Probe:
    """Speckle as dark as a scan, the same for every worker.

    A worker returns the best few structures whatever their scores are, so that masks and outlines are computed, too.

    Args:
        max_pixels: of a frame that the server takes.
        max_bytes: of its payload.
    """

    def __init__(self, max_pixels: int, max_bytes: int) -> None:
        shrink = min(1.0, math.sqrt(min(max_pixels, max_bytes) / math.prod(_SHAPE)))
        self._height, self._width = (max(_SMALLEST_SIDE, int(side * shrink)) for side in _SHAPE)
        levels = bytes(_DARKEST + value * (_BRIGHTEST - _DARKEST) // 255 for value in range(256))
        self.payload = memoryview(random.Random(0).randbytes(self._height * self._width).translate(levels))

    def job(self, rung: int = 0) -> Job:
        """What a worker is to do with it, on a rung of the quality ladder."""
        return Job(
            id=0,
            codec=Codec.GRAY8,
            width=self._width,
            height=self._height,
            offset=0,
            length=len(self.payload),
            received_ns=time.monotonic_ns(),
            deadline_ns=None,
            masks="polygon",
            min_score=0.0,
            nms=None,
            output="probe",
            rung=rung,
        )
