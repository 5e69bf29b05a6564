"""What lies around the fetus: womb wall, placenta, the black of the amniotic sac, the amnion, loops of cord."""

from __future__ import annotations

import math

import numpy as np

from fetalseg.phantom.scene import FLUID, UTERUS, Painter
from fetalseg.phantom.shapes import Points, blob, ellipse, offset, shifted, smooth

__all__ = ["FLUID_DB", "draw_womb", "open_sac", "surround"]

FLUID_DB = -56.0


def surround(
    painter: Painter, around: Points, rng: np.random.Generator, *, roomy: float = 1.0, tight: float = 0.15
) -> None:
    """Fills the frame with the womb and opens a sac of fluid in it, in which the fetus lies against one wall.

    Args:
        painter: draws in frame mm.
        around: outline of the fetus in frame mm; the sac is drawn about it.
        rng: source of the draw.
        roomy: factor on the room around the fetus.
        tight: chance that the wall touches the fetus nearly everywhere.
    """
    draw_womb(painter, rng)
    low, high = around.min(axis=0), around.max(axis=0)
    centre, half = (low + high) / 2, (high - low) / 2
    if rng.random() < tight:
        room = rng.uniform(1.0, 1.12, size=2)
    else:
        room = np.clip(rng.lognormal(math.log(1.65), 0.32, size=2) * roomy, 1.06, 3.5)
    # gravity and the probe's pressure: the fetus lies on the far wall more often than on another one
    angle = float(rng.normal(-math.pi / 2, 0.9))
    free = np.maximum(half * (room - 1.0), 0.0)
    away = float(rng.uniform(0.55, 1.05)) * free * (math.cos(angle), math.sin(angle))
    x, y = (centre + away).tolist()
    a, b = (half * room).tolist()
    sac = blob(ellipse(x, y, a, b, float(rng.normal(0.0, 0.15))), rng, 0.13)
    open_sac(painter, sac, rng)


def draw_womb(painter: Painter, rng: np.random.Generator) -> None:
    """Tissue over the whole frame: layers of the mother's belly and of the womb, placenta, patches, vessels."""
    width, height = painter.scene.sector.size_mm
    everywhere = np.array([[-1.0, -1.0], [width + 1, -1.0], [width + 1, height + 1], [-1.0, height + 1]])
    painter.tissue(everywhere, float(rng.uniform(-10, 1)), loss=UTERUS, texture=float(rng.uniform(1.2, 3.5)))
    for _ in range(int(rng.integers(1, 4))):
        _band(painter, rng, width, height)
    if rng.random() < 0.6:
        _placenta(painter, rng, width, height)
    for _ in range(int(rng.integers(0, 4))):
        x, y = float(rng.uniform(0, width)), float(rng.uniform(0, height))
        size = float(rng.uniform(0.04, 0.16)) * width
        patch = blob(ellipse(x, y, size, size * float(rng.uniform(0.3, 0.9)), float(rng.uniform(0, 3.1))), rng, 0.25)
        painter.tissue(patch, float(rng.uniform(-16, 5)), loss=UTERUS, texture=3.0, blur=0.8)
    if rng.random() < 0.3:
        _fascia(painter, rng, width, height)
    if rng.random() < 0.3:
        _poor_contact(painter, rng, width, height)


def open_sac(painter: Painter, sac: Points, rng: np.random.Generator) -> None:
    """Black fluid with its bright lining; at times haze in its near part, the amnion and loops of cord."""
    if rng.random() < 0.7:
        painter.tissue(offset(sac, -1.2, closed=True), float(rng.uniform(-3, 5)), loss=UTERUS, blur=0.6)
    painter.tissue(sac, FLUID_DB, loss=FLUID, texture=0.5, blur=float(rng.uniform(0.1, 0.4)))
    if rng.random() < 0.4:
        _haze(painter, sac, rng)
    if rng.random() < 0.7:
        painter.line(sac, float(rng.uniform(-2, 11)), float(rng.uniform(0.25, 0.6)), power=5, uneven=4, closed=True)
    if rng.random() < 0.3:
        centre = sac.mean(axis=0)
        amnion = blob(centre + (sac - centre) * float(rng.uniform(0.82, 0.97)), rng, 0.05)
        painter.line(amnion, float(rng.uniform(4, 12)), 0.25, power=6, uneven=4, closed=True)
    if rng.random() < 0.3:
        _cord(painter, sac, rng)


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
    thick = float(rng.uniform(0.08, 0.4)) * height
    outline = np.concatenate([top, shifted(top, 0.0, thick)[::-1]])
    painter.tissue(outline, float(rng.uniform(-14, 4)), loss=UTERUS, texture=float(rng.uniform(1.2, 3.5)), blur=0.8)
    if rng.random() < 0.5:
        painter.line(top, float(rng.uniform(2, 14)), float(rng.uniform(0.3, 0.8)), power=8, uneven=4)


def _fascia(painter: Painter, rng: np.random.Generator, width: float, height: float) -> None:
    """Bright fibres of the belly wall in the near field, nearly across the beam."""
    for _ in range(int(rng.integers(3, 12))):
        x, y = float(rng.uniform(-0.1, 0.9)) * width, float(rng.beta(1, 4)) * 0.6 * height
        length = float(rng.uniform(0.05, 0.3)) * width
        bend = rng.normal(0.0, 0.04, size=3) * length
        knots = [(x, y), (x + 0.5 * length, y + float(bend[0])), (x + length, y + float(bend[1]))]
        painter.line(smooth(knots), float(rng.uniform(2, 14)), float(rng.uniform(0.3, 0.7)), power=4, uneven=4)


def _poor_contact(painter: Painter, rng: np.random.Generator, width: float, height: float) -> None:
    """Gas, hair or a rib of the mother between probe and womb: what lies below it is darker."""
    for _ in range(int(rng.integers(1, 3))):
        x, thick = float(rng.uniform(-0.05, 1.05)) * width, 0.03 * height
        patch = ellipse(x, thick, float(rng.uniform(0.04, 0.16)) * width, thick)
        # 1 cm of tissue that takes this much more than usual costs some decibels there and back
        strength = float(rng.uniform(3.0, 9.0)) / thick
        painter.tissue(patch, float(rng.uniform(-14, 2)), loss=UTERUS + strength, texture=3.0, blur=1.0)


def _placenta(painter: Painter, rng: np.random.Generator, width: float, height: float) -> None:
    """A thick even layer at one wall, whose face to the sac may be a bright line."""
    x, y = (
        (float(rng.uniform(0, 1)), float(rng.choice([-0.08, 1.08])))
        if rng.random() < 0.6
        else (float(rng.choice([-0.05, 1.05])), float(rng.uniform(0.2, 0.8)))
    )
    a, b = float(rng.uniform(0.3, 0.6)) * width, float(rng.uniform(0.2, 0.5)) * height
    outline = blob(ellipse(x * width, y * height, a, b), rng, 0.2)
    painter.tissue(outline, float(rng.uniform(-2, 6)), texture=float(rng.uniform(0.8, 2.0)), blur=0.4)
    if rng.random() < 0.4:
        painter.line(outline, float(rng.uniform(2, 9)), 0.4, power=6, uneven=4, closed=True)


def _haze(painter: Painter, sac: Points, rng: np.random.Generator) -> None:
    """Echoes between probe and wall that repeat themselves in the near part of the fluid."""
    low, high = sac.min(axis=0), sac.max(axis=0)
    reach = float(rng.uniform(0.15, 0.6)) * (high[1] - low[1])
    near = sac.copy()
    near[:, 1] = np.minimum(near[:, 1], low[1] + reach)
    painter.tissue(near, float(rng.uniform(-40, -20)), loss=FLUID, texture=1.0, blur=min(2.0, 0.4 * reach))


def _cord(painter: Painter, sac: Points, rng: np.random.Generator) -> None:
    """Loops of umbilical cord, cut across here and there: jelly with three dark vessels and bright walls."""
    start = sac[int(rng.integers(len(sac)))]
    centre = sac.mean(axis=0)
    at = start + (centre - start) * float(rng.uniform(0.1, 0.3))
    for _ in range(int(rng.integers(2, 6))):
        a, b = float(rng.uniform(1.2, 2.4)), float(rng.uniform(0.9, 1.5))
        tube = ellipse(float(at[0]), float(at[1]), a, b, float(rng.uniform(0, 3.1)))
        painter.tissue(tube, float(rng.uniform(-4, 4)), blur=0.15)
        painter.line(tube, float(rng.uniform(2, 10)), 0.3, power=3, closed=True)
        painter.tissue(at + (tube - at) * 0.45, -30.0, loss=FLUID, blur=0.1)
        at = at + rng.normal(0.0, 1.0, size=2) * 2.2
