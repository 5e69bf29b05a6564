"""What an encoded image promises about itself, read from its bytes before anything is decoded.

Every segment or chunk is walked to the end of the picture, so that a truncated file is noticed: decoders fill the
missing part with gray and only warn. What the decoder doesn't need (EXIF, colour profiles, thumbnails, text,
transparency) is left out of `ImageHeader.picture`, so that no metadata of an untrusted file reaches native code.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fetalseg.errors import FrameError
from fetalseg.frame import check_size

__all__ = ["ImageFormat", "ImageHeader", "image_format", "read_image_header"]

ImageFormat = Literal["jpeg", "png", "bmp"]

# Progressive files have about 10 scans; each scan costs a pass over the whole picture however few bytes it has.
MAX_SCANS = 64

_SIGNATURES: tuple[tuple[ImageFormat, bytes], ...] = (
    ("jpeg", b"\xff\xd8\xff"),
    ("png", b"\x89PNG\r\n\x1a\n"),
    ("bmp", b"BM"),
)
_OTHER_SIGNATURES = (
    ("GIF", b"GIF8"),
    ("TIFF", b"II*\0"),
    ("TIFF", b"MM\0*"),
    ("WebP or AVI", b"RIFF"),
    ("JPEG 2000", b"\0\0\0\x0cjP  "),
    ("DICOM", b"\0" * 128 + b"DICM"),
)

_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_SOF_SUPPORTED = (0xC0, 0xC1, 0xC2)  # baseline, extended sequential and progressive, all Huffman coded
_SOF_ALL = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # TEM and restart markers carry no length
# Comments and application segments, but for APP0 (JFIF) and APP14 (Adobe): those say which colour space is coded.
_JPEG_METADATA = frozenset({0xFE, *range(0xE1, 0xF0)} - {0xEE})
# Inside coded data 0xFF00 is a stuffed byte and 0xFFD0..0xFFD7 restart; anything else ends the scan.
_END_OF_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")

_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 1, 6: 3}  # by colour type, alpha not counted
_PNG_KEPT = (b"IHDR", b"PLTE", b"IDAT", b"IEND")


@dataclass(frozen=True)
class ImageHeader:
    """A picture that is complete and of a kind that this package decodes.

    Attributes:
        format: "jpeg", "png" or "bmp".
        width: W in px.
        height: H in px.
        channels: 1 (gray) or 3 (colour), alpha not counted.
        picture: the same file without metadata, ready for a decoder.
    """

    format: ImageFormat
    width: int
    height: int
    channels: Literal[1, 3]
    picture: bytes


def image_format(data: bytes) -> ImageFormat | None:
    """The format that the first bytes name, or None."""
    return next((name for name, signature in _SIGNATURES if data.startswith(signature)), None)


def read_image_header(data: bytes, *, formats: Sequence[ImageFormat] = ("jpeg", "png", "bmp")) -> ImageHeader:
    """Reads and checks an encoded image without decoding it.

    Args:
        data: the whole file.
        formats: which formats are welcome.

    Raises:
        FrameTooLargeError: see `fetalseg.frame.check_size`.
        FrameError: no bytes, another format, truncated, too small, not 8 bits a channel, CMYK, animated.
    """
    name = image_format(data)
    *first, last = (word.upper() for word in formats)
    welcome = f"{', '.join(first)} or {last}" if first else last
    if name is None:
        raise FrameError(f"not a {welcome} image: {_describe(data)}")
    if name not in formats:
        raise FrameError(f"image is {name.upper()}; expected {welcome}")
    try:
        header = _READERS[name](bytes(data))
    except (struct.error, IndexError):
        raise FrameError(f"truncated {name.upper()}: {len(data)} bytes end inside the header") from None
    check_size(header.height, header.width)
    return header


def _describe(data: bytes) -> str:
    if not data:
        return "0 bytes"
    for name, signature in _OTHER_SIGNATURES:
        if data.startswith(signature):
            return f"{len(data)} bytes of {name}"
    return f"{len(data)} bytes that start with {data[:8].hex(' ')}"


def _read_jpeg(data: bytes) -> ImageHeader:
    """ITU-T T.81, annex B."""
    kept = [data[:2]]
    size: tuple[int, int, Literal[1, 3]] | None = None
    scans, position = 0, 2
    while True:
        marker, start = _next_marker(data, position)
        if marker == _EOI:
            break
        if marker == _SOI:
            raise FrameError("damaged JPEG: a second image starts inside the first")
        if marker in _STANDALONE:
            position = start
            continue
        (length,) = struct.unpack_from(">H", data, start)
        end = start + length
        if length < 2 or end > len(data):
            raise FrameError(f"truncated JPEG: a segment at byte {start} wants {length} bytes of {len(data) - start}")
        if marker in _SOF_ALL:
            if size is not None:
                raise FrameError("damaged JPEG: two frame headers")
            size = _jpeg_size(marker, data[start + 2 : end])
            # Before the rest is walked: a promise that is too large needs no further look.
            check_size(size[0], size[1])
        elif marker == _SOS:
            scans += 1
            if scans > MAX_SCANS:
                raise FrameError(f"JPEG with more than {MAX_SCANS} scans")
            end = _end_of_scan(data, end)
        if marker not in _JPEG_METADATA:
            kept.append(b"\xff" + bytes([marker]) + data[start:end])
        position = end
    if size is None or scans == 0:
        raise FrameError("damaged JPEG: no picture between its start and its end")
    kept.append(b"\xff\xd9")
    height, width, channels = size
    return ImageHeader("jpeg", width, height, channels, b"".join(kept))


def _next_marker(data: bytes, position: int) -> tuple[int, int]:
    """Marker at `position` (any number of 0xFF may precede it) and where its segment starts."""
    if position < len(data) and data[position] != 0xFF:
        raise FrameError(f"damaged JPEG: expected a marker at byte {position}, got 0x{data[position]:02x}")
    while position < len(data) and data[position] == 0xFF:
        position += 1
    if position >= len(data):
        raise FrameError(f"truncated JPEG: {len(data)} bytes without an end marker")
    return data[position], position + 1


def _end_of_scan(data: bytes, position: int) -> int:
    """Where the marker after a scan's coded data starts."""
    found = _END_OF_SCAN.search(data, position)
    if found is None:
        raise FrameError(f"truncated JPEG: the coded data run to the last of {len(data)} bytes; expected an end marker")
    return found.start()


def _jpeg_size(marker: int, segment: bytes) -> tuple[int, int, Literal[1, 3]]:
    if marker not in _SOF_SUPPORTED:
        raise FrameError(
            f"JPEG of process SOF{marker - 0xC0}; expected baseline, extended or progressive Huffman coding"
        )
    bits, height, width, components = struct.unpack_from(">BHHB", segment)
    if bits != 8:
        raise FrameError(f"JPEG with {bits} bits a channel; expected 8")
    if components == 1:
        return height, width, 1
    if components == 3:
        return height, width, 3
    kind = " (CMYK)" if components == 4 else ""
    raise FrameError(f"JPEG with {components} channels{kind}; expected 1 (gray) or 3 (colour)")


def _read_png(data: bytes) -> ImageHeader:
    """PNG specification, third edition, sections 5 and 11."""
    kept, position, kinds, packed = [data[:8]], 8, set(), 0
    header: tuple[int, int, Literal[1, 3]] | None = None
    while b"IEND" not in kinds:
        if position + 12 > len(data):
            raise FrameError(f"truncated PNG: {len(data)} bytes without an end chunk")
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            raise FrameError(
                f"truncated PNG: a chunk at byte {position} wants {length + 12} bytes of {len(data) - position}"
            )
        if header is None:
            if kind != b"IHDR":
                raise FrameError(f"damaged PNG: starts with chunk {kind!r}; expected IHDR")
            header = _png_size(data[position + 8 : position + 8 + length])
            check_size(header[0], header[1])
        if kind == b"acTL":
            raise FrameError("animated PNG; expected a single picture")
        if kind in _PNG_KEPT:
            chunk = data[position:end]
            if struct.unpack_from(">I", chunk, length + 8)[0] != zlib.crc32(chunk[4:-4]):
                raise FrameError(f"damaged PNG: wrong checksum of chunk {kind.decode()} at byte {position}")
            kept.append(chunk)
        kinds.add(kind)
        packed += length if kind == b"IDAT" else 0
        position = end
    if header is None or b"IDAT" not in kinds:
        raise FrameError("damaged PNG: no picture between its start and its end")
    height, width, channels = header
    # The decoder unpacks all there is before it finds out that a picture of this size has no use for it.
    if packed > (most := 2 * height * (1 + 4 * width) + 1024):
        raise FrameError(f"damaged PNG: {packed} bytes of picture; {width}x{height} px have at most {most}")
    return ImageHeader("png", width, height, channels, b"".join(kept))


def _png_size(chunk: bytes) -> tuple[int, int, Literal[1, 3]]:
    width, height, bits, colour = struct.unpack_from(">IIBB", chunk)
    if bits != 8:
        raise FrameError(f"PNG with {bits} bits a channel; expected 8")
    if colour not in _PNG_CHANNELS:
        raise FrameError(f"damaged PNG: colour type {colour}; expected one of 0, 2, 3, 4, 6")
    return height, width, 1 if _PNG_CHANNELS[colour] == 1 else 3


def _read_bmp(data: bytes) -> ImageHeader:
    """The Windows BITMAPINFOHEADER and its successors, uncompressed."""
    offset, header_size, width, height = struct.unpack_from("<10xIIii", data)
    if header_size < 40:
        raise FrameError(f"BMP with a header of {header_size} bytes; expected at least 40")
    bits, compression = struct.unpack_from("<28xHI", data)
    if bits not in (8, 24) or compression != 0:
        raise FrameError(f"BMP of {bits} bits a pixel and compression {compression}; expected 8 or 24 and none")
    height = abs(height)  # negative: rows run from the top down
    check_size(height, width)
    expected = offset + height * ((width * bits + 31) // 32 * 4)
    if len(data) < expected:
        raise FrameError(f"truncated BMP: {len(data)} bytes; expected {expected}")
    return ImageHeader("bmp", width, height, 3, data)


_READERS = {"jpeg": _read_jpeg, "png": _read_png, "bmp": _read_bmp}
