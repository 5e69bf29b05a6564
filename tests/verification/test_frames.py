"""The frames that engines are compared on."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from fetalseg.errors import FrameError
from fetalseg.verification.frames import HEIGHT, WIDTH, default_frames, frames_of


def test_the_default_frames_are_always_the_same_with_four_that_no_scanner_makes_at_the_end() -> None:
    one, other = default_frames(2), default_frames(2)
    assert len(one) == 6
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert {(frame.dtype.name, frame.shape) for frame in one} == {("uint8", (HEIGHT, WIDTH))}
    assert len({frame.tobytes() for frame in one}) == 6
    assert [(int(frame.min()), int(frame.max())) for frame in one[2:]] == [
        (0, 255), (0, 0), (0, 255), (0, 255)
    ]  # fmt: skip


def test_a_source_gives_at_most_so_many_frames(tmp_path: Path) -> None:
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((48, 64), number, np.uint8))
    assert [int(frame[0, 0]) for frame in frames_of(str(tmp_path), 2)] == [0, 1]
    assert len(frames_of(str(tmp_path), 9)) == 3


def test_a_source_without_a_frame_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FrameError):
        frames_of(str(tmp_path), 2)
