"""From a user's words to a source."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from fetalseg.errors import FrameError, FrameTooLargeError, MissingExtraError
from fetalseg.sources import open_source
from fetalseg.sources.dicom import DicomSource
from fetalseg.sources.images import ImageSource

from .dicom_files import write

RAMP = np.add.outer(np.arange(40), 3 * np.arange(60)).astype(np.uint8)


@pytest.mark.parametrize("name", ["still.png", "still.bmp", "still.jpg", "no suffix", "wrong.mp4"])
def test_an_image_is_told_by_its_content(tmp_path: Path, name: str) -> None:
    suffix = Path(name).suffix if Path(name).suffix in (".png", ".bmp", ".jpg") else ".png"
    (tmp_path / name).write_bytes(cv2.imencode(suffix, RAMP)[1].tobytes())
    with open_source(str(tmp_path / name)) as source:
        assert isinstance(source, ImageSource)
        assert (source.name, source.length, source.fps) == (name, 1, None)
        (frame,) = source
    assert frame.shape == (40, 60)
    assert (frame.source, frame.index, frame.timestamp_ms, frame.spacing_mm) == (name, 0, None, None)


def test_dicom_is_told_by_its_content(tmp_path: Path) -> None:
    path = write(tmp_path / "IM_0001", RAMP[None])
    assert isinstance(open_source(path), DicomSource)


def test_a_file_of_pydicom_is_opened_by_name() -> None:
    assert open_source("pydicom:SC_rgb_rle_2frame.dcm").length == 2


def test_an_unknown_file_of_pydicom_is_an_error() -> None:
    with pytest.raises(FrameError, match=r"pydicom has no test file 'nothing\.dcm'"):
        open_source("pydicom:nothing.dcm")


def test_dicom_without_pydicom_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.dcm", RAMP[None])
    monkeypatch.setitem(sys.modules, "pydicom", None)
    monkeypatch.setitem(sys.modules, "pydicom.data", None)
    for spec in (path, "pydicom:examples_ybr_color.dcm"):
        with pytest.raises(MissingExtraError, match=r"pip install 'fetalseg\[dicom\]'"):
            open_source(spec)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"an empty file; expected JPEG, PNG, BMP, DICOM or a video"),
        (b"just text", r"a file that starts with 6a 75 73 74"),
    ],
)
def test_other_files_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "file.png"
    path.write_bytes(content)
    with pytest.raises(FrameError, match=rf"file\.png: {message}"):
        open_source(path)


def test_a_broken_image_names_its_file_and_keeps_the_kind_of_error(tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    whole = cv2.imencode(".jpg", RAMP)[1].tobytes()
    path.write_bytes(whole[:-30])
    with pytest.raises(FrameError, match=r"cut\.jpg: truncated JPEG"):
        list(open_source(path))
    at = whole.index(b"\xff\xc0") + 5
    path.write_bytes(whole[:at] + (20000).to_bytes(2, "big") * 2 + whole[at + 4 :])
    with pytest.raises(FrameTooLargeError, match=r"cut\.jpg: frame of 20000x20000 px"):
        list(open_source(path))


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="no file or folder"):
        open_source(tmp_path / "nowhere.png")


def test_a_path_is_never_taken_for_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FrameError, match="no file or folder phantom"):
        open_source(Path("phantom"))


@pytest.mark.parametrize("spec", ["camera:", "camera:front", "camera:-1"])
def test_a_camera_has_a_number(spec: str) -> None:
    with pytest.raises(ValueError, match="expected a number as in camera:0"):
        open_source(spec)


def test_a_camera_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FrameError, match="camera 97 can't be opened"):
        open_source("camera:97")
