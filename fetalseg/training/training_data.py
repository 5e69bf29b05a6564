"""What a run learns from and is validated on, checked in whole before anything is written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fetalseg.data.coco import write_subset
from fetalseg.data.frames import AnnotatedFrame, load_frames
from fetalseg.data.records import CocoSet
from fetalseg.data.rules import outline_breaches
from fetalseg.data.splits import Split
from fetalseg.errors import DataError
from fetalseg.preprocess import InputRule
from fetalseg.training.batches import FrameSet

__all__ = ["SharedSet", "TrainingData", "common_structures", "decode_sets", "divide", "write_held_out"]


@dataclass(frozen=True)
class SharedSet:
    """A data set and its share of every batch.

    Attributes:
        source: the set.
        share: 0..1; those of all sets add up to 1.
    """

    source: CocoSet
    share: float


@dataclass(frozen=True)
class TrainingData:
    """Decoded frames.

    Attributes:
        sets: to learn from.
        held_out: by the name of the set, to validate on.
        structures: C names in label order, the same in all sets.
    """

    sets: tuple[FrameSet, ...]
    held_out: dict[str, list[AnnotatedFrame]]
    structures: tuple[str, ...]


def common_structures(sources: Sequence[CocoSet]) -> tuple[str, ...]:
    """The structures of all sets.

    Raises:
        DataError: two sets differ; the message says in what.
    """
    first, *others = sources
    for other in others:
        if other.structures != first.structures:
            raise DataError(
                f"all sets of a training must have the same structures: {first.name} has "
                f"{', '.join(first.structures)}; {other.name} has {', '.join(other.structures)}"
            )
    return first.structures


def decode_sets(sets: Sequence[SharedSet], rule: InputRule) -> list[dict[int, AnnotatedFrame]]:
    """Decodes every image and mask of the sets, also those that are only tested on: a broken one is found now.

    Args:
        sets: the sets, at least one.
        rule: the network's input.

    Returns:
        For each set its frames by image id.

    Raises:
        DataError: sets with other structures, a file that can't be read, a segmentation that is empty, crosses itself
            or doesn't fit its box or its image.
        ValueError: two sets have the same name.
    """
    names = [each.source.name for each in sets]
    if len(set(names)) != len(names):
        raise ValueError(f"the folders of the sets must have different names, got {', '.join(names)}")
    common_structures([each.source for each in sets])
    for each in sets:
        _check_outlines(each.source)
    return [{frame.image_id: frame for frame in load_frames(each.source, rule)} for each in sets]


def _check_outlines(source: CocoSet) -> None:
    """Refuses segmentations that can be read and don't make sense; an evaluation takes them as they are."""
    for image in source.images:
        for annotation in image.annotations:
            if annotation.segmentation is None:
                continue
            box = list(annotation.bbox)
            for breach in outline_breaches(annotation.segmentation, box, image.height, image.width):
                raise DataError(
                    f"{source.path}: annotation {annotation.id}: {breach.message}; `fetalseg data check` lists all "
                    "that is wrong"
                )


def divide(
    sets: Sequence[SharedSet],
    frames: Sequence[Mapping[int, AnnotatedFrame]],
    splits: Sequence[Split],
    *,
    validation_frames: int,
) -> TrainingData:
    """Frames to learn from and frames to validate on.

    Args:
        sets: the sets.
        frames: of each of them, see `decode_sets`.
        splits: of each of them.
        validation_frames: at most so many a set are validated on, evenly picked from what is held out.
    """
    training, held_out = [], {}
    for each, decoded, split in zip(sets, frames, splits, strict=True):
        source = each.source
        training.append(FrameSet(source.name, [decoded[i] for i in split.train], each.share, source.sha256))
        held_out[source.name] = [decoded[i] for i in _evenly(split.held_out, validation_frames)]
    return TrainingData(tuple(training), held_out, common_structures([each.source for each in sets]))


def write_held_out(sets: Sequence[SharedSet], splits: Sequence[Split], folder: Path) -> None:
    """Writes what is held out of each set to SET/instances.json, for `fetalseg eval`, and the split to SET/split.json.

    Raises:
        OSError: a file can't be written.
    """
    for each, split in zip(sets, splits, strict=True):
        place = folder / each.source.name
        write_subset(each.source, split.held_out, place / "instances.json")
        names = {image.id: image.path.name for image in each.source.images}
        parts = {"train": [names[i] for i in split.train], "held_out": [names[i] for i in split.held_out]}
        (place / "split.json").write_text(json.dumps({"unit": split.unit, **parts}, indent=1), encoding="utf-8")


def _evenly(ids: Sequence[int], count: int) -> list[int]:
    """At most `count` of them, spread over the whole: files are often ordered by view or patient."""
    if len(ids) <= count:
        return list(ids)
    return [ids[i * len(ids) // count] for i in range(count)]
