"""Halves become float32 exactly."""

from __future__ import annotations

import numpy as np

from fetalseg.engines.half_precision import to_float32


def every_half() -> np.ndarray:
    return np.arange(2**16, dtype=np.uint32).astype(np.uint16).view(np.float16)


def test_every_half_is_exact_with_its_sign() -> None:
    halves = every_half()
    for values in (halves[np.isfinite(halves)], halves):
        wide = to_float32(values)
        assert wide.dtype == np.float32
        with np.errstate(invalid="ignore"):  # NumPy tells of signalling NaNs
            assert np.array_equal(wide.view(np.uint32), values.astype(np.float32).view(np.uint32))


def test_shape_and_values_of_a_strided_array_are_kept() -> None:
    values = np.arange(24, dtype=np.float16).reshape(2, 3, 4)[:, :, ::2]
    assert np.array_equal(to_float32(values), values.astype(np.float32))
    assert to_float32(np.zeros((1, 0, 3), np.float16)).shape == (1, 0, 3)


def test_other_types_pass_as_they_are() -> None:
    values = np.zeros(3, np.float32)
    assert to_float32(values) is values
