"""Annotated cines, what was on the screen while they were played, and the figures of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from fetalseg.data.coco import read_coco
from fetalseg.data.records import CocoSet
from fetalseg.errors import DataError
from fetalseg.evaluation.cine_figures import TimesToFound, Truth, flicker, times_to_found
from fetalseg.evaluation.cine_truth import cine_truth
from fetalseg.evaluation.on_screen import Answer, ScreenAge, on_screen, screen_age, screened, tick_times
from fetalseg.evaluation.scored_frames import Detections, ScoredFrame
from fetalseg.evaluation.streaming_precision import StreamingPrecision, streaming_precision
from fetalseg.instances import Instances

__all__ = ["Cine", "Figures", "Played", "figures", "read_cines", "whole_set"]

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Cine:
    """One cine.

    Attributes:
        truth: its frames, with ids that no other cine of the run has.
        truths: the same with identities over time.
        fps: frames a second.
    """

    truth: CocoSet
    truths: list[Truth]
    fps: float

    @property
    def ticks_us(self) -> list[int]:
        """When each frame is captured."""
        return tick_times(len(self.truth.images), self.fps)


@dataclass(frozen=True, eq=False)
class Played(Generic[T]):
    """What came back while one cine was played.

    Attributes:
        answers: in any order.
        found: what each of them holds.
    """

    answers: Sequence[Answer]
    found: Sequence[T]

    def at(self, ticks_us: Sequence[int]) -> list[T | None]:
        """What is on the screen at each tick."""
        return [None if place is None else self.found[place] for place in on_screen(ticks_us, self.answers)]


@dataclass(frozen=True)
class Figures:
    """Of one way of playing, over all cines.

    Attributes:
        precision: streaming average precision.
        age: of what is on the screen.
        answered: share of frames that were answered.
        flicker: changes a second that the truth doesn't explain; None where what is displayed isn't known.
        times: from visible to found; None likewise.
    """

    precision: StreamingPrecision
    age: ScreenAge
    answered: float
    flicker: float | None
    times: TimesToFound | None

    def as_json(self) -> dict[str, Any]:
        """All figures by name."""
        times = self.times and {
            "appearances": self.times.appearances,
            "never": self.times.missed,
            "median_s": self.times.within(0.5),
            "p80_s": self.times.within(0.8),
        }
        return {
            **self.precision.as_json(),
            "age": self.age.as_json(),
            "answered": round(self.answered, 4),
            "flicker_per_s": None if self.flicker is None else round(self.flicker, 4),
            "visible_to_found": times,
        }


def read_cines(folders: Sequence[Path], *, fps: float, frames: int | None = None) -> list[Cine]:
    """Reads what `fetalseg phantom --cine` wrote.

    Args:
        folders: one cine each.
        fps: at which they are played.
        frames: of each, the first so many; None all.

    Raises:
        DataError: no such cine, or cines of other structures than the first.
    """
    cines: list[Cine] = []
    count = 0
    for folder in folders:
        truth = read_coco(folder, limit=frames)
        if cines and truth.category_ids != cines[0].truth.category_ids:
            raise DataError(f"{truth.path} and {cines[0].truth.path} have other categories; play them one by one")
        images = tuple(replace(image, id=number) for number, image in enumerate(truth.images, count + 1))
        count += len(images)
        cines.append(Cine(replace(truth, images=images), cine_truth(truth), fps))
    return cines


def whole_set(cines: Sequence[Cine]) -> CocoSet:
    """The frames of all cines."""
    return replace(cines[0].truth, images=tuple(image for cine in cines for image in cine.truth.images))


def figures(
    cines: Sequence[Cine], scored: Sequence[Played[Detections]], displayed: Sequence[Played[Instances]] | None
) -> Figures:
    """The figures of one way of playing.

    Args:
        cines: all of them.
        scored: of each, with all detections down to the score floor.
        displayed: of each, as an operator sees it: tracked, and from the usual score on. None where that isn't known.
    """
    frames: list[ScoredFrame] = []
    age = ScreenAge(0, (), ())
    for cine, played in zip(cines, scored, strict=True):
        ticks = cine.ticks_us
        frames += screened(cine.truth.images, played.at(ticks))
        age += screen_age(ticks, played.answers, on_screen(ticks, played.answers))
    changes, times = (None, None) if displayed is None else _steadiness(cines, displayed)
    return Figures(
        precision=streaming_precision(frames, whole_set(cines)),
        age=age,
        answered=sum(len(played.answers) for played in scored) / len(frames),
        flicker=changes,
        times=times,
    )


def _steadiness(cines: Sequence[Cine], displayed: Sequence[Played[Instances]]) -> tuple[float, TimesToFound]:
    """Flicker a second, and times from visible to found."""
    changes, seconds, times = 0.0, 0.0, TimesToFound((), 0)
    for cine, played in zip(cines, displayed, strict=True):
        first = cine.truth.images[0]
        blank = Instances.empty((first.height, first.width), cine.truth.structures)
        pictures = [blank if shown is None else shown for shown in played.at(cine.ticks_us)]
        changes += flicker(cine.truths, pictures, cine.fps) * len(pictures) / cine.fps
        seconds += len(pictures) / cine.fps
        times += times_to_found(cine.truths, pictures, cine.fps)
    return changes / seconds, times
