"""What every source of frames offers, whatever is behind it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from fetalseg.errors import FrameError
from fetalseg.frame import Frame

__all__ = ["Source"]


class Source(ABC):
    """An iterable of frames. Each `iter()` starts anew, but for a camera.

    Attributes:
        name: for messages, a file's name without its folders.
        fps: frames per second as the source says, or None for stills and where it isn't known.
        length: number of frames, or None where it isn't known; some video files promise more than they hold.
        failures: files that could not be read and were passed over; only a folder goes on after one.
    """

    def __init__(self, name: str, *, fps: float | None = None, length: int | None = None) -> None:
        self.name = name
        self.fps = fps
        self.length = length
        self.failures: list[FrameError] = []

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """Frames from the first on.

        Raises:
            FrameError: a frame can't be read; what was given out before is good.
        """

    def close(self) -> None:  # noqa: B027 - most sources hold nothing open between frames
        """Gives files and devices back; the source must not be iterated afterwards."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
