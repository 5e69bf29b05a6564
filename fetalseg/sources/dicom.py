"""DICOM files, single and multi-frame, with the extra `dicom`."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fetalseg.errors import FrameError, MissingExtraError
from fetalseg.frame import Frame, check_size
from fetalseg.sources.dicom_calibration import CALIBRATION_TAGS, spacing_mm, timing
from fetalseg.sources.dicom_display import DISPLAY_TAGS, Display
from fetalseg.sources.image_header import read_image_header
from fetalseg.sources.source import Source

__all__ = ["DicomSource"]

# Nothing else is read, so that no text about a patient can end up in a message or a log.
_TAGS = [
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PlanarConfiguration",
    "BitsAllocated",
    "HighBit",
    "NumberOfFrames",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    *DISPLAY_TAGS,
    *CALIBRATION_TAGS,
    *(f"{c}PaletteColorLookupTable{part}" for c in ("Red", "Green", "Blue") for part in ("Descriptor", "Data")),
    *(f"Segmented{c}PaletteColorLookupTableData" for c in ("Red", "Green", "Blue")),
]
_JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
_DEFLATED = "1.2.840.10008.1.2.1.99"
# JPEG, JPEG-LS and JPEG 2000, which all end with the marker 0xFFD9.
_ENDS_WITH_MARKER = "1.2.840.10008.1.2.4."
_JPEG_2000 = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91")


class DicomSource(Source):
    """The frames of one DICOM file, decoded one by one when they are asked for.

    Frames are whole: what lies around the scan (captions, scales, a second scan) is part of them. Gray images go
    through the file's window, palettes and YCbCr become RGB; `spacing_mm` comes from the calibrated ultrasound regions
    or Pixel Spacing, `fps` from Frame Time or Cine Rate.

    Raises:
        MissingExtraError: pydicom isn't installed.
        FrameError: no DICOM, no pixels, a size that can't be a frame, or a coding that nothing installed can decode.
    """

    def __init__(self, path: Path) -> None:
        try:
            import pydicom  # noqa: F401
        except ImportError:
            raise MissingExtraError("pydicom", "dicom") from None
        super().__init__(path.name)
        self._path = path
        dataset = self._read(with_pixels=False)
        try:
            # pydicom warns of oddities in a file that are none of a viewer's business.
            with warnings.catch_warnings(action="ignore"):
                self._syntax = _check_syntax(dataset)
                header = _plain_values(dataset)
                if missing := [word for word in ("Rows", "Columns", "PhotometricInterpretation") if word not in header]:
                    raise FrameError(f"no image in it: {', '.join(missing)} missing or malformed")
                self._shape = int(header["Rows"]), int(header["Columns"])
                self.length = max(int(header.get("NumberOfFrames") or 1), 1)
                check_size(*self._shape)
                self._display = Display.of(header, _palette(dataset, header))
        except FrameError as error:
            raise type(error)(f"{self.name}: {error}") from None
        except (TypeError, ValueError):
            raise FrameError(f"{self.name}: the number of rows, columns or frames is no number") from None
        self._timing = timing(header, self.length)
        self.fps = self._timing.fps
        self._spacing_mm = spacing_mm(header)

    def __iter__(self) -> Iterator[Frame]:
        decoded, display = self._decode(), self._display
        for index in range(self.length or 0):
            try:
                with warnings.catch_warnings(action="ignore"):
                    stored = next(decoded, None)
                if stored is None:
                    raise FrameError(f"the file ends after {index} of {self.length} frames")
                display = display.fitted_to(stored) if index == 0 else display
                pixels = display(stored)
            except FrameError as error:
                raise FrameError(f"{self.name}: frame {index}: {error}") from None
            except Exception as error:  # decoders behind pydicom raise whatever they like
                reason = str(error).strip().splitlines() or [type(error).__name__]
                raise FrameError(
                    f"{self.name}: frame {index} ({self._syntax.name}) can't be decoded: {' '.join(reason)[:300]}"
                ) from None
            yield Frame(
                pixels,
                spacing_mm=self._spacing_mm,
                timestamp_ms=self._timing.timestamp_ms(index),
                source=self.name,
                index=index,
            )

    def _decode(self) -> Iterator[npt.NDArray[Any]]:
        """Stored values frame by frame, YCbCr already turned into RGB."""
        from pydicom.pixels.decoders.base import get_decoder
        from pydicom.pixels.utils import iter_pixels

        if not self._syntax.is_encapsulated and self._syntax != _DEFLATED:
            # From the file and not from memory: an uncompressed cine of two minutes has gigabytes.
            yield from iter_pixels(self._path)
            return
        dataset = self._read(with_pixels=True)
        # GDCM, pydicom's first choice, gives arrays that pydicom 3.0 can't correct the sign of.
        prefer = self._syntax in _JPEG_2000 and "pylibjpeg" in get_decoder(self._syntax).available_plugins
        decoded = iter_pixels(dataset, decoding_plugin="pylibjpeg" if prefer else "")
        if not self._syntax.is_encapsulated:
            yield from decoded
            return
        for encoded in self._encoded_frames(dataset):
            self._check_complete(encoded)
            yield next(decoded)

    def _encoded_frames(self, dataset: Any) -> Iterator[bytes]:
        from pydicom.encaps import generate_frames

        offsets = None
        if "ExtendedOffsetTable" in dataset and "ExtendedOffsetTableLengths" in dataset:
            offsets = (dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths)
        return iter(generate_frames(dataset.PixelData, number_of_frames=self.length, extended_offsets=offsets))

    def _check_complete(self, encoded: bytes) -> None:
        """Decoders fill what is missing with gray; a frame must end with its end marker, but for padding."""
        if self._syntax == _JPEG_BASELINE:
            header = read_image_header(encoded)
            if (header.height, header.width) != self._shape:
                rows, columns = self._shape
                raise FrameError(f"JPEG of {header.width}x{header.height} px; the file promises {columns}x{rows}")
        elif self._syntax.startswith(_ENDS_WITH_MARKER) and not encoded.rstrip(b"\0\xff").endswith(b"\xff\xd9"):
            raise FrameError(f"truncated {self._syntax.name}: {len(encoded)} bytes without an end marker")

    def _read(self, *, with_pixels: bool) -> Any:
        """The elements that matter, as a pydicom data set."""
        import pydicom
        from pydicom.errors import InvalidDicomError

        tags = [*_TAGS, "PixelData"] if with_pixels else _TAGS
        try:
            with warnings.catch_warnings(action="ignore"):
                return pydicom.dcmread(self._path, specific_tags=list(tags), stop_before_pixels=not with_pixels)
        except OSError as error:
            raise FrameError(f"{self.name}: can't be read: {error.strerror or 'the file ends early'}") from None
        except InvalidDicomError:
            raise FrameError(f"{self.name}: not a DICOM file") from None
        except Exception as error:  # a damaged file can raise anything, and the text may quote the file
            raise FrameError(f"{self.name}: damaged DICOM file ({type(error).__name__})") from None


def _check_syntax(dataset: Any) -> Any:
    """The transfer syntax, once it is known that something installed decodes it."""
    from pydicom.pixels.decoders.base import get_decoder

    syntax = getattr(dataset, "file_meta", {}).get("TransferSyntaxUID")
    if syntax is None:
        raise FrameError("the file doesn't say how it is coded (no transfer syntax)")
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise FrameError(f"transfer syntax {syntax.name!r} is not supported") from None
    if not decoder.is_available:
        raise FrameError(f"nothing installed decodes {syntax.name}; pip install 'fetalseg[dicom]'")
    return syntax


def _plain_values(dataset: Any) -> dict[str, Any]:
    """Elements by keyword, sequences as lists of the same; what can't be read is left out."""
    values: dict[str, Any] = {}
    for tag in dataset.keys():  # noqa: SIM118 - iterating a data set itself decodes its elements, and raises
        try:
            element = dataset[tag]
            value = element.value
        except Exception:  # a malformed element raises what it likes
            continue
        values[element.keyword] = [_plain_values(item) for item in value] if element.VR == "SQ" else value
    return values


def _palette(dataset: Any, header: dict[str, Any]) -> npt.NDArray[np.uint8] | None:
    """RGB of each stored value, uint8 [values, 3], or None where there is no palette that can be read."""
    from pydicom.pixels.processing import apply_color_lut

    bits = header.get("BitsAllocated")
    if bits not in (8, 16) or "RedPaletteColorLookupTableDescriptor" not in header:
        return None
    try:
        colours = apply_color_lut(np.arange(2**bits, dtype=f"u{bits // 8}")[None], dataset)[0, :, :3]
    except Exception:  # whatever a damaged table makes pydicom raise
        return None
    return np.asarray(colours >> (8 * colours.dtype.itemsize - 8), np.uint8)
