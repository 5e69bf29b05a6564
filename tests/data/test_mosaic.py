"""Split screens: who shares one, and where structures come to lie."""

from dataclasses import replace

import numpy as np
import pytest

from fetalseg.data.augment import AugmentOptions
from fetalseg.data.frames import AnnotatedFrame, Shape
from fetalseg.data.mosaic import draw_mosaic, split_screen

KNOWN = np.isin(np.arange(17), [0, 5])


def scan(level, known=KNOWN, shape=(40, 60)):
    """A cranium in columns 20..39 of rows 10..29, with mask, and a translucency's box."""
    image = np.full(shape, level, np.uint8)
    corners = np.array([[20, 10], [40, 10], [40, 30], [20, 30]], np.float32)
    band = np.array([[4, 2], [24, 2], [24, 6], [4, 6]], np.float32)
    crop = np.full((20, 20), 255, np.uint8)
    shapes = (Shape(0, corners, crop, (20, 10)), Shape(5, band, None, (0, 0)))
    return AnnotatedFrame(image, shapes, known, level, shape)


def test_four_frames_share_a_screen_of_the_size_of_the_first():
    screen = split_screen([scan(level) for level in (10, 20, 30, 40)])

    assert screen.image.shape == (40, 60)
    assert [int(screen.image[y, x]) for y in (10, 30) for x in (15, 45)] == [10, 20, 30, 40]
    # Each at half its size: the second cranium from (20, 10) at (30 + 10, 5), the third at (10, 20 + 5).
    craniums = [shape for shape in screen.shapes if shape.label == 0]
    assert [shape.corner for shape in craniums] == [(10, 5), (40, 5), (10, 25), (40, 25)]
    assert all(shape.crop.shape == (10, 10) and (shape.crop == 255).all() for shape in craniums)
    np.testing.assert_allclose([craniums[3].outline.min(0), craniums[3].outline.max(0)], [[40, 25], [50, 35]])
    bands = [shape for shape in screen.shapes if shape.label == 5]
    np.testing.assert_allclose(bands[1].outline.min(0), [32, 1])
    assert bands[1].crop is None


def test_two_frames_stand_side_by_side_and_keep_their_aspect():
    screen = split_screen([scan(10), scan(20)])

    # 60 x 40 into 30 x 40: half the size, 20 px high.
    assert (screen.image[:20, :30] == 10).all()
    assert (screen.image[:20, 30:] == 20).all()
    assert (screen.image[20:] == 0).all()
    assert [shape.corner for shape in screen.shapes if shape.label == 0] == [(10, 5), (40, 5)]


def test_frames_with_different_annotated_structures_never_share_a_screen():
    other = scan(20, known=np.isin(np.arange(17), [0, 3, 5]))
    with pytest.raises(ValueError, match="different annotated structures"):
        split_screen([scan(10), other])
    options = AugmentOptions(mosaic_share=1)
    first = scan(10)
    for seed in range(20):
        assert draw_mosaic(first, [other] * 9, options, np.random.default_rng(seed)) is first
        mixed = draw_mosaic(first, [other] * 5 + [scan(30)] * 5, options, np.random.default_rng(seed))
        assert mixed is not first
        assert not (mixed.image == 20).any()


def test_other_numbers_of_frames_are_refused():
    with pytest.raises(ValueError, match="takes 2 or 4 frames, got 3"):
        split_screen([scan(10)] * 3)


def test_no_screen_is_split_by_default_and_its_share_is_kept():
    frames = [scan(level) for level in (10, 20, 30, 40)]
    assert all(
        draw_mosaic(frames[0], frames, AugmentOptions(), np.random.default_rng(s)) is frames[0] for s in range(50)
    )
    options = AugmentOptions(mosaic_share=0.3)
    drawn = [draw_mosaic(frames[0], frames, options, np.random.default_rng(s)) is not frames[0] for s in range(1000)]
    assert np.mean(drawn) == pytest.approx(0.3, abs=0.045)


def test_the_frames_are_left_as_they_are():
    frames = [scan(10), scan(20)]
    before = [replace(frame, image=frame.image.copy()) for frame in frames]
    split_screen(frames)
    for frame, copy in zip(frames, before, strict=True):
        np.testing.assert_array_equal(frame.image, copy.image)
        np.testing.assert_array_equal(frame.shapes[0].outline, copy.shapes[0].outline)
