"""No fetus in the plane: an adult's organs or heart, womb and placenta alone, fluid alone, or a probe in the air."""

from __future__ import annotations

import math

import numpy as np

from fetalseg.phantom.examination import Examination
from fetalseg.phantom.motion import Motion
from fetalseg.phantom.scene import BLOOD, FLUID, UTERUS, Painter, Scene
from fetalseg.phantom.shapes import Pose, blob, ellipse, ribbon, smooth
from fetalseg.phantom.surroundings import FLUID_DB, draw_womb, open_sac
from fetalseg.phantom.views.thorax import chambers

__all__ = ["field_mm", "paint"]

_KINDS = {"womb": 0.2, "fluid": 0.15, "organs": 0.3, "heart": 0.25, "air": 0.1}


def field_mm(examination: Examination, rng: np.random.Generator) -> float:
    """From the zoom of a fetal picture to that of an adult's heart."""
    return float(rng.uniform(45, 170))


def paint(scene: Scene, examination: Examination, rng: np.random.Generator, motion: Motion) -> None:
    """Draws one of the planes without a fetus; nothing in it is labelled."""
    painter = scene.at(Pose(motion.x_mm, motion.y_mm))
    kind = str(rng.choice(list(_KINDS), p=list(_KINDS.values())))
    draw_womb(painter, rng)
    if kind == "fluid":
        _empty_sac(painter, rng)
    elif kind == "organs":
        for _ in range(int(rng.integers(1, 5))):
            _organ(painter, rng)
    elif kind == "heart":
        _adult_heart(painter, examination, rng, motion)
    elif kind == "air":
        _air(painter, rng)


def _empty_sac(painter: Painter, rng: np.random.Generator) -> None:
    """A sac, a bladder or a cyst: black with a bright lining, round or flat, alone."""
    width, height = painter.scene.sector.size_mm
    x, y = (rng.uniform(0.25, 0.75, size=2) * (width, height)).tolist()
    a, b = float(rng.uniform(0.12, 0.5)) * width, float(rng.uniform(0.12, 0.45)) * height
    open_sac(painter, blob(ellipse(x, y, a, b), rng, float(rng.uniform(0.02, 0.15))), rng)


def _organ(painter: Painter, rng: np.random.Generator) -> None:
    """A kidney, an ovary with follicles, a cut vessel or a fold of gut, all rounder and brighter rimmed than tissue."""
    width, height = painter.scene.sector.size_mm
    x, y = (rng.uniform(0.15, 0.85, size=2) * (width, height)).tolist()
    size = float(rng.uniform(0.06, 0.2)) * width
    organ = painter.at(Pose(x, y, float(rng.uniform(-math.pi, math.pi))))
    kind = int(rng.integers(4))
    outline = blob(ellipse(0.0, 0.0, 1.3 * size, 0.75 * size), rng, 0.06)
    if kind == 0:  # kidney: darker rim, bright middle
        organ.tissue(outline, float(rng.uniform(-10, -4)), texture=2.5, blur=0.4)
        organ.tissue(blob(ellipse(0.0, 0.0, 0.7 * size, 0.28 * size), rng, 0.2), float(rng.uniform(3, 9)), blur=0.6)
        organ.line(outline, float(rng.uniform(3, 12)), 0.5, power=5, uneven=4, closed=True)
    elif kind == 1:  # ovary
        organ.tissue(outline, float(rng.uniform(-7, 0)), texture=2.5, blur=0.3)
        for _ in range(int(rng.integers(2, 7))):
            at = (rng.uniform(-0.6, 0.6, size=2) * (1.3 * size, 0.6 * size)).tolist()
            radius = float(rng.uniform(0.1, 0.3)) * size
            follicle = blob(ellipse(at[0], at[1], radius, 0.85 * radius), rng, 0.06)
            organ.tissue(follicle, FLUID_DB, loss=FLUID, blur=0.2)
            organ.line(follicle, float(rng.uniform(2, 10)), 0.3, power=4, closed=True)
    elif kind == 2:  # vessels along and across the plane
        for _ in range(int(rng.integers(1, 4))):
            bend = rng.normal(0.0, 0.4, size=3) * size
            course = smooth([(-2 * size, float(bend[0])), (0.0, float(bend[1])), (2 * size, float(bend[2]))])
            tube = ribbon(course, float(rng.uniform(0.1, 0.45)) * size)
            organ.tissue(tube, -34.0, loss=BLOOD, blur=0.3)
            organ.line(tube, float(rng.uniform(3, 12)), 0.5, power=5, uneven=4, closed=True)
    else:  # gut: bright gas in front of a dirty shadow
        organ.tissue(outline, float(rng.uniform(-8, 4)), texture=5.0, blur=0.5)
        for _ in range(int(rng.integers(1, 4))):
            gas = smooth((rng.uniform(-0.8, 0.8, size=(4, 2)) * (size, 0.4 * size))[np.argsort(rng.random(4))])
            organ.line(gas, float(rng.uniform(12, 22)), 0.8, power=2, bone=0.6)


def _adult_heart(painter: Painter, examination: Examination, rng: np.random.Generator, motion: Motion) -> None:
    """Four chambers of 60 to 90 % of the frame's height, apex mostly towards the probe."""
    width, height = painter.scene.sector.size_mm
    size = float(rng.uniform(0.6, 1.1)) * height
    turn = -math.pi / 2 + float(rng.normal(0.0, 0.6))
    x, y = float(rng.normal(0.5, 0.08)) * width, float(rng.normal(0.52, 0.06)) * height
    # the fetal drawing, enlarged: lines and soft edges grow with it
    heart = painter.at(Pose(x, y, turn, size / 9.0))
    bag = ellipse(0.0, 0.0, 6.0, 5.0)
    heart.tissue(blob(bag, rng, 0.08), float(rng.uniform(-9, 0)), loss=UTERUS, texture=3.0, blur=1.0)
    chambers(heart, 9.0, float(rng.uniform(6.8, 8.4)), examination, rng, motion)


def _air(painter: Painter, rng: np.random.Generator) -> None:
    """A probe without contact: the gel's echo repeats itself at equal depths, weaker each time, over black."""
    sector = painter.scene.sector
    width, height = sector.size_mm
    everywhere = np.array([[-1.0, -1.0], [width + 1, -1.0], [width + 1, height + 1], [-1.0, height + 1]])
    painter.tissue(everywhere, -60.0, texture=0.5)
    step, level = float(rng.uniform(0.02, 0.1)) * height, float(rng.uniform(8, 18))
    near = max(sector.radius_mm[0], -sector.apex[1])
    angle = np.linspace(*sector.angle, 60)
    for number in range(int(rng.integers(3, 9))):
        radius = near + (number + 0.4) * step
        layer = np.stack([sector.apex[0] + radius * np.sin(angle), sector.apex[1] + radius * np.cos(angle)], axis=1)
        painter.line(layer, level - 3.5 * number, 0.25 * step, power=0, uneven=2)
