"""What must not be on two sides of a split: a patient, or an image, be it saved again or turned."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from fetalseg.anatomy import structure_names
from fetalseg.data.check.files import SeenSet
from fetalseg.data.check.findings import Finding, Level
from fetalseg.data.fingerprints import TURNS, Likeness, likenesses

__all__ = ["between", "within"]

_SHOWN = 3


def within(one: SeenSet) -> Iterator[Finding]:
    """Images of one set that a split would tear apart, or that stand under two patients."""
    images = [image for image, _ in one.seen]
    for likeness in likenesses([print_ for _, print_ in one.seen]):
        first, second = images[likeness.first], images[likeness.second]
        together = first.patient is not None and first.patient == second.patient
        turned = likeness.turn != TURNS[0]
        if together and not likeness.identical:
            continue  # frames of one examination look alike
        message = f"{_described(likeness)} {second.where}"
        torn = first.patient is not None and second.patient is not None and not together
        if torn:
            message += f", and they are of patients {first.patient} and {second.patient}"
        elif not together:
            message += ": a split by image could put them on two sides"
        level: Level = "problem" if torn and likeness.identical and not turned else "note"
        yield Finding(level, "duplicate", one.file, first.where, message)


def between(one: SeenSet, other: SeenSet) -> Iterator[Finding]:
    """What two sets share that are to be learnt from and tested on, or trained on together."""
    if _taxonomy(one) != _taxonomy(other):
        here, there = (", ".join(names) or "none" for names in (one.structures, other.structures))
        message = f"the categories differ from those of {other.file}: {here} here, {there} there"
        yield Finding("problem", "taxonomy", one.file, "categories", message)
    yield from _shared_patients(one, other)
    found: dict[int, list[Likeness]] = defaultdict(list)
    for likeness in likenesses([print_ for _, print_ in one.seen], [print_ for _, print_ in other.seen]):
        found[likeness.first].append(likeness)
    for place, alike in found.items():
        # Of a cine many look alike: the best stands for all.
        best = max(alike, key=lambda likeness: (likeness.turn == TURNS[0], likeness.identical, likeness.correlation))
        more = f", and {len(alike) - 1} more there" if len(alike) > 1 else ""
        message = f"{_described(best)} {other.seen[best.second][0].where} of {other.file}{more}"
        level: Level = "problem" if best.turn == TURNS[0] else "note"
        yield Finding(level, "duplicate", one.file, one.seen[place][0].where, message)


def _shared_patients(one: SeenSet, other: SeenSet) -> Iterator[Finding]:
    here, there = _by_patient(one), _by_patient(other)
    for patient in here:
        if patient in there:
            message = f"has {_listed(here[patient])} here and {_listed(there[patient])} in {other.file}"
            yield Finding("problem", "patient-in-two", one.file, f"patient {patient}", message)


def _by_patient(one: SeenSet) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for image in one.images:
        if image.patient is not None:
            groups[image.patient].append(image.where)
    return groups


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _described(likeness: Likeness) -> str:
    if likeness.identical:
        return "holds the same pixels as"
    turned = "" if likeness.turn == TURNS[0] else f", {likeness.turn},"
    return f"looks{turned} like (correlation {likeness.correlation:.3f})"


def _taxonomy(one: SeenSet) -> tuple[str, ...]:
    """The structures that a training would learn: the seventeen for any part of them."""
    return structure_names() if set(one.structures) <= set(structure_names()) else one.structures
