"""DICOM files: what pydicom ships, and files written here with the oddities that consoles produce."""

from __future__ import annotations

import logging
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels import pixel_array
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from fetalseg.errors import FrameError, FrameTooLargeError
from fetalseg.frame import Frame
from fetalseg.sources import open_source
from fetalseg.sources.dicom import DicomSource

from .dicom_files import data_set, gray_jpegs, write, write_encapsulated

RAMP = np.add.outer(np.arange(40), 3 * np.arange(60)).astype(np.uint8)
CINE = np.stack([RAMP, RAMP[::-1], RAMP[:, ::-1]])
COLOUR_CINE = np.stack([CINE, 255 - CINE, CINE // 2], axis=-1)

# Bands of pydicom's SC_rgb_*.dcm from top to bottom, 10 rows each.
BANDS = [
    (255, 0, 0),
    (255, 128, 128),
    (0, 255, 0),
    (128, 255, 128),
    (0, 0, 255),
    (128, 128, 255),
    (0, 0, 0),
    (64, 64, 64),
    (192, 192, 192),
    (255, 255, 255),
]


def frames_of(path: Path | str) -> list[Frame]:
    with DicomSource(Path(path)) as source:
        return list(source)


def shipped(name: str) -> Path:
    found = get_testdata_file(name, download=False)
    assert found is not None
    return Path(str(found))


@pytest.mark.parametrize(
    "name",
    [
        "SC_rgb_dcmtk_+eb+cr.dcm",  # JPEG baseline coded as RGB
        "SC_rgb_dcmtk_+eb+cy+n1.dcm",  # JPEG baseline YBR_FULL
        "SC_rgb_dcmtk_+eb+cy+np.dcm",  # JPEG baseline YBR_FULL_422
        "SC_rgb_dcmtk_+eb+cy+s4.dcm",  # JPEG baseline 4:1:1
        "SC_rgb_jpeg_lossy_gdcm.dcm",
        "SC_rgb_jpeg_gdcm.dcm",  # JPEG lossless
        "SC_rgb_jls_lossy_line.dcm",  # JPEG-LS, line interleaved
        "SC_rgb_jls_lossy_sample.dcm",  # JPEG-LS, sample interleaved
        "SC_rgb_gdcm_KY.dcm",  # JPEG 2000
        "SC_rgb_rle.dcm",
        "SC_rgb_rle_16bit.dcm",
        "SC_rgb_rle_32bit.dcm",
        "SC_rgb_rle_2frame.dcm",
        "SC_ybr_full_422_uncompressed.dcm",
    ],
)
def test_every_colour_coding_gives_the_same_bands_in_rgb(name: str) -> None:
    first = frames_of(shipped(name))[0].pixels
    assert first.shape == (100, 100, 3)
    for row, colour in zip(range(5, 100, 10), BANDS, strict=True):
        np.testing.assert_allclose(first[row, 50].astype(int), colour, atol=6)


@pytest.mark.parametrize(
    "name",
    [
        "MR_small_RLE.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_implicit.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
    ],
)
def test_every_lossless_coding_of_16_bit_gray_gives_the_same_picture(name: str) -> None:
    expected = frames_of(shipped("MR_small.dcm"))[0]
    frame = frames_of(shipped(name))[0]
    np.testing.assert_array_equal(frame.pixels, expected.pixels)
    assert frame.spacing_mm == (0.3125, 0.3125)


def test_the_ultrasound_cine_of_pydicom_is_a_cine_of_30_frames() -> None:
    with open_source("pydicom:examples_ybr_color.dcm") as cine:
        assert cine.length == 30
        assert cine.fps == pytest.approx(30.0, abs=0.001)
        frames = list(cine)
    assert [frame.index for frame in frames] == list(range(30))
    assert frames[3].timestamp_ms == pytest.approx(3 * 33.333)
    assert {frame.pixels.shape for frame in frames} == {(240, 320, 3)}
    # The blue button bar at the bottom and the green orientation mark at the top.
    assert frames[0].pixels[231, 43].argmax() == 2
    red, green, blue = frames[0].pixels[20, 191].astype(int)
    assert green > red + 30
    assert green > blue
    # Its region reaches from 84 to 595 in a frame 320 wide: it was calibrated before it was shrunk.
    assert frames[0].spacing_mm is None


def test_ultrasound_stills_of_pydicom_are_read() -> None:
    palette = frames_of(shipped("examples_palette.dcm"))[0]
    assert palette.pixels.shape == (350, 800, 3)
    stored = dcmread(shipped("examples_palette.dcm"))
    value = stored.PixelData[5 * 800 + 5]  # in the blue title bar
    tables = [getattr(stored, f"{colour}PaletteColorLookupTableData") for colour in ("Red", "Green", "Blue")]
    top_bytes = [table[2 * value + 1] for table in tables]
    np.testing.assert_array_equal(palette.pixels[5, 5], top_bytes)
    assert palette.pixels[5, 5].argmax() == 2
    assert palette.spacing_mm is None  # its region ends at row 518 of 350
    power_doppler = frames_of(shipped("examples_jpeg2k.dcm"))[0].pixels
    assert power_doppler.shape == (480, 640, 3)
    small = frames_of(shipped("examples_rgb_color.dcm"))[0].pixels
    assert small.shape == (240, 320, 3)
    # The same patient and view, frame and half its size: red and yellow flow in both.
    assert power_doppler.mean((0, 1)).astype(int) == pytest.approx(small.mean((0, 1)).astype(int), abs=2)
    big_endian = frames_of(shipped("ExplVR_BigEnd.dcm"))[0].pixels
    np.testing.assert_array_equal(big_endian[30, 40], [255, 255, 0])  # planar, inside the colour box


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
@pytest.mark.parametrize("pixels", [CINE, COLOUR_CINE], ids=["gray", "colour"])
def test_uncompressed_cines_come_back_bit_for_bit(tmp_path: Path, syntax: str, pixels: np.ndarray) -> None:
    path = write(tmp_path / "cine.dcm", pixels, colour=pixels.ndim == 4, syntax=syntax)
    np.testing.assert_array_equal([frame.pixels for frame in frames_of(path)], pixels)


def test_planar_colour_is_interleaved(tmp_path: Path) -> None:
    planes = np.ascontiguousarray(np.moveaxis(COLOUR_CINE, -1, 1))
    path = write(tmp_path / "planar.dcm", COLOUR_CINE, colour=True, PlanarConfiguration=1)
    dataset = dcmread(path)
    dataset.PixelData = planes.tobytes()
    dataset.save_as(path)
    np.testing.assert_array_equal([frame.pixels for frame in frames_of(path)], COLOUR_CINE)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_losslessly_compressed_cines_come_back_bit_for_bit(tmp_path: Path, syntax: str) -> None:
    dataset = data_set(CINE)
    dataset.PixelData = CINE.tobytes()
    dataset.compress(syntax, CINE, generate_instance_uid=False)
    dataset.save_as(tmp_path / "cine.dcm", enforce_file_format=True)
    np.testing.assert_array_equal([frame.pixels for frame in frames_of(tmp_path / "cine.dcm")], CINE)


def test_monochrome1_is_shown_inverted(tmp_path: Path) -> None:
    path = write(tmp_path / "negative.dcm", CINE, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(frames_of(path)[0].pixels, 255 - RAMP)


def test_brightness_of_a_16_bit_cine_without_a_window_is_fixed_by_its_first_frame(tmp_path: Path) -> None:
    first = np.linspace(1000, 3000, 400).reshape(20, 20).astype(np.uint16)
    path = write(tmp_path / "deep.dcm", np.stack([first, np.full_like(first, 2000), np.full_like(first, 4000)]))
    frames = frames_of(path)
    assert (frames[0].pixels.min(), frames[0].pixels.max()) == (0, 255)
    assert (frames[1].pixels == 128).all()
    assert (frames[2].pixels == 255).all()


def test_frames_are_decoded_when_they_are_asked_for(tmp_path: Path) -> None:
    pixels = np.zeros((120, 480, 640), np.uint8)
    for path in (
        write(tmp_path / "raw.dcm", pixels),
        write_encapsulated(tmp_path / "jpeg.dcm", pixels, gray_jpegs(pixels)),
    ):
        source = DicomSource(path)
        tracemalloc.start()
        for frame in source:
            assert frame.shape == (480, 640)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 12 * 480 * 640, path.name


def test_a_source_can_be_iterated_again() -> None:
    source = DicomSource(shipped("SC_rgb_rle_2frame.dcm"))
    assert len(list(source)) == len(list(source)) == 2


def test_a_still_has_no_time(tmp_path: Path) -> None:
    source = DicomSource(write(tmp_path / "still.dcm", CINE[:1], FrameTime=40.0))
    assert source.fps is None
    assert next(iter(source)).timestamp_ms is None


def test_a_truncated_jpeg_frame_is_an_error_after_the_good_ones(tmp_path: Path) -> None:
    coded = gray_jpegs(CINE)
    coded[1] = coded[1][:-20]
    source = DicomSource(write_encapsulated(tmp_path / "cut.dcm", CINE, coded))
    frames = iter(source)
    assert next(frames).index == 0
    with pytest.raises(FrameError, match=r"cut\.dcm: frame 1: truncated JPEG"):
        next(frames)


@pytest.mark.parametrize("name", ["examples_jpeg2k.dcm", "MR_small_jpeg_ls_lossless.dcm", "SC_rgb_jpeg_gdcm.dcm"])
def test_other_truncated_codes_are_errors(tmp_path: Path, name: str) -> None:
    dataset = dcmread(shipped(name))
    (coded,) = generate_frames(dataset.PixelData, number_of_frames=1)
    dataset.PixelData = encapsulate([coded[: len(coded) // 2]])
    dataset.save_as(tmp_path / name)
    with pytest.raises(FrameError, match=r"truncated JPEG.*without an end marker"):
        frames_of(tmp_path / name)


def test_fewer_frames_than_promised_is_an_error(tmp_path: Path) -> None:
    compressed = write_encapsulated(tmp_path / "short.dcm", CINE, gray_jpegs(CINE[:2]))
    raw = write(tmp_path / "raw.dcm", CINE[:2], NumberOfFrames=3)
    for path in (compressed, raw):
        with pytest.raises(FrameError, match=path.name):
            frames_of(path)


def test_a_file_cut_off_is_an_error_that_quotes_no_patient(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = write(tmp_path / "whole.dcm", CINE).read_bytes()
    cut = tmp_path / "cut.dcm"
    with caplog.at_level(logging.DEBUG):
        for length in (140, 200, 300, 400, 500, 600, len(whole) - 2000):
            cut.write_bytes(whole[:length])
            with pytest.raises(FrameError) as raised:
                frames_of(cut)
            assert "SECRET" not in str(raised.value)
    assert "SECRET" not in caplog.text


def test_a_frame_of_another_size_than_promised_is_an_error(tmp_path: Path) -> None:
    path = write_encapsulated(tmp_path / "size.dcm", CINE, gray_jpegs(CINE[:, :32, :48]))
    with pytest.raises(FrameError, match="JPEG of 48x32 px; the file promises 60x40"):
        frames_of(path)


def test_sizes_that_cannot_be_a_frame_are_refused_before_decoding(tmp_path: Path) -> None:
    with pytest.raises(FrameTooLargeError, match=r"huge\.dcm: frame of 20000x20000 px"):
        DicomSource(write(tmp_path / "huge.dcm", CINE, Rows=20000, Columns=20000))
    with pytest.raises(FrameError, match="frame of 3x3 px is too small"):
        DicomSource(shipped("SC_rgb_small_odd.dcm"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("reportsi.dcm", "no image in it: Rows, Columns, PhotometricInterpretation missing"),
        ("waveform_ecg.dcm", "no image in it"),
        ("meta_missing_tsyntax.dcm", "no transfer syntax"),
        ("MR_truncated.dcm", "can't be decoded"),
        ("rtstruct.dcm", "not a DICOM file"),
        ("JPGExtended.dcm", "12-bit precision"),
    ],
)
def test_files_without_a_readable_image_say_why(name: str, message: str) -> None:
    with pytest.raises(FrameError, match=message):
        frames_of(shipped(name))


def test_an_unknown_photometric_interpretation_lists_the_known_ones(tmp_path: Path) -> None:
    path = write(tmp_path / "odd.dcm", CINE, PhotometricInterpretation="CMYK")
    with pytest.raises(FrameError, match="'CMYK'; expected one of MONOCHROME1, MONOCHROME2, PALETTE COLOR, RGB"):
        DicomSource(path)


def test_no_pixel_data_is_an_error(tmp_path: Path) -> None:
    dataset = data_set(CINE)
    dataset.save_as(tmp_path / "empty.dcm", enforce_file_format=True)
    with pytest.raises(FrameError, match="no pixel data"):
        frames_of(tmp_path / "empty.dcm")


def test_colours_agree_with_pydicom_itself() -> None:
    path = shipped("examples_ybr_color.dcm")
    np.testing.assert_array_equal(frames_of(path)[7].pixels, pixel_array(path, index=7))
