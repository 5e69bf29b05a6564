"""A camera or frame grabber attached to this machine."""

from __future__ import annotations

import time
from collections.abc import Iterator

import cv2
import numpy as np

from fetalseg.errors import FrameError
from fetalseg.frame import Frame
from fetalseg.sources.source import Source

__all__ = ["CameraSource"]


class CameraSource(Source):
    """A live device; frames go on until it is closed or unplugged, and time runs from the first frame.

    Args:
        number: of the device, from 0, in the system's order.

    Raises:
        FrameError: no such device, or it is in use.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"camera {number}")
        self._capture = cv2.VideoCapture(number)
        if not self._capture.isOpened():
            self._capture.release()
            raise FrameError(f"{self.name} can't be opened: no such device, or another program uses it")
        # Drivers queue a few frames by themselves, which would all be late.
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps <= 1000 else None

    def __iter__(self) -> Iterator[Frame]:
        start, index = time.monotonic(), 0
        while True:
            read, pixels = self._capture.read()
            if not read:
                raise FrameError(f"{self.name} gives no more frames (after {index})")
            now = (time.monotonic() - start) * 1000
            rgb = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)
            yield Frame(rgb, timestamp_ms=now, source=self.name, index=index)
            index += 1

    def close(self) -> None:
        """Switches the device off."""
        self._capture.release()
