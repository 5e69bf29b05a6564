"""The three structures of the profile: palate, nasal bone and nuchal translucency, in the neck view's millimetres."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fetalseg.phantom.examination import Examination
from fetalseg.phantom.motion import GONE, Motion
from fetalseg.phantom.scene import BLOOD, FLUID, Painter
from fetalseg.phantom.shapes import Points, Pose, ellipse, resample, ribbon, shifted, smooth
from fetalseg.phantom.surroundings import FLUID_DB

__all__ = ["NT_MIDDLE_MM", "Band", "draw_band", "paint_nose", "paint_palate", "paint_translucency"]

NT_MIDDLE_MM = 13.6  # from the palate to the middle of the translucency, at its deepest place
# How often a neck frame of Hong et al., Table 3, doesn't show them, less those that the frame or the contrast loses
_PALATE_UNSEEN = 0.01
_NASAL_BONE_UNSEEN = 0.06


@dataclass(frozen=True, eq=False)
class Band:
    """The translucency.

    Attributes:
        skin: the line of the skin along the back, from the occiput on, [N, 2].
        depth: of the dark band inwards from the skin line, [N].
        seen: the points between which the band is open.
    """

    skin: Points
    depth: npt.NDArray[np.float64]
    seen: slice


def draw_band(thick: float, rng: np.random.Generator) -> Band:
    """Skin of the back from the occiput to beyond the chest, and the band's depth at each of its points.

    Args:
        thick: of the translucency, mm.
        rng: source of the draw.
    """
    base = NT_MIDDLE_MM + thick / 2 - 0.7
    smile, tilt = abs(float(rng.normal(0.0, 0.5))), float(rng.normal(0.0, 0.015))
    x = np.array([-11.0, -8.0, -4.0, 1.0, 6.0, 12.0, 20.0, 32.0, 54.0])
    y = base + tilt * (x - 1.0) - smile * ((x - 1.0) / 14.0) ** 2 * np.where(x > 20, 20 / x, 1.0)
    y[0] = 13.4 + 0.3 * thick
    y[1] -= 0.15
    skin = resample(smooth(np.stack([x, y], axis=1)), 0.35)
    length = float(np.clip(rng.normal(18.5, 5.5), 9.5, 30.0))
    start = float(np.clip(rng.normal(1.1, 3.4), -5.0, 9.0)) - length / 2
    along = (skin[:, 0] - max(start, -10.5)) / length
    inside = np.flatnonzero((along >= 0.0) & (along <= 1.0))
    power = float(rng.uniform(0.3, 0.8))
    shape = np.clip(np.sin(np.pi * np.clip(along, 0.0, 1.0)), 0.0, 1.0) ** power
    return Band(skin, np.maximum(0.35, thick * shape), slice(int(inside[0]), int(inside[-1]) + 1))


def paint_palate(painter: Painter, examination: Examination, rng: np.random.Generator, motion: Motion) -> None:
    """A slanted bright bar that bends forwards at its upper end, a dark slit beside it and the bright jaw beyond.

    Bar and forward limb together are as long as the palate and 0.64 of it high: the size of 813 real boxes.
    """
    length = examination.sizes["palate"] / (examination.sizes["ofd"] / 29.4)
    half, high = length / 2, 0.5 * length * float(np.clip(rng.normal(0.60, 0.08), 0.42, 0.76))
    bent = float(rng.uniform(0.0, 1.0)) if rng.random() < 0.75 else 1.0
    thick = float(rng.uniform(1.0, 1.7))
    x = half - thick / 3
    y = high - thick / 2.4
    knots = [(-x, y), (-0.35 * x, 0.25 * y), (bent * x, -0.85 * y), (x, -y + 0.2 * abs(float(rng.normal(0, 1.0))))]
    if bent > 0.85:
        knots.pop(2)
    curve = smooth(knots)
    level = float(rng.uniform(13, 23)) + examination.tissue_db["bone"]
    fade = float(rng.uniform(2, 9))
    slit, jaw, lower = float(rng.uniform(-34, -14)), float(rng.uniform(5, 17)), rng.random() < 0.35
    unseen = rng.random() < _PALATE_UNSEEN
    taper = thick * (0.7 + 0.3 * np.sin(np.linspace(0.3, math.pi - 0.2, len(curve))))
    shown = motion.shown(0.85)
    if unseen:
        return
    level += 20 * math.log10(shown)
    bar = painter.at(Pose(0.0, 0.0, float(rng.normal(0.0, 0.04)), shown))
    bar.tissue(ellipse(0.45 * x, 0.35 * y, 0.42 * x, 0.4 * y, -0.6), slit, loss=BLOOD, texture=3, blur=0.3)
    bar.tissue(ellipse(-0.6 * x, -0.3 * y, 0.4 * x, 0.4 * y, -0.6), slit - 2, loss=BLOOD, texture=3, blur=0.4)
    shape = ribbon(curve, taper)
    bar.tissue(shape, level - 7, texture=3.5, blur=0.25)
    cut = len(curve) * 2 // 3
    bar.line(curve[:cut], level, 0.6 * thick, power=1.0, bone=0.2, uneven=3)
    bar.line(curve[cut - 1 :], level - fade, 0.5 * thick, power=1.0, bone=0.2, uneven=3)
    if lower:
        bar.line(np.array([[-0.8 * x, y], [0.2 * x, y + 0.1]]), level - 5, 0.6, power=2)
    mouth = ribbon(smooth([(1.05 * x, -0.1 * y), (1.1 * x, 0.6 * y), (0.7 * x, 1.5 * y)]), float(rng.uniform(0.9, 1.9)))
    bar.tissue(mouth, jaw - 3, texture=3, blur=0.3)
    if shown > GONE:
        bar.label("palate", shape)


def paint_nose(painter: Painter, examination: Examination, rng: np.random.Generator, motion: Motion) -> None:
    """Under the skin of the bridge and parallel to it the brighter bone; the tip is a third line, farther down.

    The bone is absent in some fetuses, and the mask of a present one has the soft rim that annotators include.
    """
    scale = examination.sizes["ofd"] / 29.4
    x, y = float(rng.normal(-1.1, 0.4)), float(rng.normal(-3.83, 0.33))
    skin, tip = float(rng.uniform(6, 15)) + examination.tissue_db["line"], float(rng.uniform(4, 13))
    level = float(rng.uniform(19, 28)) + examination.tissue_db["bone"]
    turn, thick = float(rng.normal(0.0, 0.08)), float(rng.uniform(0.5, 0.72)) / scale
    apart = float(rng.uniform(1.1, 1.7))
    painter.line(smooth([(x - 1.5, y - apart), (x, y - apart + 0.1), (x + 1.5, y - apart - 0.3)]), skin, 0.45, power=3)
    painter.line(np.array([[x + 1.7, y - 0.6], [x + 2.9, y - 0.3]]), tip, 0.6, power=2)
    unseen = rng.random() < _NASAL_BONE_UNSEEN
    shown = motion.shown(0.6)
    if not examination.nasal_bone or unseen:
        return
    half = 0.88 * examination.sizes["nasal_bone"] / scale / 2 * shown
    curve = smooth([(-half, 0.04), (0.0, -0.04), (half, 0.04)])
    bone = painter.at(Pose(x, y, turn))
    bone.tissue(ribbon(curve * 0.9, 0.7 * thick), level - 14, blur=0.15)
    bone.line(curve * 0.88, level + 20 * math.log10(shown), 0.55 * thick, power=4, bone=0.6, uneven=2)
    if shown > GONE:
        bone.label("nasal_bone", ribbon(curve, thick))


def paint_translucency(
    painter: Painter, examination: Examination, band: Band, rng: np.random.Generator, motion: Motion
) -> None:
    """Skin line outside, line over the neck's tissue inside, dark between; the mask takes half of each line.

    The band of a real frame is black to dark grey, and its inner line breaks off, or is thick where bone lies behind.
    """
    skin, depth = band.skin, band.depth
    seen = band.seen
    shown = motion.shown(0.9)
    fluid = FLUID_DB if rng.random() < 0.45 else float(rng.uniform(-40, -15))
    level = float(rng.uniform(8, 16)) + examination.tissue_db["line"]
    weaker, thick = float(rng.uniform(0, 9)), float(rng.uniform(0.35, 0.65))
    reach = rng.integers(-12, 10, size=2)
    uneven = float(rng.uniform(3, 9))
    _paint_layers(painter, band, level, rng)
    # from the middle of one line to the middle of the other
    outer = skin.copy()
    inner = skin - np.stack([np.zeros_like(depth), depth * shown + thick], axis=1)
    dark = np.concatenate([outer[seen], inner[seen][::-1]])
    painter.tissue(dark, fluid, loss=FLUID, texture=0.8, blur=0.1)
    painter.line(outer, level - 12, thick, power=0, uneven=4)
    painter.line(outer, level, thick, power=6, uneven=4)
    begin, end = max(0, seen.start - 2 - int(reach[0])), seen.stop + 2 + int(reach[1])
    painter.line(inner[begin:end], level - weaker, thick, power=6, uneven=uneven)
    if shown > GONE:
        painter.label("nuchal_translucency", dark)


def _paint_layers(painter: Painter, band: Band, level: float, rng: np.random.Generator) -> None:
    """What lies under the translucency and looks like it: layers of muscle, and the bone of the back of the head.

    Args:
        painter: of the neck view.
        band: the translucency.
        level: of its lines, dB.
        rng: source of the draw.
    """
    inner = band.skin - np.stack([np.zeros_like(band.depth), band.depth + 0.5], axis=1)
    length = len(inner)
    for _ in range(int(rng.integers(0, 4))):
        begin = int(rng.integers(0, max(1, length // 3)))
        layer = inner[begin : begin + int(rng.integers(12, 60))]
        deep, thick = float(rng.uniform(0.6, 3.5)), float(rng.uniform(0.5, 1.5))
        painter.tissue(ribbon(shifted(layer, 0.0, -deep), thick), float(rng.uniform(-26, -9)), texture=2.5, blur=0.25)
        bright = shifted(layer, 0.0, -deep - 0.5 * thick - 0.2)
        painter.line(bright, level - float(rng.uniform(2, 11)), float(rng.uniform(0.3, 0.6)), power=5, uneven=5)
    if rng.random() < 0.5:
        begin = int(rng.integers(0, 18))
        bone = inner[begin : begin + int(rng.integers(8, 26))]
        deep = float(rng.uniform(-0.2, 0.5))
        painter.line(
            shifted(bone, 0.0, -deep), level + float(rng.uniform(2, 9)), float(rng.uniform(0.7, 1.3)), bone=0.2
        )
