"""Pairs with the largest sum: against all possibilities, and by hand."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from fetalseg.tracking.assignment import best_pairs

tables = st.integers(0, 4).flatmap(
    lambda columns: st.lists(
        st.lists(st.integers(0, 20).map(lambda v: v / 20), min_size=columns, max_size=columns), max_size=4
    )
)


def best_sum(similarity: list[list[float]], minimum: float) -> float:
    """The largest sum by trying every way of giving each row a column of its own, or none."""
    rows, columns = len(similarity), len(similarity[0]) if similarity else 0
    ways = itertools.permutations([*range(columns), *[-1] * rows], rows)
    values = [[similarity[i][j] for i, j in enumerate(way) if j >= 0] for way in ways]
    return max(sum((v for v in line if v >= minimum), 0.0) for line in values)


@given(tables)
def test_no_other_pairs_have_a_larger_sum(similarity: list[list[float]]) -> None:
    pairs = best_pairs(similarity, 0.25)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    assert all(similarity[i][j] >= 0.25 for i, j in pairs)
    assert abs(sum(similarity[i][j] for i, j in pairs) - best_sum(similarity, 0.25)) < 1e-9


def test_the_nearest_is_left_to_another_where_both_gain() -> None:
    # The first row prefers column 0 (0.9), but then the second, which fits nowhere else, would stay alone.
    assert best_pairs([[0.9, 0.8], [0.85, 0.1]], 0.2) == [(0, 1), (1, 0)]


def test_what_is_less_alike_than_the_minimum_is_no_pair() -> None:
    assert best_pairs([[0.19]], 0.2) == []
    assert best_pairs([[0.2]], 0.2) == [(0, 0)]
    assert best_pairs([[0.1, 0.19], [0.5, 0.1]], 0.2) == [(1, 0)]


def test_nothing_to_pair_gives_nothing() -> None:
    assert best_pairs([], 0.5) == []
    assert best_pairs([[], []], 0.5) == []
