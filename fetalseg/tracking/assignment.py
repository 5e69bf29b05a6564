"""Who belongs to whom: the pairs with the largest sum of similarities."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["best_pairs"]


def best_pairs(similarity: Sequence[Sequence[float]], minimum: float) -> list[tuple[int, int]]:
    """Pairs rows with columns so that their similarities add up to the most.

    Kuhn's method in the form of shortest augmenting paths (Jonker and Volgenant, Computing 1987;38:325-340). Plain
    numbers instead of arrays: a structure has a few instances in a frame, and for those this takes microseconds.

    Args:
        similarity: n rows of m numbers, 0 or more; left as it is.
        minimum: above 0; less similar ones are never a pair.

    Returns:
        At most min(n, m) pairs (row, column), by row.
    """
    # Most rows and columns have nobody or one another: the search is for the others.
    rows = [i for i, line in enumerate(similarity) if any(value >= minimum for value in line)]
    columns = [j for j in range(len(similarity[0]) if rows else 0) if any(similarity[i][j] >= minimum for i in rows)]
    if len(rows) > len(columns):  # its time grows with the square of the rows
        turned = best_pairs(list(zip(*similarity, strict=True)), minimum)
        return sorted((row, column) for column, row in turned)
    if len(rows) == 1:
        (row,) = rows
        return [(row, max(columns, key=lambda column: similarity[row][column]))]
    # A row that stays alone is paired with a column of its own that adds nothing.
    candidates = [[similarity[i][j] for j in columns] for i in rows]
    cost = [[-value if value >= minimum else 0.0 for value in line] + [0.0] * len(rows) for line in candidates]
    row_of = _assign(cost) if rows else []
    pairs = [(rows[row], columns[j]) for j, row in enumerate(row_of[: len(columns)]) if row is not None]
    return sorted((row, column) for row, column in pairs if similarity[row][column] >= minimum)


def _assign(cost: list[list[float]]) -> list[int | None]:
    """The row of each column in the cheapest assignment of all rows; there are at least as many columns as rows."""
    rows, columns = len(cost), len(cost[0])
    of_row, of_column = [0.0] * rows, [0.0] * columns  # potentials: cost[i][j] >= of_row[i] + of_column[j]
    row_of: list[int | None] = [None] * columns
    for start in range(rows):
        distance, before = [math.inf] * columns, [-1] * columns
        reached = [False] * columns
        row, column = start, -1
        while True:
            for j in range(columns):
                if not reached[j]:
                    slack = cost[row][j] - of_row[row] - of_column[j]
                    if slack < distance[j]:
                        distance[j], before[j] = slack, column
            nearest = min((j for j in range(columns) if not reached[j]), key=lambda j: distance[j])
            step = distance[nearest]
            of_row[start] += step
            for j in range(columns):
                if reached[j]:
                    of_column[j] -= step
                    owner = row_of[j]
                    assert owner is not None
                    of_row[owner] += step
                else:
                    distance[j] -= step
            reached[nearest] = True
            column = nearest
            owner = row_of[column]
            if owner is None:
                break
            row = owner
        while column != -1:  # turn the path around
            previous = before[column]
            row_of[column] = start if previous == -1 else row_of[previous]
            column = previous
    return row_of
