"""Borders of masks: their runs by hand, and where masks are narrow."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fetalseg.encoding.borders import borders_of
from fetalseg.encoding.widths import is_narrow

Mask = npt.NDArray[np.bool_]


def mask_of(*rows: str) -> Mask:
    return np.array([[letter == "#" for letter in row] for row in rows])


def runs(*masks: Mask) -> list[list[tuple[int, int, int]]]:
    """For each ring the corner x, y and the extent of its runs."""
    borders = borders_of(masks)
    table = list(zip(*borders.corners.tolist(), borders.extents.tolist(), strict=True))
    starts = borders.rings.starts.tolist()
    return [table[start:stop] for start, stop in pairwise(starts)]


def starting_at_its_first_corner(ring: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    first = ring.index(min(ring))
    return ring[first:] + ring[:first]


def test_a_border_goes_clockwise_round_its_part_by_turns_upright_and_level() -> None:
    [ring] = runs(mask_of(".##", ".##", "##."))
    # Up the left side, right along the top, down the right side, ...
    assert starting_at_its_first_corner(ring) == [
        (0, 2, 1), (1, 2, -2), (1, 0, 2), (3, 0, 2), (3, 2, -1), (2, 2, 1), (2, 3, -2), (0, 3, -1),
    ]  # fmt: skip


def test_each_ring_begins_with_an_upright_run() -> None:
    for ring in runs(mask_of("####", "#..#", "##.#"), mask_of(".", "#")):
        assert ring[1][0] == ring[0][0]


def test_a_hole_has_no_border_and_an_island_in_it_neither() -> None:
    moat = mask_of("#####", "#...#", "#.#.#", "#...#", "#####")
    assert [starting_at_its_first_corner(ring) for ring in runs(moat)] == [
        [(0, 0, 5), (5, 0, 5), (5, 5, -5), (0, 5, -5)]
    ]


def test_rings_know_their_masks() -> None:
    borders = borders_of([mask_of("#.#"), np.zeros((2, 2), np.bool_), mask_of("#"), np.zeros((0, 3), np.bool_)])
    assert borders.owners.tolist() == [0, 0, 2]
    assert borders_of([]).owners.tolist() == []


def narrow_runs(mask: Mask, narrow: int) -> set[tuple[int, int, int]]:
    borders = borders_of([mask])
    flags = is_narrow(borders, [mask], narrow).tolist()
    return {
        run
        for run, flag in zip(zip(*borders.corners.tolist(), borders.extents.tolist(), strict=True), flags, strict=True)
        if flag
    }


def test_a_run_is_narrow_if_the_mask_is_in_any_of_its_rows_or_columns() -> None:
    # Rows are 3 and 6 px long, columns 2 and 1: along rows the left side is narrow for its first px.
    mask = mask_of("###...", "######")
    assert narrow_runs(mask, 0) == set()
    assert narrow_runs(mask, 1) == {(3, 1, 3), (6, 2, -6)}
    assert narrow_runs(mask, 2) == {(3, 1, 3), (6, 2, -6), (0, 0, 3)}
    assert narrow_runs(mask, 3) == {(3, 1, 3), (6, 2, -6), (0, 0, 3), (3, 0, 1), (0, 2, -2)}
    assert len(narrow_runs(mask, 6)) == 6


def test_the_parts_of_a_row_have_widths_of_their_own() -> None:
    # Rows of 2 and 4 px beside each other, all columns 6 px long.
    assert narrow_runs(np.repeat(mask_of("##.####"), 6, axis=0), 3) == {(0, 6, -6), (2, 0, 6)}


def cracks_of_narrow_stretches(mask: Mask, narrow: int) -> set[tuple[str, int, int]]:
    """The cracks at both ends of each stretch of at most `narrow` px along a row or a column; x and y of a crack."""
    found = set()
    for kind, lines in (("upright", mask), ("level", mask.T)):
        for row, line in enumerate(lines.tolist()):
            start = None
            for place, inside in enumerate([*line, False]):
                if inside and start is None:
                    start = place
                if not inside and start is not None:
                    if place - start <= narrow:
                        found |= {(kind, row, start), (kind, row, place)}
                    start = None
    return found


@given(
    st.tuples(st.integers(1, 14), st.integers(1, 14)).flatmap(lambda shape: arrays(np.bool_, shape)),
    st.integers(1, 6),
)
@settings(max_examples=300, deadline=None)
def test_narrow_runs_are_those_that_hold_an_end_of_a_short_stretch(mask: Mask, narrow: int) -> None:
    mask = np.pad(mask, 1)
    without_holes = ~_reached_from_outside(mask)
    expected = cracks_of_narrow_stretches(without_holes, narrow)
    borders = borders_of([mask])
    flags = is_narrow(borders, [mask], narrow).tolist()
    for run, (x, y, extent) in enumerate(zip(*borders.corners.tolist(), borders.extents.tolist(), strict=True)):
        upright = run % 2 == 0
        along, place = (y, x) if upright else (x, y)
        rows = range(min(along, along + extent), max(along, along + extent))
        assert flags[run] == any((("upright" if upright else "level"), row, place) in expected for row in rows)


def _reached_from_outside(mask: Mask) -> Mask:
    """Background that is reached over the sides of pixels from a corner that is background."""
    reached = np.zeros_like(mask)
    reached[0, 0] = True
    while True:
        grown = reached.copy()
        grown[1:] |= reached[:-1]
        grown[:-1] |= reached[1:]
        grown[:, 1:] |= reached[:, :-1]
        grown[:, :-1] |= reached[:, 1:]
        grown &= ~mask
        if (grown == reached).all():
            return reached
        reached = grown
