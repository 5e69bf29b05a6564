"""Folders: order, what is passed over, what counts as failed."""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

from fetalseg.errors import FrameError
from fetalseg.sources import open_source
from fetalseg.sources.folder import natural_order

from .dicom_files import write


def write_gray(path: Path, level: int) -> Path:
    path.write_bytes(cv2.imencode(path.suffix, np.full((32, 32), level, np.uint8))[1].tobytes())
    return path


def test_numbers_in_names_are_sorted_as_numbers() -> None:
    names = ["b1", "a10", "a2", "A1", "a", "10", "9", "a2b10", "a2b9"]
    ordered = sorted((Path(name) for name in names), key=natural_order)
    assert [path.name for path in ordered] == ["9", "10", "a", "A1", "a2", "a2b9", "a2b10", "a10", "b1"]


def test_images_come_in_natural_order_and_are_numbered_through(tmp_path: Path) -> None:
    for i in (10, 2, 1):
        write_gray(tmp_path / f"frame{i}.png", i)
    with open_source(tmp_path) as source:
        assert source.length == 3
        frames = list(source)
    assert [(f.index, f.source, int(f.pixels[0, 0])) for f in frames] == [
        (0, "frame1.png", 1),
        (1, "frame2.png", 2),
        (2, "frame10.png", 10),
    ]
    assert source.failures == []


def test_multi_frame_files_are_unrolled(tmp_path: Path) -> None:
    write_gray(tmp_path / "a.png", 5)
    write(tmp_path / "b.dcm", np.stack([np.full((32, 32), level, np.uint8) for level in (6, 7)]))
    source = open_source(tmp_path)
    assert source.length is None
    assert [(f.index, int(f.pixels[0, 0])) for f in source] == [(0, 5), (1, 6), (2, 7)]


def test_other_files_are_passed_over_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_gray(tmp_path / "a.png", 5)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "inner").mkdir()
    with caplog.at_level(logging.WARNING):
        assert len(list(open_source(tmp_path))) == 1
    assert "2 of 3 files are no images and are skipped" in caplog.text


def test_a_broken_file_does_not_stop_the_rest(tmp_path: Path) -> None:
    write_gray(tmp_path / "1.jpg", 5)
    good = write_gray(tmp_path / "2.jpg", 6)
    good.write_bytes(good.read_bytes()[:-10])
    write_gray(tmp_path / "3.jpg", 7)
    source = open_source(tmp_path)
    assert [(f.index, f.source) for f in source] == [(0, "1.jpg"), (1, "3.jpg")]
    assert [str(failure)[:21] for failure in source.failures] == ["2.jpg: truncated JPEG"]
    # A second round starts afresh.
    assert len(list(source)) == 2
    assert len(source.failures) == 1


def test_a_folder_without_images_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(FrameError, match=r"holds no image, video or DICOM file \(of 1 files\)"):
        open_source(tmp_path)


def test_a_folder_of_broken_files_only_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(FrameError, match="none of 1 files can be read"):
        list(open_source(tmp_path))
