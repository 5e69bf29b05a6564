"""A moving examination: one fetus, the views one after the other, heart beating, limbs and probe moving."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from fetalseg.anatomy import VIEWS, view
from fetalseg.phantom.acoustics import Speckle
from fetalseg.phantom.examination import Examination, draw_examination
from fetalseg.phantom.frames import PhantomFrame, make_frame
from fetalseg.phantom.motion import Motion

__all__ = ["VIEW_ORDER", "VIEW_SECONDS", "cine", "examined"]

VIEW_SECONDS = 4.0  # how long the probe rests on a view
_SPECKLE_TURN = 4.0  # rad/s; neighbouring frames at 25 a second stay alike
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
        Frames with masks and `timestamp_ms`.

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
        view(name)
    return _frames(frames, seed, fps, height, width, tuple(views), view_seconds)


def examined(seed: int) -> Examination:
    """The fetus and the scanner of the cine with this seed."""
    return draw_examination(np.random.default_rng([seed, 10]))


def _frames(
    frames: int, seed: int, fps: float, height: int, width: int, views: tuple[str, ...], view_seconds: float
) -> Iterator[PhantomFrame]:
    examination = examined(seed)
    heart_hz = float(np.random.default_rng([seed, 11]).uniform(150, 175)) / 60.0
    for index in range(frames):
        seconds = index / fps
        held = int(seconds / view_seconds)
        movement = np.random.default_rng([seed, 12, held])
        yield make_frame(
            views[held % len(views)],
            examination,
            plan=np.random.SeedSequence([seed, 13, held]),
            speckle=Speckle(np.random.SeedSequence([seed, 14, held]), _SPECKLE_TURN * seconds),
            noise=np.random.default_rng([seed, 15, index]),
            motion=_motion(seconds, seconds - held * view_seconds, heart_hz, movement),
            height=height,
            width=width,
            timestamp_ms=1000.0 * seconds,
            frozen=False,
        )


def _motion(seconds: float, since_view: float, heart_hz: float, rng: np.random.Generator) -> Motion:
    """Slow drift of the probe, a burst of fetal movement, breathing of the mother, heart beat.

    Args:
        seconds: since the start of the cine.
        since_view: since the probe came to this view.
        heart_hz: beats a second.
        rng: the same for all frames of one view.
    """
    drift_x, drift_y = rng.normal(0.0, 0.5, size=2).tolist()  # mm/s
    turn = float(rng.normal(0.0, math.radians(1.5)))  # rad/s
    start, length, strength = float(rng.uniform(0.5, 2.5)), float(rng.uniform(0.5, 1.5)), float(rng.uniform(0.3, 0.9))
    burst = math.sin(math.pi * min(max((since_view - start) / length, 0.0), 1.0)) ** 2
    breath = math.sin(2 * math.pi * 0.25 * seconds)
    return Motion(
        x_mm=drift_x * since_view + 0.8 * burst * strength,
        y_mm=drift_y * since_view + 0.6 * breath - 1.0 * burst * strength,
        turn=turn * since_view + 0.08 * burst * strength,
        beat=(heart_hz * seconds) % 1.0,
        swing=0.7 * strength * burst + 0.06 * math.sin(2 * math.pi * 0.4 * seconds),
    )
