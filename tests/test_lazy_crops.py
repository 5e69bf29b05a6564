"""Masks that are made when they are asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fetalseg.instances import Instances
from fetalseg.lazy_crops import LazyCrops, Mask


class Maker:
    """Makes masks 1 px high and i + 1 px wide, and notes which."""

    def __init__(self) -> None:
        self.made: list[int] = []

    def __call__(self, index: int) -> Mask:
        self.made.append(index)
        return np.ones((1, index + 1), np.bool_)


def lazy(maker: Maker, n: int) -> LazyCrops:
    return LazyCrops([(1, index + 1) for index in range(n)], maker)


def test_a_mask_is_made_once_and_only_when_it_is_asked_for() -> None:
    maker = Maker()
    crops = lazy(maker, 5)
    assert (len(crops), maker.made) == (5, [])
    assert [crops[3].shape, crops[3].shape, crops[-1].shape] == [(1, 4), (1, 4), (1, 5)]
    assert maker.made == [3, 4]
    assert [crop.shape for crop in crops] == crops.shapes
    assert sorted(maker.made) == [0, 1, 2, 3, 4]
    with pytest.raises(IndexError):
        crops[5]


def test_what_is_chosen_shares_what_is_made() -> None:
    maker = Maker()
    crops = lazy(maker, 5)
    part = crops.take([4, 1])
    assert (part.shapes, crops[1:4:2].shapes, maker.made) == ([(1, 5), (1, 2)], [(1, 2), (1, 4)], [])
    assert part[1] is crops[1]
    assert maker.made == [1]


def test_a_table_of_instances_makes_none() -> None:
    maker = Maker()
    boxes = np.array([[0, 0, 1, 1], [0, 0, 2, 1], [0, 0, 3, 1]])
    table = Instances(
        labels=np.zeros(3, np.int64),
        scores=np.ones(3, np.float32),
        boxes=boxes.astype(np.float32),
        crops=lazy(maker, 3),
        crop_boxes=boxes,
        frame_shape=(4, 4),
    )
    chosen = table[np.array([True, False, True])]
    assert maker.made == []
    assert chosen.masks.sum(axis=(1, 2)).tolist() == [1, 3]
    assert sorted(maker.made) == [0, 2]
    with pytest.raises(ValueError, match=r"a crop of shape \(1, 1\) doesn't fit its crop box \[0, 0, 3, 1\]"):
        replace(table, crop_boxes=boxes[::-1])
