"""Video files, through OpenCV and FFmpeg."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from fetalseg.errors import FrameError
from fetalseg.frame import Frame, check_size
from fetalseg.sources.source import Source

__all__ = ["VideoSource", "is_video"]

_LOG = logging.getLogger(__name__)

# FFmpeg guesses, and follows the addresses inside play lists: only bytes that are a container of frames get there.
_SIGNATURES: tuple[tuple[int, bytes], ...] = (
    (4, b"ftyp"),  # MP4, MOV
    (4, b"moov"),
    (4, b"mdat"),
    (8, b"AVI "),
    (0, b"\x1a\x45\xdf\xa3"),  # Matroska, WebM
    (0, b"\x00\x00\x01\xba"),  # MPEG program stream
    (0, b"\x00\x00\x01\xb3"),  # MPEG video
    (0, b"\x30\x26\xb2\x75"),  # ASF, WMV
    (0, b"OggS"),
    (0, b"GIF8"),
)


def is_video(head: bytes) -> bool:
    """Whether a file that starts with `head` (16 bytes or more) is a video container."""
    return any(head[offset : offset + len(word)] == word for offset, word in _SIGNATURES)


class VideoSource(Source):
    """A video file, decoded frame by frame; frames are RGB whatever the file holds.

    Raises:
        FrameError: no video stream, a codec that FFmpeg doesn't know, a size that can't be a frame.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path.name)
        self._path = path
        capture = self._open()
        try:
            check_size(int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)), int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)))
            fps, count = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
        finally:
            capture.release()
        self.fps = fps if math.isfinite(fps) and 0 < fps <= 1000 else None
        # GIF and streams without an index give 0 or a negative number.
        self.length = int(count) if math.isfinite(count) and count >= 1 else None

    def __iter__(self) -> Iterator[Frame]:
        capture = self._open()
        index = 0
        try:
            while True:
                read, pixels = capture.read()
                if not read:
                    break
                yield Frame(
                    np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8),
                    timestamp_ms=None if self.fps is None else index * 1000 / self.fps,
                    source=self.name,
                    index=index,
                )
                index += 1
        finally:
            capture.release()
        if index == 0:
            raise FrameError(f"{self.name}: the video holds no frame that can be decoded")
        if self.length is not None and index < self.length:
            _LOG.warning("%s ended after %d of %d frames", self.name, index, self.length)

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(str(self._path), cv2.CAP_FFMPEG)
        if not capture.isOpened():
            capture.release()
            raise FrameError(f"{self.name}: not a video that FFmpeg can read (damaged, or an unknown codec)")
        return capture
