"""What a frame grabber delivers, as the pixels that the stream takes.

    layout = GrabberLayout("nv12", 1920, 1080, pitch=2048, region=Region(400, 60, 1120, 840), gray=True)
    await client.send(layout.pixels(buffer))

A layout is checked once; `pixels` then only looks at the buffer, and copies nothing where no value changes: gray and
packed colour come back as a view into the buffer, and so does the luma of full-range YUV.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt

from fetalseg_server.client.yuv import YUV_MATRICES, YUV_RANGES, YuvMatrix, YuvRange, gray_of_luma, rgb_of_yuv

__all__ = ["PIXEL_FORMATS", "GrabberLayout", "Memory", "PixelFormat", "Region"]

PixelFormat = Literal["gray8", "gray16", "rgb24", "bgr24", "rgba32", "bgra32", "nv12", "i420", "yuyv", "uyvy"]
PIXEL_FORMATS: tuple[PixelFormat, ...] = get_args(PixelFormat)

Memory = bytes | bytearray | memoryview | npt.NDArray[Any]

_HD_ROWS = 720  # from here on video is BT.709 where nobody says otherwise


@dataclass(frozen=True)
class _Plane:
    """One plane of a format: a sample of it covers `rows` x `columns` pixels and has `values` numbers."""

    values: int = 1
    rows: int = 1
    columns: int = 1


_PLANES: dict[PixelFormat, tuple[_Plane, ...]] = {
    "gray8": (_Plane(),),
    "gray16": (_Plane(),),
    "rgb24": (_Plane(3),),
    "bgr24": (_Plane(3),),
    "rgba32": (_Plane(4),),
    "bgra32": (_Plane(4),),
    "nv12": (_Plane(), _Plane(2, rows=2, columns=2)),
    "i420": (_Plane(), _Plane(rows=2, columns=2), _Plane(rows=2, columns=2)),
    "yuyv": (_Plane(2),),
    "uyvy": (_Plane(2),),
}
# Where red, green and blue stand within a packed pixel, and how OpenCV names the way to gray.
_RGB: dict[PixelFormat, tuple[slice, int]] = {
    "rgb24": (slice(None), cv2.COLOR_RGB2GRAY),
    "bgr24": (slice(None, None, -1), cv2.COLOR_BGR2GRAY),
    "rgba32": (slice(0, 3), cv2.COLOR_RGBA2GRAY),
    "bgra32": (slice(2, None, -1), cv2.COLOR_BGRA2GRAY),
}
# Rows and columns that share a chroma sample: frame and crop can't cut through them.
_SHARED: dict[PixelFormat, tuple[int, int]] = {"nv12": (2, 2), "i420": (2, 2), "yuyv": (1, 2), "uyvy": (1, 2)}


@dataclass(frozen=True)
class Region:
    """A rectangle of the frame, in px: the picture without the console's text around it, say.

    Attributes:
        x: left edge.
        y: upper edge.
        width: at least 1.
        height: at least 1.
    """

    x: int
    y: int
    width: int
    height: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns."""
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)


@dataclass(frozen=True)
class GrabberLayout:
    """How frames lie in memory, and what of them is wanted.

    Attributes:
        format: "gray8"; "gray16", little-endian where the memory isn't an array; "rgb24", "bgr24", "rgba32", "bgra32",
            named by the order in memory, alpha ignored; "nv12" (Y, then U and V in turn), "i420" (Y, U, V); "yuyv"
            (also called YUY2) and "uyvy".
        width: px, even for YUV.
        height: px, even for "nv12" and "i420".
        pitch: bytes from one row to the next, of the first plane; None where rows are packed. Negative for
            bottom-up frames: then the first row in memory is the lowest of the picture. The second plane of "nv12" has
            the same, U and V of "i420" half of it, as drivers lay them out.
        window: "gray16" only, and needed there: (low, high), the values that become 0 and 255; (0, 4095) for 12 bits.
        yuv_range: see `fetalseg_server.client.yuv`; "limited" is what HDMI and SDI grabbers deliver.
        yuv_matrix: None takes BT.709 from 720 rows on, else BT.601.
        region: what is kept; None everything.
        gray: whether colour becomes gray (luma).

    Raises:
        ValueError: an unknown word, a size, pitch, window or region that doesn't fit.
    """

    format: PixelFormat
    width: int
    height: int
    pitch: int | None = None
    window: tuple[float, float] | None = None
    yuv_range: YuvRange = "limited"
    yuv_matrix: YuvMatrix | None = None
    region: Region | None = None
    gray: bool = False

    def __post_init__(self) -> None:
        for name, value, words in (
            ("format", self.format, PIXEL_FORMATS),
            ("yuv_range", self.yuv_range, YUV_RANGES),
            ("yuv_matrix", self.yuv_matrix, (None, *YUV_MATRICES)),
        ):
            if value not in words:
                raise ValueError(f"{name} must be one of {', '.join(str(word) for word in words)}, got {value!r}")
        rows, columns = _SHARED.get(self.format, (1, 1))
        if min(self.width, self.height) < 1 or self.width % columns or self.height % rows:
            even = {(1, 1): "", (1, 2): ", the width even"}.get((rows, columns), ", both even")
            raise ValueError(
                f"a {self.format} frame needs a size of at least 1{even}; got {self.width}x{self.height} px"
            )
        if self.pitch is not None:
            self._check_pitch(self.pitch)
        self._check_window()
        self._check_region()

    def pixels(self, *planes: Memory) -> npt.NDArray[np.uint8]:
        """The frame in a grabber's memory.

        Args:
            planes: the whole frame as one object (planes follow each other without a gap), or each plane for itself.
                Bytes and anything else contiguous is read by `pitch`. An array of [H, W], [H, W, 2] (YUYV, UYVY),
                [H, W, 3] or [H, W, 4] says with its own strides how rows lie, negative ones included; then there is
                no pitch.

        Returns:
            uint8 gray [h, w] or RGB [h, w, 3] of the region. Where the module's text says so it is a view: the memory
            must stay as it is until `send` has returned.

        Raises:
            ValueError: too little memory, an array of another shape or type, another number of planes.
        """
        whole = self.region or Region(0, 0, self.width, self.height)
        views = self._views(planes)
        if self.format == "gray8":
            gray: npt.NDArray[np.uint8] = views[0][whole.slices]
            return gray
        if self.format == "gray16":
            assert self.window is not None
            return _windowed(views[0][whole.slices], *self.window)
        if self.format in _RGB:
            channels, to_gray = _RGB[self.format]
            cut: npt.NDArray[np.uint8] = views[0][whole.slices]
            return np.asarray(cv2.cvtColor(cut, to_gray), np.uint8) if self.gray else cut[..., channels]
        return self._of_yuv(*_yuv(self.format, views), whole)

    def _of_yuv(
        self, luma: npt.NDArray[np.uint8], u: npt.NDArray[np.uint8], v: npt.NDArray[np.uint8], region: Region
    ) -> npt.NDArray[np.uint8]:
        if self.gray:
            return gray_of_luma(luma[region.slices], self.yuv_range)
        rows, columns = _SHARED[self.format]
        # The smallest rectangle around the region that cuts through no chroma sample.
        x, y = region.x // columns, region.y // rows
        right, bottom = -(-(region.x + region.width) // columns), -(-(region.y + region.height) // rows)
        outer = Region(x * columns, y * rows, (right - x) * columns, (bottom - y) * rows)
        shared = Region(x, y, right - x, bottom - y).slices
        matrix = self.yuv_matrix or ("bt709" if self.height >= _HD_ROWS else "bt601")
        rgb = rgb_of_yuv(luma[outer.slices], u[shared], v[shared], yuv_range=self.yuv_range, matrix=matrix)
        return rgb[Region(region.x - outer.x, region.y - outer.y, region.width, region.height).slices]

    def _views(self, memories: tuple[Memory, ...]) -> list[npt.NDArray[Any]]:
        """Each plane as [rows, columns] or [rows, columns, values]."""
        planes = _PLANES[self.format]
        if len(memories) == len(planes):
            return [self._view(memory, plane, 0) for memory, plane in zip(memories, planes, strict=True)]
        if len(memories) != 1:
            expected = "one memory" if len(planes) == 1 else f"one memory or {len(planes)} planes"
            raise ValueError(f"{self.format} needs {expected}, got {len(memories)}")
        views, offset = [], 0
        for plane in planes:
            views.append(self._view(memories[0], plane, offset))
            offset += abs(self._pitch_of(plane)) * (self.height // plane.rows)
        return views

    def _view(self, memory: Memory, plane: _Plane, offset: int) -> npt.NDArray[Any]:
        kind = np.dtype("<u2" if self.format == "gray16" else np.uint8)
        rows, columns = self.height // plane.rows, self.width // plane.columns
        shape = (rows, columns) if plane.values == 1 else (rows, columns, plane.values)
        if (
            isinstance(memory, np.ndarray)
            and memory.ndim > 1
            and (len(_PLANES[self.format]) == 1 or memory.shape == shape)
        ):
            if memory.shape != shape or memory.dtype.newbyteorder("<") != kind or self.pitch is not None:
                raise ValueError(
                    f"expected an array of shape {shape} and type {kind.name} without a pitch, "
                    f"got shape {memory.shape}, type {memory.dtype.name} and pitch {self.pitch}"
                )
            return memory
        row_bytes, pitch = columns * plane.values * kind.itemsize, self._pitch_of(plane)
        content = np.frombuffer(memory, np.uint8)
        needed = offset + abs(pitch) * (rows - 1) + row_bytes
        if content.size < needed:
            size = f"{self.width}x{self.height} px of {self.format} with a pitch of {pitch} bytes"
            raise ValueError(f"{size} need {needed} bytes, got {content.size}")
        start = offset + (abs(pitch) * (rows - 1) if pitch < 0 else 0)
        strides = (pitch, plane.values * kind.itemsize, kind.itemsize)[: len(shape)]
        return np.ndarray(shape, kind, content, start, strides)

    def _row_bytes(self, plane: _Plane) -> int:
        return self.width // plane.columns * plane.values * (2 if self.format == "gray16" else 1)

    def _pitch_of(self, plane: _Plane) -> int:
        """Bytes from one row of the plane to the next."""
        if self.pitch is None:
            return self._row_bytes(plane)
        return self.pitch if plane.values == 2 or plane.columns == 1 else self.pitch // plane.columns

    def _check_pitch(self, pitch: int) -> None:
        least = self._row_bytes(_PLANES[self.format][0])
        if abs(pitch) < least:
            raise ValueError(f"pitch must be at least the {least} bytes of a row, got {pitch}")
        if self.format == "i420" and pitch % 2:
            raise ValueError(f"the pitch of i420 must be even, half of it is that of U and V; got {pitch}")

    def _check_window(self) -> None:
        if (self.window is not None) != (self.format == "gray16"):
            got = "none" if self.window is None else f"{self.window} for {self.format}"
            raise ValueError(f"gray16, and only gray16, needs a window (low, high), such as (0, 4095); got {got}")
        if self.window is not None and not self.window[0] < self.window[1]:
            raise ValueError(f"expected a window with low < high, got {self.window}")

    def _check_region(self) -> None:
        region = self.region
        if region is None:
            return
        inside = region.x + region.width <= self.width and region.y + region.height <= self.height
        if min(region.x, region.y) < 0 or min(region.width, region.height) < 1 or not inside:
            raise ValueError(f"expected a region within the frame of {self.width}x{self.height} px, got {region}")


def _yuv(
    pixel_format: PixelFormat, views: list[npt.NDArray[Any]]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Luma and chroma of a frame as views."""
    if pixel_format == "i420":
        return views[0], views[1], views[2]
    if pixel_format == "nv12":
        return views[0], views[1][..., 0], views[1][..., 1]
    luma, chroma = (0, 1) if pixel_format == "yuyv" else (1, 0)
    packed = views[0]
    return packed[..., luma], packed[:, 0::2, chroma], packed[:, 1::2, chroma]


def _windowed(values: npt.NDArray[np.uint16], low: float, high: float) -> npt.NDArray[np.uint8]:
    """Low becomes 0, high 255, linear between, rounded, clipped."""
    scale = 255 / (high - low)
    native = values.astype(np.uint16, copy=False)
    return np.asarray(cv2.addWeighted(native, scale, native, 0, -low * scale, dtype=cv2.CV_8U), np.uint8)
