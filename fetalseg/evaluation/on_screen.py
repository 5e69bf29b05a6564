"""What is on the screen at each tick of a live picture, to be scored against the truth of that tick.

After Li, Wang and Ramanan, "Towards Streaming Perception" (ECCV 2020, arXiv:2005.10420), carried over from boxes to
masks: at time t the newest answer that has arrived by t stands for the world at t, however old the frame is that it
answers. A better model that answers later can lose by it. Before the first answer nothing is on the screen.

Times are whole microseconds on any one clock, so that an answer which arrives exactly at a tick is there at that tick.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fetalseg.data.records import ImageRecord
from fetalseg.evaluation.scored_frames import Detections, ScoredFrame

__all__ = ["Answer", "Latency", "ScreenAge", "on_screen", "screen_age", "screened", "simulate", "tick_times"]


@dataclass(frozen=True)
class Answer:
    """What came back for one frame.

    Attributes:
        frame: place in the cine.
        arrived_us: when it was on the screen.
    """

    frame: int
    arrived_us: int


@dataclass(frozen=True)
class Latency:
    """How long a frame takes, split by what it keeps from being done meanwhile.

    Where stages overlap, as in a server that prepares the next frame while the network runs, `busy_ms` is the time of
    the slowest stage and `way_ms` holds the others, the network there and back, and the display.

    Attributes:
        busy_ms: how long a frame keeps the system from the next one, 0 or more. One value is that of every frame; of
            several, such as measured ones, each frame draws one.
        way_ms: how much later the answer is on the screen, 0 or more.
    """

    busy_ms: tuple[float, ...]
    way_ms: float = 0.0

    def __post_init__(self) -> None:
        if not self.busy_ms:
            raise ValueError("busy_ms is empty; expected at least one time")
        for name, value in (*(("busy_ms", value) for value in self.busy_ms), ("way_ms", self.way_ms)):
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be 0 or more, got {value}")


@dataclass(frozen=True)
class ScreenAge:
    """How old what is on the screen is.

    Attributes:
        blank: ticks before the first answer.
        ages_us: of the other ticks: time since the capture of the frame whose answer is on the screen.
        ages_frames: the same in frames of the cine.
    """

    blank: int
    ages_us: tuple[int, ...]
    ages_frames: tuple[int, ...]

    @property
    def mean_ms(self) -> float | None:
        """Over the ticks that aren't blank; None without any, as for the next two."""
        return float(np.mean(self.ages_us)) / 1000 if self.ages_us else None

    @property
    def p95_ms(self) -> float | None:
        """The 95th percentile."""
        return float(np.percentile(self.ages_us, 95)) / 1000 if self.ages_us else None

    @property
    def mean_frames(self) -> float | None:
        """The mean in frames."""
        return float(np.mean(self.ages_frames)) if self.ages_frames else None

    def __add__(self, other: ScreenAge) -> ScreenAge:
        return ScreenAge(self.blank + other.blank, self.ages_us + other.ages_us, self.ages_frames + other.ages_frames)

    def as_json(self) -> dict[str, float | None]:
        """The figures by name."""
        figures = {"mean_ms": self.mean_ms, "p95_ms": self.p95_ms, "mean_frames": self.mean_frames}
        rounded = {name: None if value is None else round(value, 3) for name, value in figures.items()}
        return {"ticks": self.blank + len(self.ages_us), "blank": self.blank, **rounded}


def tick_times(frames: int, fps: float) -> list[int]:
    """When the frames of a cine are captured, us since the first one; each is a tick of the screen as well.

    Raises:
        ValueError: `fps` is not above 0.
    """
    if not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"fps must be above 0, got {fps}")
    return [round(1e6 * frame / fps) for frame in range(frames)]


def simulate(ticks_us: Sequence[int], latency: Latency, *, seed: int) -> list[Answer]:
    """The answers of a system that works at one frame at a time, while one other waits: the newest.

    That is the rule of the live service. A frame that is captured while another one waits takes its place; the one
    replaced gets no answer.

    Args:
        ticks_us: when each frame is captured, ascending.
        latency: of every frame.
        seed: of the draws where `latency` has several times. The n-th frame that is worked at draws the n-th time.

    Returns:
        In the order of frames.
    """
    _check_ticks(ticks_us)
    drawn = np.random.default_rng(seed).choice(latency.busy_ms, size=len(ticks_us))
    busy_us = [round(1000 * value) for value in drawn.tolist()]
    way_us = round(1000 * latency.way_ms)
    answers: list[Answer] = []
    frame, free_us = 0, 0
    while frame < len(ticks_us):
        begins_us = max(free_us, ticks_us[frame])
        frame = bisect_right(ticks_us, begins_us) - 1
        free_us = begins_us + busy_us[len(answers)]
        answers.append(Answer(frame, free_us + way_us))
        frame += 1
    return answers


def on_screen(ticks_us: Sequence[int], answers: Sequence[Answer]) -> list[int | None]:
    """Which answer is on the screen at each tick, as its place in `answers`; None before the first.

    An answer to an older frame than the one on the screen changes nothing.
    """
    _check_ticks(ticks_us)
    coming = sorted(range(len(answers)), key=lambda place: answers[place].arrived_us)
    shown: list[int | None] = []
    newest: int | None = None
    arrived = 0
    for tick_us in ticks_us:
        while arrived < len(coming) and answers[coming[arrived]].arrived_us <= tick_us:
            place = coming[arrived]
            if newest is None or answers[place].frame > answers[newest].frame:
                newest = place
            arrived += 1
        shown.append(newest)
    return shown


def screen_age(ticks_us: Sequence[int], answers: Sequence[Answer], shown: Sequence[int | None]) -> ScreenAge:
    """The age of what `on_screen` says is shown."""
    pairs = [(tick, place) for tick, place in enumerate(shown) if place is not None]
    return ScreenAge(
        blank=len(shown) - len(pairs),
        ages_us=tuple(ticks_us[tick] - ticks_us[answers[place].frame] for tick, place in pairs),
        ages_frames=tuple(tick - answers[place].frame for tick, place in pairs),
    )


def screened(images: Sequence[ImageRecord], shown: Sequence[Detections | None]) -> list[ScoredFrame]:
    """The truth of each tick with what was on the screen then: as good as frames that were scored by themselves.

    Args:
        images: one for each tick.
        shown: detections on the screen, of whichever frame; None for a blank one.

    Raises:
        ValueError: not as many of both, or masks of another size than the image.
    """
    if len(images) != len(shown):
        raise ValueError(f"{len(shown)} screens for {len(images)} images; expected one for each")
    nothing = Detections(np.empty(0, np.int64), np.empty(0), np.empty((0, 4)), ())
    for image, detections in zip(images, shown, strict=True):
        size = [image.height, image.width]
        for mask in (detections.masks if detections else None) or ():
            if list(mask["size"]) != size:
                raise ValueError(f"image {image.id} is {size} px; the masks on the screen are {list(mask['size'])}")
    return [ScoredFrame(image, found or nothing) for image, found in zip(images, shown, strict=True)]


def _check_ticks(ticks_us: Sequence[int]) -> None:
    for before, after in itertools.pairwise(ticks_us):
        if after <= before:
            raise ValueError(f"ticks must ascend, got {after} us after {before} us")
