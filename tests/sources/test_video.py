"""Video files written here with OpenCV."""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from fetalseg.errors import FrameError
from fetalseg.sources import open_source
from fetalseg.sources.video import VideoSource, is_video


def write_video(path: Path, *, frames: int = 10, fps: float = 20.0, size: tuple[int, int] = (48, 64)) -> Path:
    """Frame i is uniformly (20 * i, 100, 50) in RGB."""
    code = "MJPG" if path.suffix == ".avi" else "mp4v"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), fps, size[::-1])
    for i in range(frames):
        frame = np.empty((*size, 3), np.uint8)
        frame[:] = 50, 100, 20 * i
        writer.write(frame)
    writer.release()
    return path


@pytest.mark.parametrize("name", ["cine.mp4", "cine.avi", "cine.mkv"])
def test_frames_are_rgb_in_order_and_timed(tmp_path: Path, name: str) -> None:
    with open_source(write_video(tmp_path / name)) as source:
        assert isinstance(source, VideoSource)
        assert source.fps == pytest.approx(20)
        assert source.length == 10
        frames = list(source)
    assert [frame.index for frame in frames] == list(range(10))
    assert [frame.timestamp_ms for frame in frames] == pytest.approx([50.0 * i for i in range(10)])
    for i, frame in enumerate(frames):
        assert frame.shape == (48, 64)
        assert frame.source == name
        np.testing.assert_allclose(frame.pixels.reshape(-1, 3).mean(0), [20 * i, 100, 50], atol=5)


def test_a_video_can_be_iterated_again_and_left_early(tmp_path: Path) -> None:
    source = VideoSource(write_video(tmp_path / "cine.mp4"))
    assert next(iter(source)).index == 0
    assert len(list(source)) == 10


def test_an_animated_gif_is_a_video(tmp_path: Path) -> None:
    pictures = [Image.fromarray(np.full((32, 32), 80 * i, np.uint8)) for i in range(3)]
    pictures[0].save(tmp_path / "cine.gif", save_all=True, append_images=pictures[1:], duration=100)
    frames = list(open_source(tmp_path / "cine.gif"))
    assert [int(frame.pixels.mean()) for frame in frames] == [0, 80, 160]


def test_a_video_without_its_index_is_an_error(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mp4").read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FrameError, match=r"cut\.mp4: not a video that FFmpeg can read"):
        open_source(cut)


def test_a_video_that_ends_early_gives_what_it_has_and_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = write_video(tmp_path / "whole.avi", frames=12, size=(480, 640)).read_bytes()
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole[: len(whole) // 2])
    source = VideoSource(cut)
    with caplog.at_level(logging.WARNING):
        frames = list(source)
    assert 0 < len(frames) < 12
    assert f"cut.avi ended after {len(frames)} of 12 frames" in caplog.text


def test_a_video_too_small_to_show_anatomy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FrameError, match="8x8 px is too small"):
        VideoSource(write_video(tmp_path / "tiny.avi", size=(8, 8)))


def test_a_play_list_never_reaches_ffmpeg(tmp_path: Path) -> None:
    play_list = tmp_path / "list.mp4"
    play_list.write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n")
    with pytest.raises(FrameError, match=r"list\.mp4: a file that starts with 23 45 58"):
        open_source(play_list)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\x00\x00\x00\x1cftypisom", True),
        (b"RIFF\x00\x00\x00\x00AVI LIST", True),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", False),
        (b"\x1a\x45\xdf\xa3" + bytes(12), True),
        (b"ffconcat version 1.0", False),
        (b"", False),
    ],
)
def test_containers_are_told_by_their_first_bytes(head: bytes, expected: bool) -> None:
    assert is_video(head) is expected
