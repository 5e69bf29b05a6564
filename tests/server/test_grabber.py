"""What grabbers deliver, with values worked out by hand."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from fetalseg_server.client import encode_frame
from fetalseg_server.client.grabber import GrabberLayout, PixelFormat, Region
from fetalseg_server.client.yuv import YuvMatrix, YuvRange

Pixels = npt.NDArray[np.uint8]
# Three pixels in a row and two rows, each pixel another colour: R, G, B.
COLOURS = np.arange(18, dtype=np.uint8).reshape(2, 3, 3) * 10
LUMA = np.array([[16, 126, 235, 81], [90, 100, 110, 120]], np.uint8)
U, V = 90, 240


def packed_in(order: str, rgb: Pixels) -> Pixels:
    planes = {"r": rgb[..., 0], "g": rgb[..., 1], "b": rgb[..., 2], "a": np.full(rgb.shape[:2], 77, np.uint8)}
    return np.stack([planes[letter] for letter in order], axis=-1)


def with_pitch(rows: Pixels, pitch: int) -> bytes:
    """Rows in memory, upside down for a negative pitch; what lies between them is 255."""
    flat = rows.reshape(len(rows), -1)[:: -1 if pitch < 0 else 1]
    memory = np.full((len(rows), abs(pitch)), 255, np.uint8)
    memory[:, : flat.shape[1]] = flat
    return memory.tobytes()


def yuv_memory(pixel_format: PixelFormat, luma: Pixels, u: Pixels, v: Pixels) -> bytes:
    """A packed frame from whole-resolution chroma."""
    if pixel_format == "i420":
        return luma.tobytes() + u[::2, ::2].tobytes() + v[::2, ::2].tobytes()
    if pixel_format == "nv12":
        return luma.tobytes() + np.stack([u[::2, ::2], v[::2, ::2]], axis=-1).tobytes()
    chroma = np.where(np.arange(luma.shape[1]) % 2 == 0, u, v).astype(np.uint8)
    pair = [luma, chroma] if pixel_format == "yuyv" else [chroma, luma]
    return np.stack(pair, axis=-1).tobytes()


@pytest.mark.parametrize(
    ("pixel_format", "order"), [("rgb24", "rgb"), ("bgr24", "bgr"), ("rgba32", "rgba"), ("bgra32", "bgra")]
)
@pytest.mark.parametrize("pitch", [None, 16, -16])
def test_packed_colour_becomes_rgb_without_a_copy(pixel_format: Any, order: str, pitch: int | None) -> None:
    rows = packed_in(order, COLOURS)
    memory = np.frombuffer(rows.tobytes() if pitch is None else with_pitch(rows, pitch), np.uint8)
    pixels = GrabberLayout(pixel_format, 3, 2, pitch=pitch).pixels(memory)
    assert pixels.tolist() == COLOURS.tolist()
    assert np.shares_memory(pixels, memory)


def test_colour_becomes_gray_by_its_luma() -> None:
    memory = np.array([[[0, 0, 200, 9], [0, 200, 0, 9], [200, 0, 0, 9]]], np.uint8)  # red, green, blue as BGRA
    gray = GrabberLayout("bgra32", 3, 1, gray=True).pixels(memory)
    assert gray.tolist() == [[60, 117, 23]]  # 0.299, 0.587, 0.114 of 200


@pytest.mark.parametrize("pitch", [None, 8, -8])
def test_gray_is_a_view_whatever_the_pitch(pitch: int | None) -> None:
    memory = np.frombuffer(LUMA.tobytes() if pitch is None else with_pitch(LUMA, pitch), np.uint8)
    pixels = GrabberLayout("gray8", 4, 2, pitch=pitch).pixels(memory)
    assert pixels.tolist() == LUMA.tolist()
    assert np.shares_memory(pixels, memory)


def test_sixteen_bits_are_brought_to_eight_by_the_window() -> None:
    values = np.array([[0, 1000, 1001, 2000, 3000, 65535]], np.uint16)
    layout = GrabberLayout("gray16", 6, 1, window=(1000, 2020))
    # (v - 1000) * 255 / 1020 = (v - 1000) / 4: 1001 gives 0.25, 2000 gives 250.
    assert layout.pixels(values).tolist() == [[0, 0, 0, 250, 255, 255]]
    assert layout.pixels(values.astype(">u2")).tolist() == [[0, 0, 0, 250, 255, 255]]
    bottom_up = with_pitch(np.array([[1, 0], [208, 7]], np.uint8), -4)  # 1 and 2000, low byte first
    assert GrabberLayout("gray16", 1, 2, pitch=-4, window=(1000, 2020)).pixels(bottom_up).tolist() == [[0], [250]]


@pytest.mark.parametrize(
    ("yuv_range", "matrix", "yuv", "rgb"),
    [
        # Black, white and pure colours as the recommendations code them (8 bits, rounded).
        ("limited", "bt601", (16, 128, 128), (0, 0, 0)),
        ("limited", "bt601", (235, 128, 128), (255, 255, 255)),
        ("limited", "bt601", (81, 90, 240), (255, 0, 0)),
        ("limited", "bt601", (145, 54, 34), (0, 255, 0)),
        ("limited", "bt601", (41, 240, 110), (0, 0, 255)),
        ("limited", "bt709", (63, 102, 240), (255, 0, 0)),
        ("limited", "bt709", (173, 42, 26), (0, 255, 0)),
        ("limited", "bt709", (32, 240, 118), (0, 0, 255)),
        ("full", "bt601", (0, 128, 128), (0, 0, 0)),
        ("full", "bt601", (255, 128, 128), (255, 255, 255)),
        ("full", "bt601", (76, 85, 255), (255, 0, 0)),  # JPEG's red
        ("full", "bt709", (54, 99, 255), (255, 0, 0)),
        # R = 100 + 1.402 * 50, G = 100 - 0.344136 * -28 - 0.714136 * 50, B = 100 + 1.772 * -28
        ("full", "bt601", (100, 100, 178), (170, 74, 50)),
        # R = (126 - 16) * 255 / 219 + 1.402 * 28 * 255 / 224, G = 128.08 - 0.714136 * 31.875, B = 128.08
        ("limited", "bt601", (126, 128, 156), (173, 105, 128)),
    ],
)
def test_yuv_becomes_the_colour_that_was_coded(
    yuv_range: YuvRange, matrix: YuvMatrix, yuv: tuple[int, int, int], rgb: tuple[int, int, int]
) -> None:
    planes = [np.full((2, 2), value, np.uint8) for value in yuv]
    layout = GrabberLayout("i420", 2, 2, yuv_range=yuv_range, yuv_matrix=matrix)
    pixels = layout.pixels(yuv_memory("i420", *planes))
    # Pure colours were rounded when they were coded: chroma is worth up to two steps of blue.
    assert np.abs(pixels.astype(int) - rgb).max() <= 2
    gray = sum(rgb) == 3 * rgb[0]
    assert not gray or pixels.tolist() == [[list(rgb)] * 2] * 2


@pytest.mark.parametrize("pixel_format", ["nv12", "i420", "yuyv", "uyvy"])
def test_every_layout_of_the_same_frame_gives_the_same_colours(pixel_format: PixelFormat) -> None:
    luma = np.random.default_rng(1).integers(16, 235, (6, 8), np.uint8)
    chroma = np.random.default_rng(2).integers(16, 240, (2, 3, 4), np.uint8)
    u, v = chroma.repeat(2, axis=1).repeat(2, axis=2)
    pixels = GrabberLayout(pixel_format, 8, 6).pixels(yuv_memory(pixel_format, luma, u, v))
    # The definition, pixel by pixel.
    y, cb, cr = (luma - 16.0) / 219, (u - 128.0) / 224, (v - 128.0) / 224
    red, blue = y + 1.402 * cr, y + 1.772 * cb
    green = (y - 0.299 * red - 0.114 * blue) / 0.587
    expected = np.clip(np.stack([red, green, blue], axis=-1) * 255, 0, 255)
    assert np.abs(pixels - expected).max() <= 0.6  # rounding, and OpenCV's fixed point


@pytest.mark.parametrize("pixel_format", ["nv12", "i420", "yuyv", "uyvy"])
def test_gray_of_yuv_is_its_luma_and_full_range_is_not_even_copied(pixel_format: PixelFormat) -> None:
    chroma = np.full(LUMA.shape, U, np.uint8)
    memory = np.frombuffer(yuv_memory(pixel_format, LUMA, chroma, chroma), np.uint8)
    full = GrabberLayout(pixel_format, 4, 2, gray=True, yuv_range="full").pixels(memory)
    assert full.tolist() == LUMA.tolist()
    assert np.shares_memory(full, memory)
    limited = GrabberLayout(pixel_format, 4, 2, gray=True).pixels(memory)
    # (y - 16) * 255 / 219
    assert limited.tolist() == [[0, 128, 255, 76], [86, 98, 109, 121]]


@pytest.mark.parametrize("pixel_format", ["nv12", "i420"])
@pytest.mark.parametrize("sign", [1, -1])
def test_planes_may_have_gaps_between_rows_and_be_given_one_by_one(pixel_format: PixelFormat, sign: int) -> None:
    luma = np.random.default_rng(1).integers(16, 235, (4, 4), np.uint8)
    u, v = (np.array(rows, np.uint8) for rows in ([[90, 100], [110, 120]], [[240, 200], [160, 30]]))
    interleaved = pixel_format == "nv12"
    planes = [with_pitch(luma, sign * 16)]
    planes += [with_pitch(np.stack([u, v], axis=-1), sign * 16)] if interleaved else []
    planes += [] if interleaved else [with_pitch(u, sign * 8), with_pitch(v, sign * 8)]
    layout = GrabberLayout(pixel_format, 4, 4, pitch=sign * 16)
    packed = GrabberLayout("i420", 4, 4).pixels(luma.tobytes() + u.tobytes() + v.tobytes())
    assert layout.pixels(b"".join(planes)).tolist() == packed.tolist()
    assert layout.pixels(*planes).tolist() == packed.tolist()


def test_hd_is_taken_as_bt709_and_smaller_frames_as_bt601() -> None:
    for height, red in ((718, (81, 90, 240)), (720, (63, 102, 240))):
        y, u, v = (np.full((height, 2), value, np.uint8) for value in red)
        pixels = GrabberLayout("nv12", 2, height).pixels(yuv_memory("nv12", y, u, v))
        assert pixels[0, 0].tolist() == pytest.approx([255, 0, 0], abs=2)


@pytest.mark.parametrize("pixel_format", ["gray8", "bgra32", "nv12", "i420", "yuyv", "uyvy"])
def test_a_region_is_what_the_whole_frame_shows_there(pixel_format: PixelFormat) -> None:
    memory = np.random.default_rng(3).integers(0, 256, 10 * 8 * 4, np.uint8)
    whole = GrabberLayout(pixel_format, 10, 8).pixels(memory)
    for region in (Region(3, 1, 4, 5), Region(0, 0, 10, 8), Region(9, 7, 1, 1), Region(2, 3, 5, 4)):
        cut = GrabberLayout(pixel_format, 10, 8, region=region).pixels(memory)
        rows, columns = slice(region.y, region.y + region.height), slice(region.x, region.x + region.width)
        assert cut.tolist() == whole[rows, columns].tolist()


def test_arrays_bring_their_own_strides() -> None:
    upside_down = packed_in("bgra", COLOURS)[::-1]
    assert GrabberLayout("bgra32", 3, 2).pixels(upside_down).tolist() == COLOURS[::-1].tolist()
    wide = np.zeros((2, 64), np.uint8)
    wide[:, :4] = LUMA
    assert GrabberLayout("gray8", 4, 2).pixels(wide[:, :4]).tolist() == LUMA.tolist()


@pytest.mark.parametrize("codec", ["png", "gray8", "rgb24"])
def test_views_of_any_strides_are_coded_as_what_they_show(codec: Any) -> None:
    memory = np.random.default_rng(4).integers(0, 256, (32, 40, 4), np.uint8)
    view = GrabberLayout("bgra32", 40, 32, pitch=-160, region=Region(3, 2, 30, 20)).pixels(memory.tobytes())
    plain = np.ascontiguousarray(memory[::-1][2:22, 3:33, 2::-1])
    assert encode_frame(view, codec).payload == encode_frame(plain, codec).payload
    flipped = plain[::-1, ::-1]
    assert encode_frame(flipped, codec).payload == encode_frame(flipped.copy(), codec).payload


def test_the_colours_of_a_bgr_grabber_arrive_in_a_png() -> None:
    memory = np.zeros((16, 16, 3), np.uint8)
    memory[..., 0] = 250  # blue
    frame = encode_frame(GrabberLayout("bgr24", 16, 16).pixels(memory), "png")
    image = cv2.imdecode(np.frombuffer(frame.payload, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert image[0, 0].tolist() == [250, 0, 0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"format": "yv12"}, "format must be one of gray8, .*, got 'yv12'"),
        ({"format": "gray16"}, r"needs a window \(low, high\), such as \(0, 4095\); got none"),
        ({"format": "gray8", "window": (0, 255)}, r"got \(0, 255\) for gray8"),
        ({"format": "gray16", "window": (7, 7)}, r"low < high, got \(7, 7\)"),
        ({"format": "nv12", "height": 7}, "both even; got 8x7 px"),
        ({"format": "yuyv", "width": 7}, "the width even; got 7x8 px"),
        ({"format": "bgra32", "pitch": 31}, "pitch must be at least the 32 bytes of a row, got 31"),
        ({"format": "i420", "pitch": 9}, "pitch of i420 must be even"),
        ({"format": "gray8", "region": Region(4, 0, 5, 8)}, "within the frame of 8x8 px, got Region"),
        ({"format": "gray8", "region": Region(0, 0, 0, 8)}, "within the frame"),
        ({"format": "nv12", "yuv_range": "tv"}, "yuv_range must be one of limited, full, got 'tv'"),
    ],
)
def test_a_layout_that_cannot_be_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GrabberLayout(**{"width": 8, "height": 8, **arguments})


@pytest.mark.parametrize(
    ("layout", "planes", "message"),
    [
        (GrabberLayout("gray8", 4, 2, pitch=8), (bytes(11),), "pitch of 8 bytes need 12 bytes, got 11"),
        (GrabberLayout("nv12", 4, 4), (bytes(23),), "need 24 bytes, got 23"),
        (GrabberLayout("i420", 4, 4), (bytes(16), bytes(4)), "one memory or 3 planes, got 2"),
        (GrabberLayout("bgra32", 4, 2), (np.zeros((2, 4, 3), np.uint8),), r"shape \(2, 4, 4\).* got shape \(2, 4, 3\)"),
        (GrabberLayout("gray8", 4, 2), (np.zeros((2, 4), np.uint16),), "type uint8 .* type uint16"),
        (GrabberLayout("gray8", 4, 2, pitch=4), (np.zeros((2, 4), np.uint8),), "without a pitch"),
    ],
)
def test_memory_that_does_not_fit_the_layout_is_refused(
    layout: GrabberLayout, planes: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        layout.pixels(*planes)
