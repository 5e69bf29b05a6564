"""The protocol of the clinical study: one fixed test part, and several random 4:1 splits of the rest.

Hong et al. (Prenatal Diagnosis 2026;46(7):966-973) hold 5 % of the images fixed for testing and split the rest 4:1 into
training and validation with five seeds: a repeated random split, not a k-fold one. Theirs is by image. Here the unit is
the patient wherever the set names one, so that no fetus is on two sides, and every part has its share of each view.

A hash of the seed and of the unit's name decides the order in which units are drawn, so that the result depends neither
on the order of the file nor on a random number generator's version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fetalseg.data.records import CocoSet, ImageRecord
from fetalseg.errors import DataError

__all__ = ["TEST_SHARE", "VALIDATION_SHARE", "Fold", "RepeatedSplits", "repeated_splits"]

TEST_SHARE = 0.05
VALIDATION_SHARE = 0.2  # of what is not for testing: 4:1


class Fold(NamedTuple):
    """Image ids of one split of what is not for testing, in the order of the file.

    Attributes:
        train: to learn from.
        validation: to stop and to choose by.
    """

    train: tuple[int, ...]
    validation: tuple[int, ...]


@dataclass(frozen=True)
class RepeatedSplits:
    """One test part and several splits of the rest.

    Attributes:
        test: image ids that no fold holds, in the order of the file.
        folds: fold i is the same however many there are.
        unit: what was kept together: "patient" ("group" if groups were given), "image" where no image names one
            (figures are then optimistic), "patient or image" where some don't.
    """

    test: tuple[int, ...]
    folds: tuple[Fold, ...]
    unit: str


def repeated_splits(
    source: CocoSet,
    *,
    repeats: int = 5,
    test_share: float = TEST_SHARE,
    validation_share: float = VALIDATION_SHARE,
    seed: int = 0,
    groups: Mapping[int, str] | None = None,
) -> RepeatedSplits:
    """Draws the test part and the folds, units whole and views in their shares as far as whole units allow.

    Args:
        source: the set.
        repeats: how many folds.
        test_share: of all images; 0 for no test part.
        validation_share: of the images that are not for testing.
        seed: another number draws another test part and other folds.
        groups: image id to the name of what must stay together; None for the patients of the set. An image without
            an entry stands alone.

    Raises:
        ValueError: fewer than one fold, or a share out of range.
        DataError: too few units to fill every part.
    """
    if repeats < 1:
        raise ValueError(f"at least one split is needed, got {repeats}")
    if not 0 <= test_share < 1:
        raise ValueError(f"the test share must lie in [0, 1), got {test_share}")
    if not 0 < validation_share < 1:
        raise ValueError(f"the validation share must lie in (0, 1), got {validation_share}")
    word = "patient" if groups is None else "group"
    if groups is None:
        groups = {image.id: image.patient for image in source.images if image.patient is not None}
    units = _units(source.images, groups)
    named = sum(image.id in groups for image in source.images)
    kind = word if named == len(source.images) else f"{word} or image" if named else "image"
    needed = 3 if test_share else 2
    if len(units) < needed:
        parts = "test, training and validation" if test_share else "training and validation"
        raise DataError(f"{source.path}: {parts} need one {kind} each, got {len(units)} altogether")
    test = _draw(units, test_share, f"{seed}:test", spare=2) if test_share else frozenset[int]()
    rest = [unit for unit in units if unit.ids.isdisjoint(test)]
    folds = []
    for i in range(repeats):
        validation = _draw(rest, validation_share, f"{seed}:fold:{i}", spare=1)
        train = {number for unit in rest for number in unit.ids} - validation
        folds.append(Fold(_ordered(source, train), _ordered(source, validation)))
    return RepeatedSplits(_ordered(source, test), tuple(folds), kind)


@dataclass(frozen=True, eq=False)
class _Unit:
    """Images that stay together.

    Attributes:
        name: of the group, or of the file of an image that stands alone.
        ids: of the images.
        counts: float64 [V], how many of the images are of each view.
    """

    name: str
    ids: frozenset[int]
    counts: npt.NDArray[np.float64]


def _units(images: Sequence[ImageRecord], groups: Mapping[int, str]) -> list[_Unit]:
    views = sorted({image.view or "" for image in images})
    members: dict[tuple[str, int | None], list[ImageRecord]] = {}
    for image in images:
        group = groups.get(image.id)
        # File names may repeat in different folders, ids can't; a group may be called as a file is.
        key = (image.path.name, image.id) if group is None else (group, None)
        members.setdefault(key, []).append(image)
    units = []
    for (name, _), together in members.items():
        counts = np.zeros(len(views))
        for image in together:
            counts[views.index(image.view or "")] += 1
        units.append(_Unit(name, frozenset(image.id for image in together), counts))
    return units


def _draw(units: Sequence[_Unit], share: float, salt: str, *, spare: int) -> frozenset[int]:
    """Image ids of the units that make about this share, at least one unit, with `spare` units or more left over.

    Units come in random order. One is taken if that brings the counts by view nearer to their shares; then, since the
    shares of many small views round to nothing, the ones that upset the views least, as long as the sum comes nearer.
    """
    order = sorted(units, key=lambda unit: (_hash(f"{salt}:{unit.name}"), sorted(unit.ids)))
    target = share * np.sum([unit.counts for unit in units], axis=0)
    taken: list[_Unit] = []
    left: list[_Unit] = []
    missing = target.copy()
    for unit in order:
        if len(taken) + spare < len(units) and _distance(missing - unit.counts, target) < _distance(missing, target):
            taken.append(unit)
            missing -= unit.counts
        else:
            left.append(unit)
    while len(left) > spare:
        nearer = [unit for unit in left if abs(missing.sum() - unit.counts.sum()) < abs(missing.sum())]
        if not nearer:
            break
        unit = min(nearer, key=lambda candidate: _distance(missing - candidate.counts, target))
        left.remove(unit)
        taken.append(unit)
        missing -= unit.counts
    # A share of less than one unit would leave the part empty.
    return frozenset(number for unit in taken or order[:1] for number in unit.ids)


def _distance(missing: npt.NDArray[np.float64], target: npt.NDArray[np.float64]) -> float:
    """How far the counts of a part are from their shares [V]: chi-squared over the views that are left."""
    # The test part may have taken all images of a view: then no unit has any, and none is missing.
    left = target > 0
    return float((missing[left] ** 2 / target[left]).sum())


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _ordered(source: CocoSet, ids: Iterable[int]) -> tuple[int, ...]:
    wanted = frozenset(ids)
    return tuple(image.id for image in source.images if image.id in wanted)
