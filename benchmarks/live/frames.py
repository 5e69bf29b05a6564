"""The pictures that the benchmarks' consoles send."""

from __future__ import annotations

import argparse
import itertools
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.live.wire import frame
from fetalseg.sources import open_source
from fetalseg_server.client.cine_file import BUILT_IN, read_cine
from fetalseg_server.client.encoded_frame import encode_frame
from fetalseg_server.options import CodecWord
from fetalseg_server.protocol import FrameFlag

__all__ = ["CINE", "HELD_FRAMES", "Cine", "frame_size", "load_cine"]

CINE = "cine"  # the word for the viewer's own cine
HELD_FRAMES = 108  # a source is read this far and then repeated: the clock never covers reading or coding


@dataclass(frozen=True)
class Cine:
    """Coded frames, sent over and over.

    Attributes:
        codec: number in the frame header.
        width: px, as the frame header says it: 0 where the payload does.
        height: px, likewise.
        payloads: one for each frame.
        cuts: frames that don't continue the one before.
    """

    codec: int
    width: int
    height: int
    payloads: tuple[bytes, ...]
    cuts: frozenset[int] = frozenset({0})

    @property
    def mean_bytes(self) -> float:
        """Of a payload."""
        return sum(map(len, self.payloads)) / len(self.payloads)

    def message(self, sequence: int, *, capture_time_us: int = 0) -> bytes:
        """The binary message of one frame; which picture it holds follows from its sequence."""
        number = sequence % len(self.payloads)
        return frame(
            sequence,
            self.payloads[number],
            codec=self.codec,
            size=(self.width, self.height),
            flags=int(FrameFlag.DISCONTINUITY) if number in self.cuts else 0,
            capture_time_us=capture_time_us,
        )


def frame_size(text: str) -> tuple[int, int]:
    """Width and height of a command line's `WxH`, px.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"expected WxH, got {text}")
    return int(width), int(height)


def load_cine(source: str, codec: CodecWord, *, width: int, height: int, quality: int = 90) -> Cine:
    """Gray frames of one size.

    Args:
        source: "cine" for the synthetic examination that the viewer plays, else as of `fetalseg predict`.
        codec: how they are coded.
        width: px, resized to.
        height: px, likewise.
        quality: of JPEG, 1..100.

    Raises:
        ValueError, FetalsegError: the source can't be read; the text can be shown to a user.
    """
    coded = []
    pictures, cuts = _pictures(source)
    for pixels in pictures:
        gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) if pixels.ndim == 3 else pixels
        resized = cv2.resize(gray, (width, height), interpolation=cv2.INTER_AREA)
        coded.append(encode_frame(np.asarray(resized, np.uint8), codec, quality=quality))
    first = coded[0]
    return Cine(int(first.codec), first.width, first.height, tuple(frame.payload for frame in coded), cuts)


def _pictures(source: str) -> tuple[list[npt.NDArray[np.uint8]], frozenset[int]]:
    """Pictures, uint8, [H, W] or RGB [H, W, 3], and which of them don't continue the one before."""
    if source == CINE:
        cine = read_cine(BUILT_IN)
        files = (np.frombuffer(frame.payload, np.uint8) for frame in cine)
        pictures = [np.asarray(cv2.imdecode(file, cv2.IMREAD_GRAYSCALE), np.uint8) for file in files]
        return pictures, frozenset(number for number, frame in enumerate(cine) if frame.discontinuity)
    with open_source(source) as frames:
        return [frame.pixels for frame in itertools.islice(frames, HELD_FRAMES)], frozenset({0})
