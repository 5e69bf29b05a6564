"""A moving examination: one fetus, the views one after the other, heart beating, limbs and probe moving.

The probe comes to a view, holds it and leaves it: as the plane drifts away, structures shrink and fade, until the
next view's plane takes over. At times the operator freezes the picture and measures.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fetalseg.anatomy import VIEWS, structure_names
from fetalseg.phantom.acoustics import Speckle
from fetalseg.phantom.examination import Examination, draw_examination
from fetalseg.phantom.frames import PhantomFrame, check_view, make_frame
from fetalseg.phantom.motion import Movement, draw_movement

__all__ = ["VIEW_ORDER", "VIEW_SECONDS", "cine", "examined"]

VIEW_SECONDS = 4.0  # how long the probe rests on a view
_SPECKLE_TURN = 4.0  # rad/s; neighbouring frames at 25 a second stay alike
_SWEEP_SECONDS = (0.3, 1.0)  # how long a plane takes to leave a structure
_MEASURED_AFTER = 0.4  # s; nobody sets calipers sooner after a freeze
VIEW_ORDER = tuple(v.name for v in VIEWS)


def cine(
    *,
    frames: int,
    seed: int,
    fps: float = 25.0,
    height: int = 432,
    width: int = 640,
    views: Sequence[str] = VIEW_ORDER,
    view_seconds: float = VIEW_SECONDS,
) -> Iterator[PhantomFrame]:
    """A live scan that goes through the views in turn, again and again.

    Args:
        frames: how many.
        seed: decides fetus, planes and movements; frame n of a longer cine is the same frame.
        fps: frames a second; decides how far things move from frame to frame.
        height: px.
        width: px.
        views: which views, in which order.
        view_seconds: how long each is held.

    Yields:
        Frames with masks, `track_ids` and `timestamp_ms`.

    Raises:
        ValueError: `frames` below 1, `fps` or `view_seconds` not above 0, no view or an unknown one.
    """
    if frames < 1:
        raise ValueError(f"the number of frames must be at least 1, got {frames}")
    if not fps > 0 or not view_seconds > 0:
        raise ValueError(f"fps and view_seconds must be above 0, got {fps} and {view_seconds}")
    if not views:
        raise ValueError("a cine needs at least one view")
    for name in views:
        check_view(name)
    return _Scan(seed, fps, (height, width), tuple(views), view_seconds).frames(frames)


def examined(seed: int) -> Examination:
    """The fetus and the scanner of the cine with this seed."""
    return draw_examination(np.random.default_rng([seed, 10]))


@dataclass(frozen=True)
class _Visit:
    """One stay of the probe on a view; all times in seconds since its beginning.

    Attributes:
        number: 0 for the first of the cine.
        view: name.
        begins: seconds since the cine's beginning.
        sweep: how long the plane takes to come, and to leave.
        freeze: (begin, end) of the standing picture, equal when there is none.
        measured: whether the standing picture gets calipers.
        movement: of fetus and probe.
    """

    number: int
    view: str
    begins: float
    sweep: float
    freeze: tuple[float, float]
    measured: bool
    movement: Movement

    def clock(self, since: float) -> float:
        """The moment that the picture shows; it stands still during the freeze and loses no movement by it."""
        begin, end = self.freeze
        return since - min(max(since - begin, 0.0), end - begin)

    def away(self, since: float, view_seconds: float) -> float:
        """Distance of the plane from the one wanted, 0..1; the first visit begins in the right plane."""
        left = since - (view_seconds - self.sweep)
        came = self.sweep - since if self.number else 0.0
        share = min(max(left, came, 0.0) / self.sweep, 1.0)
        return share * share * (3.0 - 2.0 * share)


@dataclass(frozen=True)
class _Scan:
    """A cine's plan: see `cine` for its numbers; `size` is (height, width) in px."""

    seed: int
    fps: float
    size: tuple[int, int]
    views: tuple[str, ...]
    view_seconds: float

    def frames(self, count: int) -> Iterator[PhantomFrame]:
        examination = examined(self.seed)
        heart_hz = float(np.random.default_rng([self.seed, 11]).uniform(150, 175)) / 60.0
        standing: tuple[tuple[int, float, bool], PhantomFrame] | None = None
        for index in range(count):
            seconds = index / self.fps
            number = int(seconds / self.view_seconds)
            visit = self._visit(number)
            since = seconds - visit.begins
            frozen = visit.freeze[0] <= since < visit.freeze[1]
            measured = frozen and visit.measured and since >= visit.freeze[0] + _MEASURED_AFTER
            shown = (number, visit.clock(since), measured)
            if frozen and standing is not None and standing[0] == shown:
                yield replace(standing[1], timestamp_ms=1000.0 * seconds)
                continue
            frame = self._draw(visit, since, measured, examination, heart_hz)
            # the end of a sweep melts into the first picture of the next view
            melt = 0.5 * visit.sweep
            if since > self.view_seconds - melt:
                share = (since - (self.view_seconds - melt)) / melt
                following = self._visit(number + 1)
                coming = self._draw(following, seconds - following.begins, False, examination, heart_hz)
                frame = _melted(frame, coming, share)
            frame = replace(frame, timestamp_ms=1000.0 * seconds)
            standing = (shown, frame)
            yield frame

    def _visit(self, number: int) -> _Visit:
        rng = np.random.default_rng([self.seed, 12, number])
        sweep = min(float(rng.uniform(*_SWEEP_SECONDS)), 0.25 * self.view_seconds)
        length, begin = float(rng.uniform(0.5, 1.2)), float(rng.uniform(0.2, 0.9))
        stands, measured = bool(rng.random() < 0.5), bool(rng.random() < 0.6)
        room = self.view_seconds - 2 * sweep - length
        start = sweep + begin * room
        freeze = (start, start + length) if stands and room > 0.3 else (math.inf, math.inf)
        return _Visit(
            number=number,
            view=self.views[number % len(self.views)],
            begins=number * self.view_seconds,
            sweep=sweep,
            freeze=freeze if freeze[0] < math.inf else (self.view_seconds, self.view_seconds),
            measured=measured,
            movement=draw_movement(rng, self.view_seconds),
        )

    def _draw(
        self, visit: _Visit, since: float, measured: bool, examination: Examination, heart_hz: float
    ) -> PhantomFrame:
        now = visit.clock(since)
        height, width = self.size
        motion = visit.movement.at(now, beat=(heart_hz * (visit.begins + now)) % 1.0)
        # each moment of a visit has its own noise, also in the part that runs before the visit has begun
        moment = round((now + self.view_seconds) * self.fps)
        return make_frame(
            visit.view,
            examination,
            plan=np.random.SeedSequence([self.seed, 13, visit.number]),
            speckle=Speckle(np.random.SeedSequence([self.seed, 14, visit.number]), _SPECKLE_TURN * now),
            noise=np.random.default_rng([self.seed, 15, visit.number, moment]),
            motion=replace(motion, away=visit.away(since, self.view_seconds)),
            height=height,
            width=width,
            measured=1.0 if measured else None,
        )


def _melted(leaving: PhantomFrame, coming: PhantomFrame, share: float) -> PhantomFrame:
    """Both pictures over each other, `share` of the coming one. What still shows is neither right nor wrong to find."""
    mixed = (1.0 - share) * leaving.pixels.astype(np.float32) + share * coming.pixels
    main, other = (coming, leaving) if share > 0.5 else (leaving, coming)
    seen = set(main.visible) | set(other.visible)
    known = (set(main.annotated) & set(other.annotated)) - seen
    return replace(
        main,
        pixels=np.rint(mixed).astype(np.uint8),
        ignored=np.ones(len(main.names), np.bool_),
        annotated=tuple(name for name in structure_names() if name in known),
        visible=tuple(name for name in structure_names() if name in seen),
    )
