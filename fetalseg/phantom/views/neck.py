"""Neck, mid-sagittal from head to chest, the fetus lying along the frame: nasal bone, palate, nuchal translucency.

Local millimetres for a palate of 6.6 mm (CRL 65): origin at the palate's centre, x towards the chest, y towards
the back (down, for a fetus that lies face up). Places of the three structures follow real frames: the nasal bone lies
1.1 mm towards the crown and 3.8 mm towards the face, the translucency 13.5 mm towards the back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fetalseg.phantom.examination import Examination
from fetalseg.phantom.motion import Motion
from fetalseg.phantom.scene import BLOOD, FLUID, Painter, Scene
from fetalseg.phantom.shapes import Points, Pose, blob, ellipse, offset, resample, ribbon, shifted, smooth
from fetalseg.phantom.surroundings import FLUID_DB, surround
from fetalseg.phantom.views.limbs import ARM, Limb, paint_limb

__all__ = ["field_mm", "paint"]

# skin from the back of the head over crown, face and chest; the line of the back is drawn with the translucency
_CROWN = [(-6.0, 12.6), (-11.0, 11.0), (-15.4, 7.0), (-17.4, 2.0), (-15.6, -4.3), (-11.6, -8.2), (-7.4, -8.9)]
_FACE = [(-4.4, -7.5), (-2.9, -5.6), (-1.7, -5.2), (-0.3, -5.5), (0.9, -5.0), (1.3, -3.6), (2.6, -3.1), (3.3, -1.9)]
_CHIN = [(3.5, -1.2), (4.5, -0.7), (5.5, 0.3), (5.9, 1.6), (5.7, 3.0), (6.6, 4.0), (8.2, 3.2)]
_CHEST = [(11.0, 0.8), (15.0, -1.2), (20.0, -2.6), (28.0, -3.4), (40.0, -3.0), (52.0, -2.0)]
_BACK_Y = 13.5
_BACK_END = 52.0


def field_mm(examination: Examination, rng: np.random.Generator) -> float:
    """45 mm for a fetus of 65 mm, with the spread of real zooms; larger for larger fetuses."""
    return _scale(examination) * float(np.clip(rng.normal(45.0, 6.0), 34.0, 66.0))


def paint(scene: Scene, examination: Examination, rng: np.random.Generator, motion: Motion) -> None:
    """Draws head, neck and chest; face up in most frames, face down or upright in some."""
    middle_x, middle_y = scene.sector.middle
    scale = _scale(examination)
    down = rng.random()
    turn = float(np.clip(rng.normal(0.0, 0.16), -0.45, 0.45))
    if down < 0.10:
        turn += math.pi
    elif down < 0.15:
        turn += float(rng.choice([-1.0, 1.0])) * float(rng.uniform(0.9, 1.57))
    mirror = bool(rng.random() < 0.5)
    about = Pose(0, 0, turn, scale, mirror)
    # the middle of head and neck comes to the middle of the frame
    middle = about.apply(np.array([[float(rng.uniform(-3.0, 2.0)), float(rng.uniform(2.0, 5.0))]]))[0]
    pose = Pose(
        middle_x - float(middle[0]) + motion.x_mm,
        middle_y - float(middle[1]) + motion.y_mm,
        turn + motion.turn,
        scale,
        mirror,
    )
    painter = scene.at(pose)
    thick = examination.sizes["nt"] / scale
    band = _band(thick, rng)
    _womb(scene, painter, rng, band.skin)
    if rng.random() < 0.3:
        _arm(painter, examination, rng, motion, scale)
    _body(painter, examination, rng, band.skin)
    _brain(painter, examination, rng)
    if rng.random() < 0.6:
        _chest(painter, rng)
    if rng.random() < 0.6:
        _spine(painter, examination, rng)
    _palate(painter, examination, rng, scale)
    _nose(painter, examination, rng, scale)
    _translucency(painter, examination, band)


def _scale(examination: Examination) -> float:
    return examination.sizes["ofd"] / 29.4


@dataclass(frozen=True, eq=False)
class _Band:
    """The translucency.

    Attributes:
        skin: the line of the skin along the back, from the occiput on, [N, 2].
        depth: of the dark band inwards from the skin line, [N].
        seen: the points between which the band is open.
    """

    skin: Points
    depth: npt.NDArray[np.float64]
    seen: slice


def _band(thick: float, rng: np.random.Generator) -> _Band:
    """Skin of the back from the occiput to beyond the chest, and the band's depth at each of its points."""
    bow = float(rng.normal(0.0, 0.8))
    lift = float(rng.normal(0.3, 1.0))
    base = _BACK_Y + thick / 2 + 0.35
    knots = [(-6.0, 12.6 + 0.3 * thick), (-3.5, base - 0.5), (0.0, base), (4.0, base + 0.25 * bow)]
    knots += [(9.0, base + bow), (16.0, base + bow + 0.4 * lift), (28.0, base + bow + lift), (52.0, base + 2 * lift)]
    skin = resample(smooth(knots), 0.35)
    length = float(np.clip(rng.normal(18.0, 4.5), 10.0, 28.0))
    start = -4.6 + float(rng.uniform(0.0, 3.5))
    x = (skin[:, 0] - start) / length
    shape = np.clip(np.sin(np.pi * np.clip(x, 0.0, 1.0)), 0.0, 1.0) ** 0.45
    depth = np.maximum(0.35, thick * shape)
    inside = np.flatnonzero((x >= 0.0) & (x <= 1.0))
    return _Band(skin, depth, slice(int(inside[0]), int(inside[-1]) + 1))


def _outline(skin: Points) -> Points:
    front = smooth([*_CROWN, *_FACE, *_CHIN, *_CHEST], per_span=5)
    return np.concatenate([front, skin[::-1]])


def _womb(scene: Scene, painter: Painter, rng: np.random.Generator, skin: Points) -> None:
    """A long sac; its lower wall or the amnion runs close behind the back, as in the classic false translucency."""
    outline = painter.pose.apply(_outline(skin))
    surround(scene.at(Pose()), outline, rng, roomy=float(rng.uniform(0.85, 1.1)))
    gap = float(rng.uniform(0.2, 5.0))
    wall = skin + (0.0, 1.0) * np.ones((len(skin), 1)) * (gap + 0.06 * np.abs(skin[:, :1] - 4.0))
    wall[:, 0] = (wall[:, 0] - 4.0) * 1.8
    below = np.concatenate([wall, shifted(wall[::-1], 0.0, 30.0)])
    if rng.random() < 0.75:
        painter.tissue(below, float(rng.uniform(-7, 2)), texture=3.0, blur=0.3)
        painter.line(wall, float(rng.uniform(4, 13)), 0.6, power=6)
    between = offset(skin, -float(rng.uniform(0.8, 3.0)))
    if rng.random() < 0.35:
        painter.line(shifted(between, float(rng.normal(0, 2)), 1.5), float(rng.uniform(8, 13)), 0.35, power=6)


def _body(painter: Painter, examination: Examination, rng: np.random.Generator, skin: Points) -> None:
    outline = _outline(skin)
    level = -5.0 + examination.tissue_db["wall"]
    painter.hide(outline)
    painter.tissue(outline, level, texture=3.2, blur=0.15)
    front = smooth([*_FACE[:2], *_FACE[2:], *_CHIN, *_CHEST], per_span=5)
    painter.line(front, 9.0 + examination.tissue_db["line"], 0.6, power=5)
    neck = [(-2.5, 6.0), (3.0, 5.5), (9.0, 6.5), (16.0, 6.0), (24.0, 6.0), (24.0, 9.5), (12.0, 10.5), (3.0, 10.5)]
    painter.tissue(smooth(neck, closed=True), level - float(rng.uniform(3, 9)), texture=3.5, blur=0.8)
    for _ in range(int(rng.integers(4, 9))):
        x, y = float(rng.uniform(1, 22)), float(rng.uniform(4.0, 11.0))
        streak = np.array([[x, y], [x + float(rng.uniform(2, 6)), y + float(rng.normal(0, 0.4))]])
        painter.line(streak, float(rng.uniform(2, 10)), 0.5, power=4)


def _brain(painter: Painter, examination: Examination, rng: np.random.Generator) -> None:
    brain = -8.0 + examination.tissue_db["brain"]
    inside = [(-6.5, 11.4), (-11.0, 9.8), (-14.4, 6.4), (-16.2, 1.9), (-14.6, -3.6), (-11.2, -7.1), (-7.4, -7.8)]
    inside += [(-4.8, -6.6), (-3.4, -4.2), (-3.2, -1.0), (-2.2, 3.0), (-2.0, 7.0), (-3.0, 10.0)]
    painter.tissue(smooth(inside, closed=True), brain, texture=3.6, blur=0.4)
    plexus = blob(ellipse(-10.0, -1.0, 3.6, 2.8), rng, 0.12)
    painter.tissue(plexus, brain + float(rng.uniform(2, 8)), texture=3.5, blur=0.8)
    thalamus = blob(ellipse(-6.0, 4.2, 3.0, 2.4, 0.5), rng, 0.1)
    painter.tissue(thalamus, brain - float(rng.uniform(6, 14)), loss=BLOOD, blur=0.6)
    stem = ribbon(smooth([(-6.0, 5.0), (-3.5, 7.2), (0.0, 8.3), (5.0, 8.8)]), 1.6)
    painter.tissue(stem, brain - float(rng.uniform(5, 12)), loss=BLOOD, blur=0.4)
    fourth = ribbon(smooth([(-6.8, 8.0), (-4.5, 9.2), (-2.0, 9.9)]), 0.9)
    painter.tissue(fourth, -40.0, loss=FLUID, blur=0.25)
    for x, y in ((-7.5, 3.0), (-4.5, 6.2), (-4.0, 2.0)):
        at = (x + float(rng.normal(0, 0.5)), y + float(rng.normal(0, 0.5)))
        painter.tissue(ellipse(*at, 0.7, 0.5), float(rng.uniform(2, 10)), blur=0.3)
    skull = offset(smooth([*_CROWN, *_FACE[:2]], per_span=6), 0.75)
    level = 22.0 + examination.tissue_db["bone"]
    painter.line(skull, level, 0.9, power=5, bone=0.55)
    base = smooth([(-3.2, -4.4), (-2.9, -1.5), (-3.6, 1.0)])
    painter.line(base, float(rng.uniform(6, 14)), 0.7, power=2, bone=0.2)


def _chest(painter: Painter, rng: np.random.Generator) -> None:
    """Heart and lungs at the frame's edge; the heart of a sagittal frame is seen and not labelled."""
    x = float(rng.uniform(17.0, 22.0))
    painter.tissue(blob(ellipse(x, 3.2, 3.6, 2.9), rng, 0.1), -16.0, loss=BLOOD, blur=0.4)
    painter.tissue(ellipse(x - 0.6, 3.0, 1.4, 1.1), -32.0, loss=BLOOD, blur=0.3)
    painter.see("heart")
    for start in np.arange(9.0, 28.0, 2.6).tolist():
        painter.tissue(ellipse(start, -0.2, 0.5, 0.7, 0.3), float(rng.uniform(4, 12)), blur=0.25)


def _spine(painter: Painter, examination: Examination, rng: np.random.Generator) -> None:
    """Two rows of bright points from the neck to the frame's edge."""
    curve = resample(smooth([(3.5, 10.2), (9.0, 10.6), (16.0, 10.0), (26.0, 9.6)]), 1.25)
    level = 15.0 + examination.tissue_db["bone"]
    for shift in (-0.9, 0.9):
        for x, y in shifted(curve, 0.0, shift).tolist():
            painter.tissue(ellipse(x, y, 0.42, 0.34), level + float(rng.normal(0, 2)), blur=0.12)
    painter.label("spine", ribbon(curve, 2.9))


def _palate(painter: Painter, examination: Examination, rng: np.random.Generator, scale: float) -> None:
    """A slanted bright bar, a dark slit on its chest side and the bright jaw beyond it."""
    length = examination.sizes["palate"] / scale
    half, thick = length / 2, float(rng.uniform(1.3, 1.8))
    slant = -math.radians(float(np.clip(rng.normal(33, 7), 15, 50)))
    bend = float(rng.uniform(0.1, 0.6))
    curve = smooth([(-half, bend), (-0.3 * half, -0.3 * bend), (0.35 * half, 0.0), (half, -0.4 * bend)])
    bar = painter.at(Pose(0.0, 0.0, slant))
    bar.tissue(ribbon(shifted(curve, 0.3, 1.7), 1.1), -30.0, loss=BLOOD, blur=0.25)
    level = 15.0 + examination.tissue_db["bone"]
    taper = thick * (0.75 + 0.25 * np.sin(np.linspace(0.2, math.pi - 0.3, len(curve))))
    shape = ribbon(curve, taper)
    bar.tissue(shape, level - 4, texture=3.0, blur=0.2)
    bar.line(curve, level, 0.6 * thick, power=1.5, bone=0.25)
    jaw = np.array([[-0.1 * half, 3.0], [0.75 * half, 3.3]])
    bar.line(jaw, float(rng.uniform(6, 15)), 0.9, power=2, bone=0.3)
    bar.label("palate", shape)


def _nose(painter: Painter, examination: Examination, rng: np.random.Generator, scale: float) -> None:
    """Under the skin of the bridge and parallel to it the brighter bone; the tip is a third line, farther down."""
    shift = np.array([[float(rng.normal(0, 0.35)), float(rng.normal(0, 0.35))]])
    skin = np.array([[-2.9, -5.5], [-1.7, -5.15], [-0.3, -5.3], [0.5, -5.3]])
    painter.line(smooth(skin), 13.0 + examination.tissue_db["line"], 0.6, power=3)
    painter.line(np.array([[0.2, -4.5], [1.3, -4.3]]), float(rng.uniform(8, 14)), 0.6, power=2)
    if not examination.nasal_bone or rng.random() < 0.10:
        return
    half = examination.sizes["nasal_bone"] / scale / 2
    turn = float(rng.normal(0.06, 0.10))
    curve = smooth([(-half, 0.05), (0.0, -0.06), (half, 0.05)])
    thick = float(rng.uniform(0.7, 1.0)) / scale
    bone = painter.at(Pose(-1.1 + float(shift[0, 0]), -3.8 + float(shift[0, 1]), turn))
    bone.tissue(ribbon(curve, 0.8 * thick), 4.0, blur=0.1)
    bone.line(curve, 20.0 + examination.tissue_db["bone"], thick, power=4, bone=0.6)
    bone.label("nasal_bone", ribbon(curve, thick))


def _translucency(painter: Painter, examination: Examination, band: _Band) -> None:
    """Skin line outside, line over the neck's tissue inside, black between; the mask takes half of each line."""
    skin, depth = band.skin, band.depth
    width = 0.75
    outer = skin.copy()
    inner = skin - np.stack([np.zeros_like(depth), depth + width], axis=1)
    seen = band.seen
    painter.tissue(np.concatenate([outer[seen], inner[seen][::-1]]), FLUID_DB, loss=FLUID, texture=0.5, blur=0.08)
    level = 13.0 + examination.tissue_db["line"]
    painter.line(outer, level, width, power=5)
    painter.line(inner[max(0, seen.start - 6) : seen.stop + 6], level, width, power=5)
    painter.label("nuchal_translucency", np.concatenate([outer[seen], inner[seen][::-1]]))


def _arm(painter: Painter, examination: Examination, rng: np.random.Generator, motion: Motion, scale: float) -> None:
    """A forearm or a hand in the fluid before the face."""
    start = int(rng.integers(1, 3))
    names = ARM[start:]
    turns = tuple(float(rng.normal(0, 0.5)) + motion.swing for _ in names)
    pose = Pose(float(rng.uniform(4, 14)), float(rng.uniform(-11, -6)), float(rng.uniform(-2.8, -0.3)), 1 / scale)
    paint_limb(painter.at(pose), Limb(names, turns), examination, rng)
