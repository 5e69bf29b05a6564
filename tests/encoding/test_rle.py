"""Run lengths: equal to what pycocotools writes, readable by it, and read back as it reads them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco

from fetalseg.encoding import compressed_runs, decode_crop, decode_mask, decode_runs, run_lengths


def ours(crop: npt.NDArray[np.bool_], corner: tuple[int, int], frame_shape: tuple[int, int]) -> str:
    return compressed_runs(run_lengths(crop, corner, frame_shape))


def theirs(crop: npt.NDArray[np.bool_], corner: tuple[int, int], frame_shape: tuple[int, int]) -> str:
    mask = np.zeros(frame_shape, np.uint8, order="F")
    mask[corner[1] : corner[1] + crop.shape[0], corner[0] : corner[0] + crop.shape[1]] = crop
    text: str = coco.encode(mask)["counts"].decode()
    return text


def test_runs_go_down_the_columns_and_begin_with_background() -> None:
    crop = np.array([[True, False], [True, True]])
    # Columns of the frame, each three high: 000, 011, 001.
    assert run_lengths(crop, (1, 1), (3, 3)).tolist() == [4, 2, 2, 1]


def test_a_run_goes_on_from_the_foot_of_a_column_to_the_head_of_the_next() -> None:
    assert run_lengths(np.ones((2, 2), np.bool_), (1, 0), (2, 4)).tolist() == [2, 4, 2]


@pytest.mark.parametrize(
    ("crop_shape", "corner", "frame_shape"),
    [
        ((0, 0), (3, 2), (7, 9)),
        ((0, 4), (0, 0), (7, 9)),
        ((7, 9), (0, 0), (7, 9)),
        ((1, 40), (0, 0), (1, 40)),
        ((40, 1), (0, 0), (40, 1)),
        ((1, 1), (8, 6), (7, 9)),
        ((1, 1), (0, 0), (1, 1)),
        ((768, 1024), (0, 0), (768, 1024)),
    ],
)
@pytest.mark.parametrize("value", [False, True])
def test_empty_and_full_masks_of_any_shape(
    crop_shape: tuple[int, int], corner: tuple[int, int], frame_shape: tuple[int, int], value: bool
) -> None:
    crop = np.full(crop_shape, value)
    assert ours(crop, corner, frame_shape) == theirs(crop, corner, frame_shape)


# pycocotools 2 isn't written for NumPy 2 yet.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@settings(deadline=None)
@given(
    crop=arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12))),
    before=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    after=st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_any_crop_anywhere_is_written_as_pycocotools_writes_it(
    crop: npt.NDArray[np.bool_], before: tuple[int, int], after: tuple[int, int]
) -> None:
    frame_shape = (before[1] + crop.shape[0] + after[1], before[0] + crop.shape[1] + after[0])
    text = ours(crop, before, frame_shape)
    assert text == theirs(crop, before, frame_shape)
    decoded = coco.decode({"size": list(frame_shape), "counts": text.encode()})
    assert np.array_equal(decoded[before[1] : before[1] + crop.shape[0], before[0] : before[0] + crop.shape[1]], crop)
    assert decoded.sum() == crop.sum()
    assert np.array_equal(decode_mask(text, frame_shape), decoded)


def test_long_runs_and_large_differences_survive() -> None:
    frame_shape = (4096, 4096)
    crop = np.zeros((4000, 3), np.bool_)
    crop[::2, 1] = True
    text = ours(crop, (4000, 90), frame_shape)
    assert text == theirs(crop, (4000, 90), frame_shape)
    assert decode_runs(text, frame_shape).tolist() == run_lengths(crop, (4000, 90), frame_shape).tolist()


def test_a_mask_is_read_down_the_columns_beginning_with_background() -> None:
    assert decode_mask([3, 2, 1], (2, 3)).tolist() == [[False, False, True], [False, True, False]]
    assert not decode_mask([6], (2, 3)).any()


@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        # '0' is 48: the characters 3, 2, 1 are the runs themselves.
        ("321", [3, 2, 1]),
        (b"321", [3, 2, 1]),
        # 20 = 20 + 0 * 32: first digit 20 with the continuation bit 32 is chr(48 + 52) = 'd', then '0'.
        # The fourth run is coded as its difference to the second: 20 - 20 = 0.
        ("5d010", [5, 20, 1, 20]),
        # Second run 4, fourth run 1: difference -3 is 29 in five bits, chr(48 + 29) = 'M'.
        ("143M", [1, 4, 3, 1]),
    ],
    ids=["one character each", "bytes", "two digits and a difference", "negative difference"],
)
def test_compressed_text_worked_out_by_hand_is_read(text: str | bytes, lengths: list[int]) -> None:
    assert decode_runs(text, (1, sum(lengths))).tolist() == lengths


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([3, 2], "covers 5 pixels, expected 2 x 3 = 6"),
        ("32", "covers 5 pixels, expected 2 x 3 = 6"),
        ("", "covers 0 pixels"),
        ([], "covers 0 pixels"),
        ([7, -1], "negative run, -1"),
        ([2**62, 2**62, 2**62, 2**62, 6], "a run of 4611686018427387904 pixels, expected at most 2 x 3"),
        ([2**70], "neither compressed text nor run lengths"),
        ([[3], [3]], "neither compressed text nor run lengths: an array of 2 dimensions"),
        (["x"], "neither compressed text nor run lengths"),
        (None, "neither compressed text nor run lengths"),
        ("3 1", "outside"),
        ("3\u20ac", "outside"),
        ("32d", "ends inside a run"),
        ("d" * 9 + "0", "longer than any image"),
    ],
)
def test_malformed_runs_are_refused_with_the_reason(counts: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode_runs(counts, (2, 3))


@settings(deadline=None)
@given(arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.booleans()))
def test_a_crop_holds_the_whole_mask_and_no_empty_edge(mask: npt.NDArray[np.bool_]) -> None:
    crop, (x, y) = decode_crop(run_lengths(mask, (0, 0), mask.shape).tolist(), mask.shape)
    height, width = crop.shape
    assert np.array_equal(crop, mask[y : y + height, x : x + width])
    assert crop.sum() == mask.sum()
    if mask.any():
        assert all(edge.any() for edge in (crop[0], crop[-1], crop[:, 0], crop[:, -1]))
    else:
        assert crop.shape == (0, 0)


def test_a_crop_may_come_from_runs_of_no_length() -> None:
    # Columns of a frame of two by three: 00, 01, 00; its first and last foreground runs are empty.
    crop, corner = decode_crop([1, 0, 2, 1, 1, 0, 1], (2, 3))
    assert (crop.tolist(), corner) == ([[True]], (1, 1))
