"""How steady a sequence of results is, and how soon it shows what there is, against a truth of every frame."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fetalseg.instances import Instances
from fetalseg.postprocess.nms import iou_between

__all__ = [
    "Found",
    "Series",
    "TimesToFound",
    "Truth",
    "dice_of",
    "false_structures",
    "flicker",
    "jitter",
    "lag",
    "match",
    "switches",
    "times_to_found",
]

_MIN_IOU = 0.3  # of boxes; thin structures overlap little when a box is a few pixels off
_SAME_S = 1.0  # a structure that was away for longer may have a new identity
_DOUBTFUL_S = 0.2  # a structure that can't be seen for no longer than this has not come anew
_SURROUNDINGS = 8  # frames on each side that tell the steady part of error and movement
_SLIP = 8.0  # px; a box as far off its neighbours in time is another thing, and says nothing about lag

Series = dict[int, dict[int, "Found"]]


class Truth(NamedTuple):
    """What a frame shows.

    Attributes:
        instances: with masks.
        ids: of each instance, the same in all frames.
        ignored: bool [N]; neither right nor wrong to find.
        annotated: labels about which the frame says everything.
    """

    instances: Instances
    ids: tuple[int, ...]
    ignored: npt.NDArray[np.bool_]
    annotated: frozenset[int]


@dataclass(frozen=True, eq=False)
class Found:
    """One structure of the truth and what was shown of it.

    Attributes:
        truth: box, float32 [4].
        shown: box, float32 [4].
        identity: None where nothing tracks.
        dice: of the masks, 0..1.
    """

    truth: npt.NDArray[np.float32]
    shown: npt.NDArray[np.float32]
    identity: int | None
    dice: float


@dataclass(frozen=True)
class TimesToFound:
    """How long structures had been in the picture when they were first shown, over their appearances.

    Attributes:
        found_s: one time for each appearance that was found while it lasted, s, shortest first.
        missed: appearances that ended before they were found.
    """

    found_s: tuple[float, ...]
    missed: int

    @property
    def appearances(self) -> int:
        """All of them."""
        return len(self.found_s) + self.missed

    def within(self, share: float) -> float | None:
        """The time in which a share (above 0, at most 1) of all appearances is found, s; None if fewer ever are."""
        rank = math.ceil(share * self.appearances - 1e-9)
        return self.found_s[rank - 1] if 0 < rank <= len(self.found_s) else None

    def __add__(self, other: TimesToFound) -> TimesToFound:
        return TimesToFound(tuple(sorted(self.found_s + other.found_s)), self.missed + other.missed)


def match(truths: Sequence[Truth], shown: Sequence[Instances]) -> Series:
    """By the truth's id and frame: pairs of one structure whose boxes overlap by 0.3, the best overlaps first."""
    series: Series = defaultdict(dict)
    for frame, (truth, instances) in enumerate(zip(truths, shown, strict=True)):
        for row, column in _pairs(truth, instances):
            if not truth.ignored[row]:
                series[truth.ids[row]][frame] = Found(
                    truth.instances.boxes[row],
                    instances.boxes[column],
                    None if instances.track_ids is None else int(instances.track_ids[column]),
                    dice_of(truth.instances, row, instances, column),
                )
    return dict(series)


def _pairs(truth: Truth, instances: Instances) -> Iterator[tuple[int, int]]:
    overlap = iou_between(truth.instances.boxes, instances.boxes)
    overlap = np.where(truth.instances.labels[:, None] == instances.labels[None], overlap, 0)
    while overlap.size and overlap.max() >= _MIN_IOU:
        row, column = np.unravel_index(int(overlap.argmax()), overlap.shape)
        overlap[row, :] = 0
        overlap[:, column] = 0
        yield int(row), int(column)


def dice_of(one: Instances, row: int, other: Instances, column: int) -> float:
    """Of two masks; 0 where both are empty."""
    masks = [instances[[i]].masks[0] for instances, i in ((one, row), (other, column))]
    total = int(masks[0].sum()) + int(masks[1].sum())
    return 2 * int((masks[0] & masks[1]).sum()) / total if total else 0.0


def times_to_found(truths: Sequence[Truth], shown: Sequence[Instances], fps: float) -> TimesToFound:
    """The time from a structure's coming into the picture until what is shown matches it, by the rule of `match`.

    A structure appears with the first frame in which it is there and not to be ignored, and the appearance lasts until
    that is over for more than 0.2 s.
    """
    seen = defaultdict(list)
    for frame, truth in enumerate(truths):
        for identity, ignored in zip(truth.ids, truth.ignored.tolist(), strict=True):
            if not ignored:
                seen[identity].append(frame)
    series = match(truths, shown)
    times: list[float] = []
    missed = 0
    for identity, frames in seen.items():
        ends = [i for i, (a, b) in enumerate(itertools.pairwise(frames)) if b - a - 1 > _DOUBTFUL_S * fps]
        for begin, end in itertools.pairwise([-1, *ends, len(frames) - 1]):
            first, last = frames[begin + 1], frames[end]
            found = [frame for frame in series.get(identity, {}) if first <= frame <= last]
            times += [(min(found) - first) / fps] if found else []
            missed += not found
    return TimesToFound(tuple(sorted(times)), missed)


def switches(series: Series, fps: float) -> int:
    """How often a structure has another identity than when it was last found, a second ago or less."""
    count = 0
    for found in series.values():
        frames = sorted(found)
        for before, after in itertools.pairwise(frames):
            if after - before <= _SAME_S * fps:
                count += found[before].identity != found[after].identity
    return count


def flicker(truths: Sequence[Truth], shown: Sequence[Instances], fps: float) -> float:
    """Structures that come or go, a second, while the truth stays as it is.

    Counted over each stretch of frames in which a structure is there, or is known to be absent, all the time. The first
    change of a stretch is none if it brings what is shown to the truth.
    """
    labels = sorted({label for truth in truths for label in truth.annotated})
    changes = 0
    for label in labels:
        there = [_there(truth, label) for truth in truths]
        seen = [label in instances.labels for instances in shown]
        begin = 0
        for end in range(1, len(there) + 1):
            if end == len(there) or there[end] != there[begin]:
                if there[begin] is not None:
                    stretch = seen[begin:end]
                    changed = sum(a != b for a, b in itertools.pairwise(stretch))
                    changes += changed - (changed > 0 and stretch[0] != there[begin])
                begin = end
    return changes * fps / len(truths)


def _there(truth: Truth, label: int) -> bool | None:
    """Whether a frame shows a structure; None where that isn't known or doubtful."""
    rows = truth.instances.labels == label
    if (rows & ~truth.ignored).any():
        return True
    return None if rows.any() or label not in truth.annotated else False


def false_structures(truths: Sequence[Truth], shown: Sequence[Instances]) -> float:
    """Instances a frame of structures that are known to be absent, or beyond those that are there."""
    count = 0
    for truth, instances in zip(truths, shown, strict=True):
        right = {column for _, column in _pairs(truth, instances)}
        count += sum(
            label in truth.annotated and _there(truth, label) is not None and column not in right
            for column, label in enumerate(instances.labels.tolist())
        )
    return count / len(truths)


def jitter(series: Series, other: Series) -> npt.NDArray[np.float64]:
    """How much boxes tremble, px: the error's change from a frame to the next, over the square root of two.

    Args:
        series: what to measure.
        other: only pairs of frames are taken in which this one has found the structure as well, so that of two ways
            both are measured on the same.

    Returns:
        One root mean square over the four sides for each pair of frames.
    """
    values = []
    for identity, found in series.items():
        both = found.keys() & other.get(identity, {}).keys()
        for frame in sorted(both):
            if frame - 1 in both:
                errors = [found[f].shown - found[f].truth for f in (frame - 1, frame)]
                values.append(float(np.sqrt(np.square(errors[1] - errors[0]).mean() / 2)))
    return np.array(values)


def lag(series: Series) -> float:
    """By how many frames the centres of boxes come late; nan where nothing moves.

    What comes late by d frames is wrong by d times the movement of a frame, against it. So the lag is the slope of the
    error over the movement, both without their steady part: the median of the frames around.
    """
    covariance = variance = 0.0
    for found in series.values():
        errors = {f: _centre(v.shown) - _centre(v.truth) for f, v in found.items()}
        moves = {
            f: (_centre(found[f + 1].truth) - _centre(found[f - 1].truth)) / 2
            for f in found
            if f - 1 in found and f + 1 in found
        }
        for frame, move in moves.items():
            around = range(frame - _SURROUNDINGS, frame + _SURROUNDINGS + 1)
            error = errors[frame] - np.median([errors[f] for f in around if f in errors], axis=0)
            move = move - np.median([moves[f] for f in around if f in moves], axis=0)
            if np.abs(error).max() <= _SLIP:
                covariance -= float(error @ move)
                variance += float(move @ move)
    return covariance / variance if variance else float("nan")


def _centre(box: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    return (box[:2].astype(np.float64) + box[2:]) / 2
