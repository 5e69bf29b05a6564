"""Decoding of untrusted images: what comes through is exact, everything else is a clear error."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fetalseg.errors import FrameError, FrameTooLargeError
from fetalseg.sources.decode import decode_image

RAMP = np.add.outer(np.arange(48), 2 * np.arange(64)).astype(np.uint8)
COLOUR = np.dstack([RAMP, 255 - RAMP, RAMP // 2])


def encode(extension: str, pixels: np.ndarray, *flags: int) -> bytes:
    """OpenCV's encoder, from RGB."""
    if pixels.ndim == 3:
        pixels = pixels[..., ::-1]
    return cv2.imencode(extension, pixels, list(flags))[1].tobytes()


def with_pillow(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, bits: int, colour: int, raw: bytes, *more: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def promise(jpeg: bytes, *, height: int | None = None, width: int | None = None, **fields: int) -> bytes:
    """The same JPEG with another frame header: `marker`, `bits`, `components`, `height`, `width`."""
    data = bytearray(jpeg)
    at = jpeg.index(b"\xff\xc0")
    for position, form, value in (
        (1, "B", fields.get("marker")),
        (4, "B", fields.get("bits")),
        (5, ">H", height),
        (7, ">H", width),
        (9, "B", fields.get("components")),
    ):
        if value is not None:
            struct.pack_into(form, data, at + position, value)
    return bytes(data)


JPEG = encode(".jpg", COLOUR)
PNG = encode(".png", COLOUR)


def test_png_comes_back_bit_for_bit_in_rgb_order() -> None:
    np.testing.assert_array_equal(decode_image(PNG), COLOUR)


def test_gray_png_stays_two_dimensional() -> None:
    np.testing.assert_array_equal(decode_image(encode(".png", RAMP)), RAMP)


def test_gray_jpeg_stays_two_dimensional_and_close() -> None:
    pixels = decode_image(encode(".jpg", RAMP, cv2.IMWRITE_JPEG_QUALITY, 95))
    assert pixels.shape == RAMP.shape
    assert np.abs(pixels.astype(int) - RAMP).max() <= 8


@pytest.mark.parametrize(
    "flags",
    [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 2)],
    ids=["baseline", "progressive", "restart markers"],
)
def test_colour_jpeg_is_rgb(flags: tuple[int, ...]) -> None:
    flat = np.empty((32, 32, 3), np.uint8)
    flat[:] = 200, 100, 50
    pixels = decode_image(encode(".jpg", flat, *flags))
    assert np.abs(pixels.astype(int) - [200, 100, 50]).max() <= 3


def test_bmp_is_decoded_only_where_it_is_welcome() -> None:
    np.testing.assert_array_equal(decode_image(encode(".bmp", COLOUR), formats=("bmp",)), COLOUR)
    np.testing.assert_array_equal(decode_image(encode(".bmp", RAMP), formats=("bmp",)), RAMP)
    with pytest.raises(FrameError, match="image is BMP; expected JPEG or PNG"):
        decode_image(encode(".bmp", RAMP))


def test_png_is_refused_where_only_jpeg_is_welcome() -> None:
    with pytest.raises(FrameError, match="image is PNG; expected JPEG"):
        decode_image(PNG, formats=("jpeg",))


def test_the_result_belongs_to_the_caller() -> None:
    pixels = decode_image(PNG)
    pixels[:] = 0
    np.testing.assert_array_equal(decode_image(PNG), COLOUR)


def test_exif_orientation_is_ignored() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    assert decode_image(with_pillow(Image.fromarray(RAMP), "JPEG", exif=exif)).shape == (48, 64)
    assert decode_image(with_pillow(Image.fromarray(RAMP), "PNG", exif=exif)).shape == (48, 64)


def test_colour_profiles_are_ignored() -> None:
    plain = with_pillow(Image.fromarray(COLOUR), "JPEG")
    tagged = with_pillow(Image.fromarray(COLOUR), "JPEG", icc_profile=b"no profile at all")
    np.testing.assert_array_equal(decode_image(tagged), decode_image(plain))


def test_alpha_is_dropped_and_not_blended() -> None:
    rgba = np.dstack([COLOUR, np.full_like(RAMP, 10)])
    np.testing.assert_array_equal(decode_image(with_pillow(Image.fromarray(rgba), "PNG")), COLOUR)
    gray_alpha = np.dstack([RAMP, np.zeros_like(RAMP)])
    np.testing.assert_array_equal(decode_image(with_pillow(Image.fromarray(gray_alpha), "PNG")), RAMP)


def test_palette_png_with_a_transparent_colour_becomes_rgb() -> None:
    rows = (b"\0" + bytes([1] * 20)) * 16
    palette, transparent = chunk(b"PLTE", bytes([0, 0, 0, 10, 20, 30])), chunk(b"tRNS", bytes([255, 0]))
    pixels = decode_image(png(20, 16, 8, 3, rows, palette, transparent))
    assert pixels.shape == (16, 20, 3)
    assert (pixels == [10, 20, 30]).all()


def test_bytes_after_the_picture_are_ignored() -> None:
    np.testing.assert_array_equal(decode_image(JPEG + b"MPO trailer"), decode_image(JPEG))
    np.testing.assert_array_equal(decode_image(PNG + b"trailer"), COLOUR)


def test_a_thumbnail_does_not_pass_for_the_end_of_the_picture() -> None:
    thumbnail = b"\xff\xe1" + struct.pack(">H", 2 + len(JPEG)) + JPEG
    carrier = JPEG[:2] + thumbnail + JPEG[2:]
    np.testing.assert_array_equal(decode_image(carrier), decode_image(JPEG))
    with pytest.raises(FrameError, match="truncated JPEG"):
        decode_image(carrier[:-40])


@pytest.mark.parametrize("progressive", [0, 1])
def test_a_jpeg_cut_anywhere_is_an_error(progressive: int) -> None:
    whole = encode(".jpg", COLOUR, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive)
    for length in range(len(whole)):
        with pytest.raises(FrameError, match=r"truncated|not a JPEG|0 bytes"):
            decode_image(whole[:length])


def test_a_png_or_bmp_cut_anywhere_is_an_error() -> None:
    bmp = encode(".bmp", RAMP)
    for whole in (PNG, bmp):
        for length in range(0, len(whole), 3):
            with pytest.raises(FrameError, match=r"truncated|not a PNG or BMP|0 bytes"):
                decode_image(whole[:length], formats=("png", "bmp"))


def test_a_png_with_too_few_rows_is_an_error() -> None:
    with pytest.raises(FrameError, match="damaged PNG"):
        decode_image(png(20, 16, 8, 0, (b"\0" + bytes(20)) * 15))


def test_a_png_with_a_flipped_bit_is_an_error() -> None:
    damaged = bytearray(PNG)
    damaged[len(damaged) // 2] ^= 1
    with pytest.raises(FrameError, match="wrong checksum of chunk IDAT"):
        decode_image(bytes(damaged))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a JPEG or PNG image: 0 bytes"),
        (b"hello, this is text", "not a JPEG or PNG image: 19 bytes that start with 68 65 6c 6c"),
        (b"GIF89a" + bytes(20), "26 bytes of GIF"),
        (encode(".tiff", RAMP), "bytes of TIFF"),
        (bytes(128) + b"DICM", "132 bytes of DICOM"),
        (b"\xff\xd8\xff", "truncated JPEG: 3 bytes"),
        (b"\xff\xd8\xff\xd9", "damaged JPEG: no picture"),
        (promise(JPEG, components=4), r"JPEG with 4 channels \(CMYK\); expected 1 \(gray\) or 3"),
        (promise(JPEG, bits=12), "JPEG with 12 bits a channel; expected 8"),
        (promise(JPEG, marker=0xC3), "JPEG of process SOF3; expected baseline, extended or progressive"),
        (with_pillow(Image.new("CMYK", (32, 32)), "JPEG"), "CMYK"),
        (encode(".png", RAMP.astype(np.uint16)), "PNG with 16 bits a channel; expected 8"),
        (png(32, 32, 1, 0, bytes(32 * 5)), "PNG with 1 bits a channel; expected 8"),
        (png(32, 32, 8, 5, b""), "damaged PNG: colour type 5"),
        (b"\x89PNG\r\n\x1a\n" + chunk(b"IDAT", b"") + chunk(b"IEND", b""), "expected IHDR"),
        (JPEG[:-2] + JPEG, "a second image starts inside"),
    ],
)
def test_what_is_no_8_bit_still_is_named(data: bytes, message: str) -> None:
    with pytest.raises(FrameError, match=message):
        decode_image(data)


def test_an_animated_png_is_an_error() -> None:
    frames = [Image.fromarray(RAMP), Image.fromarray(255 - RAMP)]
    with pytest.raises(FrameError, match="animated PNG"):
        decode_image(with_pillow(frames[0], "PNG", save_all=True, append_images=frames[1:]))


@pytest.mark.parametrize("data", [promise(JPEG, height=20000, width=20000), png(20000, 20000, 8, 0, b"")])
def test_a_header_that_promises_20000_px_is_refused_before_decoding(data: bytes) -> None:
    with pytest.raises(FrameTooLargeError, match="20000x20000 px is too large; expected at most 8192"):
        decode_image(data)


@pytest.mark.parametrize("extension", [".jpg", ".png"])
def test_one_pixel_is_too_small(extension: str) -> None:
    with pytest.raises(FrameError, match="1x1 px is too small; expected at least 16 px") as raised:
        decode_image(encode(extension, np.zeros((1, 1), np.uint8)))
    assert not isinstance(raised.value, FrameTooLargeError)


def test_the_callers_own_limit_of_pixels_holds() -> None:
    assert decode_image(PNG, max_pixels=48 * 64).shape == (48, 64, 3)
    with pytest.raises(FrameTooLargeError, match="64x48 px is too large; expected at most 3071 pixels"):
        decode_image(PNG, max_pixels=48 * 64 - 1)


def test_a_jpeg_that_promises_more_scans_than_anyone_writes_is_refused() -> None:
    scan = JPEG[JPEG.index(b"\xff\xda") : -2]
    with pytest.raises(FrameError, match="more than 64 scans"):
        decode_image(JPEG[:-2] + scan * 64 + b"\xff\xd9")


@settings(max_examples=200, deadline=None)
@given(
    whole=st.sampled_from([JPEG, PNG, encode(".bmp", RAMP)]),
    changes=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_damaged_bytes_give_a_frame_or_a_frame_error(whole: bytes, changes: list[tuple[float, int]]) -> None:
    data = bytearray(whole)
    for place, value in changes:
        data[int(place * len(data))] = value
    try:
        pixels = decode_image(bytes(data), formats=("jpeg", "png", "bmp"), max_pixels=10_000)
    except FrameError:
        return
    assert pixels.dtype == np.uint8
    assert pixels.ndim in (2, 3)


@settings(max_examples=200, deadline=None)
@given(head=st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM"]), tail=st.binary(max_size=200))
def test_noise_is_never_a_picture(head: bytes, tail: bytes) -> None:
    with pytest.raises(FrameError):
        decode_image(head + tail, formats=("jpeg", "png", "bmp"), max_pixels=10_000)
