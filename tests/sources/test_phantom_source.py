"""The synthetic scanner as a source."""

from __future__ import annotations

import numpy as np
import pytest

from fetalseg.errors import FrameError
from fetalseg.sources import open_source


def test_the_words_decide_seed_length_pace_and_size() -> None:
    with open_source("phantom:seed=3,frames=2,fps=20,height=96,width=128") as source:
        assert (source.fps, source.length) == (20, 2)
        frames = list(source)
    assert [frame.shape for frame in frames] == [(96, 128)] * 2
    assert [frame.timestamp_ms for frame in frames] == [0, 50]
    assert [frame.index for frame in frames] == [0, 1]
    assert frames[0].source == "phantom seed 3"
    assert frames[0].spacing_mm is not None


def test_the_same_seed_gives_the_same_frames_and_another_one_others() -> None:
    def first(seed: int) -> np.ndarray:
        return next(iter(open_source(f"phantom:seed={seed},frames=1,height=96,width=128"))).pixels

    np.testing.assert_array_equal(first(5), first(5))
    assert (first(5) != first(6)).any()


def test_the_bare_word_is_a_cine_of_4_seconds() -> None:
    source = open_source("phantom")
    assert (source.fps, source.length) == (25, 100)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("phantom:colour=1", "unknown phantom option 'colour'; expected seed, frames, fps, height or width"),
        ("phantom:seed=x", "phantom option seed is 'x'; expected a number"),
        ("phantom:seed", "phantom option seed is ''; expected a number"),
        ("phantom:seed=-1", "expected seed >= 0"),
        ("phantom:frames=0", "frames >= 1"),
        ("phantom:fps=nan", "0 < fps <= 1000"),
    ],
)
def test_a_malformed_word_says_what_is_expected(spec: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_source(spec)


def test_a_size_that_cannot_be_a_frame_is_refused() -> None:
    with pytest.raises(FrameError, match="too small"):
        open_source("phantom:height=8")
