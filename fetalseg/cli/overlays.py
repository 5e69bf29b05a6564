"""Where `fetalseg predict --save` puts its pictures: a video for what has a pace, PNG for what hasn't."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt

from fetalseg.errors import FetalsegError
from fetalseg.frame import Frame

__all__ = ["OverlayWriter"]


class OverlayWriter:
    """Writes the overlays of one source; nothing that exists is ever overwritten, the new file's name gets a number.

    Args:
        folder: an existing folder.
        fps: of the source; None writes one PNG a frame.
        numbered: whether a PNG's name carries the index of its frame; that of a frame with a time always does.

    Attributes:
        files: what has been written.
    """

    def __init__(self, folder: Path, *, fps: float | None, numbered: bool) -> None:
        self.files: list[Path] = []
        self._folder = folder
        self._fps = fps
        self._numbered = numbered
        self._video: cv2.VideoWriter | None = None
        self._size: tuple[int, int] | None = None

    def write(self, frame: Frame, overlay: npt.NDArray[np.uint8]) -> None:
        """Adds one overlay, uint8 RGB [H, W, 3].

        Raises:
            FetalsegError: the file can't be written.
        """
        pixels = cv2.cvtColor(overlay, cv2.COLOR_RGB2BGR)
        if self._fps is None:
            index = f"_{frame.index:05d}" if self._numbered or frame.timestamp_ms is not None else ""
            path = self._free(f"{_stem(frame.source)}{index}", ".png")
            try:
                path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
            except OSError as error:
                raise FetalsegError(f"can't write the picture {path}: {error.strerror}") from None
            return
        # MPEG-4 halves the resolution of colour, so sides have to be even.
        height, width = pixels.shape[:2]
        pixels = cv2.copyMakeBorder(pixels, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        if self._video is None or self._size != pixels.shape[:2]:
            self._open_video(frame, pixels.shape[:2], self._fps)
        assert self._video is not None
        self._video.write(pixels)

    def close(self) -> None:
        """Finishes the video; without it the file can't be played."""
        if self._video is not None:
            self._video.release()
            self._video = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open_video(self, frame: Frame, size: tuple[int, int], fps: float) -> None:
        self.close()
        path = self._free(_stem(frame.source), ".mp4")
        self._video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, size[::-1])
        self._size = size
        if not self._video.isOpened():
            raise FetalsegError(f"can't write the video {path}")

    def _free(self, stem: str, suffix: str) -> Path:
        """A path in the folder that doesn't exist yet."""
        path, number = self._folder / f"{stem}{suffix}", 2
        while path.exists():
            path, number = self._folder / f"{stem}_{number}{suffix}", number + 1
        self.files.append(path)
        return path


def _stem(source: str) -> str:
    """A file name from a source's name: "camera 0" becomes "camera_0"."""
    stem = Path(source).stem or "frame"
    return "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in stem)
