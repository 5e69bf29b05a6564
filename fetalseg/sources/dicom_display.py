"""From DICOM's stored values to 8-bit gray or RGB, as a viewing station would show them.

PS3.3 C.11.1 (modality LUT), C.11.2 (VOI LUT: windows), C.7.6.3.1.2 (photometric interpretation).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fetalseg.errors import FrameError
from fetalseg.sources.dicom_values import numbers, positive

__all__ = ["DISPLAY_TAGS", "Display"]

DISPLAY_TAGS = (
    "PhotometricInterpretation",
    "BitsStored",
    "PixelRepresentation",
    "RescaleSlope",
    "RescaleIntercept",
    "WindowCenter",
    "WindowWidth",
)

_GRAY = ("MONOCHROME1", "MONOCHROME2")
_PALETTE = "PALETTE COLOR"
# Of what the decoder delivers: it has turned YCbCr into RGB.
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")


@dataclass(frozen=True, eq=False)
class Display:
    """How the stored values of one file become gray or colour.

    Attributes:
        photometric: "MONOCHROME2", "RGB", ...
        bits: of each stored value.
        signed: whether stored values are two's complement.
        window: (lowest, highest) stored value that is told apart from black and from white, or None.
        palette: uint8 [values, 3], RGB of each stored value of a palette image, else None.
    """

    photometric: str
    bits: int = 8
    signed: bool = False
    window: tuple[float, float] | None = None
    palette: npt.NDArray[np.uint8] | None = None

    @classmethod
    def of(cls, header: Mapping[str, Any], palette: npt.NDArray[np.uint8] | None = None) -> Self:
        """The display of a file with these `DISPLAY_TAGS`, as far as it has them.

        Raises:
            FrameError: a photometric interpretation without a known meaning, or a palette image without a palette.
        """
        photometric = str(header.get("PhotometricInterpretation", "")).strip()
        expected = (*_GRAY, _PALETTE, *_COLOUR)
        if photometric not in expected:
            raise FrameError(f"photometric interpretation {photometric!r}; expected one of {', '.join(expected)}")
        if photometric == _PALETTE and palette is None:
            raise FrameError("palette image without a palette that can be read")
        return cls(
            photometric=photometric,
            bits=int(positive(header.get("BitsStored")) or 8),
            signed=header.get("PixelRepresentation") == 1,
            window=_window(header),
            palette=palette,
        )

    def fitted_to(self, stored: npt.NDArray[Any]) -> Self:
        """The display to use from this frame on: gray of more than 8 bits without a window takes the frame's range.

        It is fitted once and kept, because the brightness of a cine would flicker if each frame had its own.
        """
        if self.window is not None or self.bits <= 8 or self.photometric not in _GRAY or stored.min() == stored.max():
            return self
        return replace(self, window=(float(stored.min()), float(stored.max())))

    def __call__(self, stored: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Shows one frame.

        Args:
            stored: integers, [H, W] or for colour [H, W, 3].

        Returns:
            uint8, gray [H, W] or RGB [H, W, 3].

        Raises:
            FrameError: the number of axes doesn't fit the photometric interpretation.
        """
        axes = 3 if self.photometric in _COLOUR else 2
        if stored.ndim != axes:
            raise FrameError(f"{self.photometric} frame has shape {stored.shape}; expected {axes} axes")
        if self.palette is not None and self.photometric == _PALETTE:
            return np.asarray(self.palette[np.clip(stored, 0, len(self.palette) - 1)], np.uint8)
        if self.photometric in _COLOUR:
            top = stored >> (self.bits - 8) if self.bits > 8 else stored
            return np.ascontiguousarray(top, np.uint8)
        gray = self._gray(stored)
        return np.asarray(255 - gray, np.uint8) if self.photometric == "MONOCHROME1" else gray

    def _gray(self, stored: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        if self.window is None and self.bits == 8 and stored.dtype == np.uint8:
            return np.ascontiguousarray(stored)
        smallest = -(2 ** (self.bits - 1)) if self.signed else 0
        low, high = self.window or (smallest, smallest + 2**self.bits - 1)
        share = (stored.astype(np.float32) - low) / (high - low)
        return np.asarray(np.clip(share * 255 + 0.5, 0, 255), np.uint8)


def _window(header: Mapping[str, Any]) -> tuple[float, float] | None:
    """The first window in stored values, by the linear formula of C.11.2.1.2.1 and the inverse of the rescale."""
    center, width = numbers(header.get("WindowCenter"))[:1], numbers(header.get("WindowWidth"))[:1]
    if not center or not width or width[0] < 1:
        return None
    slope = (numbers(header.get("RescaleSlope")) or [1.0])[0]
    intercept = (numbers(header.get("RescaleIntercept")) or [0.0])[0]
    if slope <= 0:
        return None
    # A window one level wide is a threshold; a small width keeps the division finite.
    middle, half = center[0] - 0.5, max(width[0] - 1, 1e-3) / 2
    return (middle - half - intercept) / slope, (middle + half - intercept) / slope
