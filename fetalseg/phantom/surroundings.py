"""What lies around the fetus: womb wall, placenta, the black of the amniotic sac, the amnion, loops of cord."""

from __future__ import annotations

import numpy as np

from fetalseg.phantom.scene import FLUID, UTERUS, Painter
from fetalseg.phantom.shapes import Points, blob, ellipse, offset, shifted, smooth

__all__ = ["FLUID_DB", "surround"]

FLUID_DB = -56.0


def surround(painter: Painter, around: Points, rng: np.random.Generator, *, roomy: float = 1.0) -> None:
    """Fills the frame with the womb and opens a sac of fluid in it.

    Args:
        painter: draws in frame mm.
        around: outline of the fetus in frame mm; the sac is drawn about it.
        rng: source of the draw.
        roomy: factor on the room around the fetus.
    """
    width, height = painter.scene.sector.size_mm
    for _ in range(int(rng.integers(2, 5))):
        _band(painter, rng, width, height)
    if rng.random() < 0.6:
        _placenta(painter, rng, width, height)
    centre, half = _extent(around)
    room = rng.uniform(1.12, 1.75, size=2) * roomy
    shift = rng.normal(0.0, 0.10, size=2) * half
    sac = ellipse(
        float(centre[0] + shift[0]), float(centre[1] + shift[1]), float(half[0] * room[0]), float(half[1] * room[1])
    )
    sac = blob(sac, rng, 0.12)
    painter.tissue(offset(sac, -1.2, closed=True), float(rng.uniform(0, 5)), loss=UTERUS, blur=0.5)
    painter.tissue(sac, FLUID_DB, loss=FLUID, texture=0.5, blur=0.15)
    painter.line(sac, float(rng.uniform(4, 13)), 0.7, power=5, closed=True)
    if rng.random() < 0.4:
        amnion = blob(centre + (sac - centre) * float(rng.uniform(0.82, 0.97)), rng, 0.05)
        painter.line(amnion, float(rng.uniform(8, 13)), 0.35, power=6, closed=True)
    if rng.random() < 0.25:
        _cord(painter, sac, rng)


def _extent(outline: Points) -> tuple[Points, Points]:
    low, high = outline.min(axis=0), outline.max(axis=0)
    return (low + high) / 2, (high - low) / 2


def _band(painter: Painter, rng: np.random.Generator, width: float, height: float) -> None:
    """A layer of the womb or of the mother's belly across the frame, with a bright border at times."""
    y = float(rng.uniform(-0.1, 1.1)) * height
    slope = rng.normal(0.0, 0.12, size=3) * height
    knots = [
        (-0.1 * width, y + float(slope[0])),
        (0.3 * width, y),
        (0.7 * width, y + float(slope[1])),
        (1.1 * width, y + float(slope[2])),
    ]
    top = smooth(knots)
    thick = float(rng.uniform(0.08, 0.3)) * height
    outline = np.concatenate([top, shifted(top, 0.0, thick)[::-1]])
    painter.tissue(outline, float(rng.uniform(-12, 3)), loss=UTERUS, texture=float(rng.uniform(1.5, 4)), blur=0.6)
    if rng.random() < 0.5:
        painter.line(top, float(rng.uniform(4, 14)), float(rng.uniform(0.4, 0.9)), power=8)


def _placenta(painter: Painter, rng: np.random.Generator, width: float, height: float) -> None:
    side = rng.uniform(0.0, 1.0)
    x, y = (
        (float(rng.uniform(0, 1)), float(rng.choice([-0.05, 1.05]))) if side < 0.6 else (float(rng.choice([0, 1])), 0.5)
    )
    outline = blob(ellipse(x * width, y * height, 0.45 * width, 0.33 * height), rng, 0.2)
    painter.tissue(outline, float(rng.uniform(0, 6)), texture=2.2, blur=0.6)


def _cord(painter: Painter, sac: Points, rng: np.random.Generator) -> None:
    """A loop of umbilical cord: a bright-walled tube with dark vessels, cut at several places."""
    start = sac[int(rng.integers(len(sac)))]
    centre = sac.mean(axis=0)
    at = start + (centre - start) * float(rng.uniform(0.1, 0.3))
    for _ in range(int(rng.integers(2, 6))):
        a, b = float(rng.uniform(1.2, 2.2)), float(rng.uniform(0.9, 1.4))
        tube = ellipse(float(at[0]), float(at[1]), a, b, float(rng.uniform(0, 3.1)))
        painter.tissue(tube, float(rng.uniform(-2, 4)), blur=0.15)
        painter.tissue(at + (tube - at) * 0.45, -30.0, loss=FLUID, blur=0.1)
        at = at + rng.normal(0.0, 1.0, size=2) * 2.0
