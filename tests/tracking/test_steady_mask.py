"""A mask over time: pixels counted by hand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from fetalseg.tracking.steady_mask import SteadyMask

FRAME = (120, 160)
WHOLE = (20, 20, 60, 60)


def whole_frame(mask: SteadyMask) -> npt.NDArray[np.bool_]:
    crop, (x1, y1, x2, y2) = mask.shown(FRAME)
    result = np.zeros(FRAME, np.bool_)
    result[y1:y2, x1:x2] = crop
    return result


def square(extra: tuple[int, int] | None = None) -> npt.NDArray[np.bool_]:
    """A square of 40 x 40 px, with one more pixel missing at (y, x)."""
    crop = np.ones((40, 40), np.bool_)
    if extra is not None:
        crop[extra] = False
    return crop


def mix(mask: SteadyMask, crop: npt.NDArray[np.bool_], region: tuple[int, int, int, int] = WHOLE) -> None:
    mask.mix(crop, region, [float(v) for v in region], FRAME)


def test_a_pixel_that_is_missed_once_stays_and_one_that_is_missed_twice_goes() -> None:
    mask = SteadyMask(0.3)
    mask.start(square(), WHOLE)
    mix(mask, square((20, 20)))
    assert whole_frame(mask)[40, 40]  # 0.7
    mix(mask, square((20, 20)))
    assert not whole_frame(mask)[40, 40]  # 0.49
    mix(mask, square())
    mix(mask, square())
    assert whole_frame(mask).sum() == 1600


def test_a_mask_that_moves_is_not_smeared_and_not_late() -> None:
    mask = SteadyMask(0.3)
    mask.start(square(), WHOLE)
    for step in range(1, 12):
        region = (20 + 5 * step, 20 + 2 * step, 60 + 5 * step, 60 + 2 * step)
        mix(mask, square(), region)
        expected = np.zeros(FRAME, np.bool_)
        expected[region[1] : region[3], region[0] : region[2]] = True
        assert (whole_frame(mask) == expected).all()


def test_a_large_mask_that_moves_is_not_smeared_either() -> None:
    frame = (400, 500)
    mask = SteadyMask(0.3)
    mask.start(np.ones((240, 240), np.bool_), (10, 10, 250, 250))
    for step in range(1, 8):
        region = (10 + 7 * step, 10 + 3 * step, 250 + 7 * step, 250 + 3 * step)
        mask.mix(np.ones((240, 240), np.bool_), region, [float(v) for v in region], frame)
        crop, shown = mask.shown(frame)
        ys, xs = np.nonzero(crop)
        found = (xs.min() + shown[0], ys.min() + shown[1], xs.max() + shown[0] + 1, ys.max() + shown[1] + 1)
        assert tuple(map(int, found)) == region
        assert crop.sum() == 240 * 240


def test_half_a_pixel_of_motion_is_not_lost() -> None:
    # The mask grows by a column on the right and loses one on the left in every second frame: half a pixel a frame.
    mask = SteadyMask(0.3)
    mask.start(square(), WHOLE)
    for step in range(1, 41):
        x = 20 + step // 2
        mix(mask, square(), (x, 20, x + 40, 60))
    ys, xs = np.nonzero(whole_frame(mask))
    assert xs.mean() == pytest.approx(20 + 20 + 19.5, abs=0.5)
    assert ys.mean() == pytest.approx(39.5)


def test_a_mask_unlike_the_average_replaces_it() -> None:
    mask = SteadyMask(0.3)
    line = np.zeros((40, 40), np.bool_)
    line[:, 10:14] = True
    mask.start(line, WHOLE)
    other = line.T.copy()
    mix(mask, other)
    expected = np.zeros(FRAME, np.bool_)
    expected[20:60, 20:60] = other
    assert (whole_frame(mask) == expected).all()


def test_a_mask_moves_on_with_a_box_that_is_not_found() -> None:
    mask = SteadyMask(0.3)
    mask.start(square(), WHOLE)
    for _ in range(4):
        mask.move(1.5, -0.25)
    ys, xs = np.nonzero(whole_frame(mask))
    assert (int(xs.min()), int(ys.min())) == (26, 19)


def test_what_leaves_the_frame_is_cut_off() -> None:
    mask = SteadyMask(0.3)
    mask.start(square(), WHOLE)
    mask.move(-40, 0)
    crop, region = mask.shown(FRAME)
    assert region == (0, 20, 20, 60)
    assert crop.shape == (40, 20)
    mask.move(-60, 0)
    assert mask.shown(FRAME)[0].size == 0


def test_without_masks_there_is_none_to_show() -> None:
    mask = SteadyMask(0.3)
    nothing = np.empty((0, 0), np.bool_)
    mask.start(nothing, (30, 30, 30, 30))
    mask.mix(nothing, (31, 30, 31, 30), [30.0, 30.0, 50.0, 50.0], FRAME)
    assert mask.shown(FRAME)[0].size == 0
    mix(mask, square())
    assert whole_frame(mask).sum() == 1600


def test_the_new_mask_is_left_as_it_is() -> None:
    mask, crop = SteadyMask(0.3), square((3, 4))
    before = crop.copy()
    mask.start(crop, WHOLE)
    mix(mask, crop)
    whole_frame(mask)[:] = False
    assert (crop == before).all()
