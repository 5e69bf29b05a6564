from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from fetalseg.anatomy import VIEWS
from fetalseg_server.client.cine_file import BUILT_IN, read_cine, write_phantom_cine
from fetalseg_server.client.encoded_frame import EncodedFrame


def decoded(frame: EncodedFrame) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(frame.payload, np.uint8), cv2.IMREAD_UNCHANGED)
    assert image is not None
    return image


def test_a_cine_that_was_written_is_read_back_with_its_cuts(tmp_path: Path) -> None:
    write_phantom_cine(tmp_path, seed=1, frames_per_view=2, width=160, height=112, quality=80)
    frames = read_cine(tmp_path, source="synthetic")
    assert len(frames) == 2 * len(VIEWS)
    assert [frame.discontinuity for frame in frames] == [True, False] * len(VIEWS)
    assert {decoded(frame).shape for frame in frames} == {(112, 160)}
    assert {frame.source for frame in frames} == {"synthetic"}


def test_the_same_seed_writes_the_same_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_phantom_cine(tmp_path / name, seed=5, frames_per_view=1, width=160, height=112, quality=80)
    for file in ("cine.json", "cine.mjpeg"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_the_built_in_cine_is_whole_shows_six_views_and_loads_quickly() -> None:
    index = json.loads((BUILT_IN / "cine.json").read_text())
    size = (BUILT_IN / index["file"]).stat().st_size
    assert sum(index["frame_bytes"]) == size <= 1_500_000
    assert len(index["cuts"]) == len(VIEWS)
    frames = read_cine(BUILT_IN)
    assert {decoded(frame).shape for frame in frames} == {(index["height"], index["width"])}
