"""What a set holds in numbers: images, patients, views; of each structure how many, how large, and where unknown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fetalseg.data.facts import image_facts, spacing_mm
from fetalseg.data.records import CocoSet

__all__ = ["NO_VIEW", "SetStatistics", "Spread", "StructureStatistics", "describe_set"]

NO_VIEW = "(none)"


@dataclass(frozen=True)
class Spread:
    """How values are spread.

    Attributes:
        low: 5th percentile.
        median: 50th.
        high: 95th.
    """

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        """Of some values; None without any."""
        return cls(*np.percentile(values, [5, 50, 95]).tolist()) if values else None


@dataclass(frozen=True)
class StructureStatistics:
    """One structure in a set; crowds don't count, and make it unknown where there is nothing else.

    Attributes:
        name: of the structure.
        annotations: how many.
        masks: how many of them have a mask; the others are boxes alone.
        present: images with an annotation.
        absent: images that list it as annotated and have none.
        unknown: images where it may be seen without being annotated.
        by_view: images with an annotation, by view.
        width_px: of the boxes.
        height_px: of the boxes.
        length_mm: longer side of the boxes in images with a scale; None without any.
        longer_px: the longer side of each box.
        longer_mm: the same, where there is a scale.
    """

    name: str
    annotations: int
    masks: int
    present: int
    absent: int
    unknown: int
    by_view: dict[str, int]
    width_px: Spread | None
    height_px: Spread | None
    length_mm: Spread | None
    longer_px: tuple[float, ...]
    longer_mm: tuple[float, ...]


@dataclass(frozen=True)
class SetStatistics:
    """Figures of a set.

    Attributes:
        name: of the set.
        images: how many.
        patients: how many are named; None where no image names one.
        without_patient: images that name none.
        with_scale: images whose pixels have a known size.
        views: images by view.
        sizes: images by "widthxheight" px, most frequent first.
        structures: those of the set's taxonomy that are annotated, or known to be absent, in at least one image.
    """

    name: str
    images: int
    patients: int | None
    without_patient: int
    with_scale: int
    views: dict[str, int]
    sizes: dict[str, int]
    structures: tuple[StructureStatistics, ...]

    def to_json(self) -> dict[str, Any]:
        """For scripts; without the single sizes."""
        values = asdict(self)
        for structure in values["structures"]:
            del structure["longer_px"], structure["longer_mm"]
        return values


def describe_set(source: CocoSet) -> SetStatistics:
    """Counts and measures a set; image files are not opened."""
    scales = {number: spacing_mm(record) for number, record in image_facts(source).items()}
    patients = {image.patient for image in source.images if image.patient is not None}
    sizes = Counter(f"{image.width}x{image.height}" for image in source.images)
    return SetStatistics(
        name=source.name,
        images=len(source.images),
        patients=len(patients) or None,
        without_patient=sum(image.patient is None for image in source.images),
        with_scale=sum(scale is not None for scale in scales.values()),
        views=dict(Counter(image.view or NO_VIEW for image in source.images).most_common()),
        sizes=dict(sizes.most_common()),
        structures=tuple(
            _describe(source, label, scales)
            for label in range(len(source.structures))
            if any(label in image.known or any(a.label == label for a in image.annotations) for image in source.images)
        ),
    )


def _describe(source: CocoSet, label: int, scales: dict[int, tuple[float, float] | None]) -> StructureStatistics:
    by_view: Counter[str] = Counter()
    absent = unknown = masks = 0
    sizes_px: list[tuple[float, float]] = []
    longer_mm: list[float] = []
    for image in source.images:
        every = [a for a in image.annotations if a.label == label]
        found = [a for a in every if not a.crowd]
        if not found:
            is_absent = label in image.known and not every
            absent += is_absent
            unknown += not is_absent
            continue
        by_view[image.view or NO_VIEW] += 1
        scale = scales.get(image.id)
        for annotation in found:
            masks += annotation.segmentation is not None
            width, height = annotation.bbox[2:]
            sizes_px.append((width, height))
            if scale is not None:
                longer_mm.append(max(width * scale[1], height * scale[0]))
    return StructureStatistics(
        name=source.structures[label],
        annotations=len(sizes_px),
        masks=masks,
        present=by_view.total(),
        absent=absent,
        unknown=unknown,
        by_view=dict(by_view),
        width_px=Spread.of([width for width, _ in sizes_px]),
        height_px=Spread.of([height for _, height in sizes_px]),
        length_mm=Spread.of(longer_mm),
        longer_px=tuple(max(size) for size in sizes_px),
        longer_mm=tuple(longer_mm),
    )
