"""Neck, mid-sagittal from head to chest, the fetus lying along the frame: nasal bone, palate, nuchal translucency.

Local millimetres for a palate of 6.6 mm (CRL 65): origin at the middle of the palate's box, x towards the chest, y
towards the back (down, for a fetus that lies face up). The places of the three structures follow 898 real frames: the
nasal bone lies 1.1 mm towards the crown and 3.8 mm towards the face, the middle of the translucency 13.6 mm towards
the back and 1.1 mm towards the chest.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fetalseg.phantom.examination import Examination
from fetalseg.phantom.motion import Motion
from fetalseg.phantom.scene import BLOOD, Painter, Scene
from fetalseg.phantom.shapes import Points, Pose, blob, ellipse, offset, resample, ribbon, shifted, smooth
from fetalseg.phantom.surroundings import surround
from fetalseg.phantom.views.limbs import ARM, Limb, paint_limb
from fetalseg.phantom.views.profile import NT_MIDDLE_MM, draw_band, paint_nose, paint_palate, paint_translucency

__all__ = ["field_mm", "paint"]

# skin from the back of the head over crown, face and chest; the line of the back is drawn with the translucency
_CROWN = [(-11.0, 12.6), (-15.4, 8.6), (-18.2, 2.6), (-17.2, -3.4), (-13.4, -7.7), (-8.6, -8.9)]
_FACE = [(-5.0, -7.6), (-2.9, -5.6), (-1.7, -5.1), (-0.3, -5.4), (1.0, -5.1), (1.7, -3.9), (3.0, -3.5), (3.9, -2.3)]
_CHIN = [(4.2, -1.4), (5.4, -0.8), (6.3, 0.3), (6.7, 1.7), (6.5, 3.0), (7.2, 4.0), (8.8, 3.2)]
_CHEST = [(11.4, 1.0), (15.0, -0.8), (20.0, -2.0), (28.0, -2.8), (40.0, -2.4), (54.0, -1.6)]


def field_mm(examination: Examination, rng: np.random.Generator) -> float:
    """42 mm for a fetus of 65 mm, with the spread of real zooms; larger for larger fetuses."""
    return _scale(examination) * float(np.clip(rng.normal(41.5, 5.0), 31.0, 62.0))


def paint(scene: Scene, examination: Examination, rng: np.random.Generator, motion: Motion) -> None:
    """Draws head, neck and chest; face up in most frames, face down or upright in some."""
    pose = _place(scene, examination, rng, motion)
    painter = scene.at(pose)
    band = draw_band(examination.sizes["nt"] / _scale(examination), rng)
    body = _outline(band.skin, rng)
    _womb(scene, painter, rng, body, band.skin)
    for side, chance in ((0, 0.4), (1, 0.3)):
        if rng.random() < chance:
            _arm(painter, examination, rng, motion, side ^ examination.lie.near)
    level = -5.0 + examination.tissue_db["wall"]
    _body(painter, examination, rng, body, level)
    _brain(painter, examination, rng)
    _neck(painter, rng, level)
    if rng.random() < 0.7:
        _chest(painter, rng, level)
    if rng.random() < 0.45:
        _spine(painter, examination, rng)
    paint_palate(painter, examination, rng, motion)
    paint_nose(painter, examination, rng, motion)
    paint_translucency(painter, examination, band, rng, motion)


def _scale(examination: Examination) -> float:
    return examination.sizes["ofd"] / 29.4


def _place(scene: Scene, examination: Examination, rng: np.random.Generator, motion: Motion) -> Pose:
    """Where the fetus lies: its palate near the middle, so that the neck comes to the lower part of the frame.

    The back of most real frames is level, because only so both lines of the translucency show.
    """
    width, height = scene.sector.size_mm
    scale = _scale(examination)
    lie = examination.lie
    turn, mirror = lie.profile(rng)
    # the middle and the spread of real frames; most of it differs between examinations
    x = 0.48 + 1.47 * lie.aim[0] + float(rng.normal(0.0, 0.03))
    y = 0.365 + lie.aim[1] + float(rng.normal(0.0, 0.02))
    if lie.facing == "down":
        y = 1.0 - y
    elif lie.facing == "upright":
        y = 0.5
    top = scene.sector.apex[1] + scene.sector.radius_mm[0]
    if top > 0:  # a frame with the probe's face: everything lies between it and the lower edge
        x, y = 0.5 + 0.5 * (x - 0.5), (top + y * (height - top)) / height
    # an operator moves the picture until the back is in it
    bottom = min(height, scene.sector.apex[1] + scene.sector.radius_mm[1])
    back = (NT_MIDDLE_MM + 1.5) * scale + examination.sizes["nt"] / 2 + 0.5
    y_mm = y * height
    if lie.facing == "down":
        y_mm = max(y_mm, max(top, 0.0) + back)
    elif lie.facing == "up":
        y_mm = min(y_mm, bottom - back)
    shown = 0.5 + 0.5 * motion.shown(1.2)
    return Pose(x * width + motion.x_mm, y_mm + motion.y_mm, turn + motion.turn, scale * shown, mirror)


def _outline(skin: Points, rng: np.random.Generator) -> Points:
    """Skin all round. Face and chest differ from fetus to fetus; the head is more or less bent to the chest."""
    lift = float(rng.normal(0.0, 1.3))
    chest = [(x, y + lift * min(1.0, (x - 8.8) / 8.0)) for x, y in _CHEST]
    face = [(x + float(rng.normal(0, 0.2)), y + float(rng.normal(0, 0.2))) for x, y in _FACE]
    chin = [(x + float(rng.normal(0, 0.3)), y + float(rng.normal(0, 0.3))) for x, y in _CHIN]
    front = smooth([*_CROWN, *face, *chin, *chest], per_span=5)
    return np.concatenate([front, skin[::-1]])


def _womb(scene: Scene, painter: Painter, rng: np.random.Generator, body: Points, skin: Points) -> None:
    """A long sac; its lower wall or the amnion runs close behind the back, as in the classic false translucency."""
    width, height = scene.sector.size_mm
    placed = painter.pose.apply(body)
    # the part of the fetus near the frame decides how large the sac is
    placed = np.clip(placed, (-0.25 * width, -0.25 * height), (1.25 * width, 1.25 * height))
    surround(scene.at(Pose()), placed, rng, roomy=float(rng.uniform(0.75, 1.0)), tight=0.12)
    kind, gap = rng.random(), float(rng.gamma(1.2, 1.6)) + 0.15
    wall = skin + (0.0, 1.0) * np.ones((len(skin), 1)) * (gap + 0.05 * np.abs(skin[:, :1] - 1.0))
    wall[:, 0] = (wall[:, 0] - 1.0) * 1.6
    wall = smooth(wall[::6] + np.random.default_rng(rng.integers(2**31)).normal(0, 0.2, size=wall[::6].shape))
    below = np.concatenate([wall, shifted(wall[::-1], 0.0, 30.0)])
    if kind < 0.7:
        painter.tissue(below, float(rng.uniform(-9, 2)), texture=float(rng.uniform(1.5, 3.5)), blur=0.35)
        if rng.random() < 0.6:
            painter.line(wall, float(rng.uniform(-2, 12)), float(rng.uniform(0.25, 0.6)), power=6, uneven=5)
    between = offset(skin, -float(rng.uniform(0.8, 3.0)))
    if rng.random() < 0.4:
        membrane = shifted(between, float(rng.normal(0, 2)), float(rng.uniform(0.3, 2.5)))
        painter.line(membrane, float(rng.uniform(6, 13)), 0.3, power=6, uneven=4)


def _body(painter: Painter, examination: Examination, rng: np.random.Generator, body: Points, level: float) -> None:
    painter.hide(body)
    painter.tissue(body, level, texture=3.5, blur=0.15)
    front = smooth(body[35:140:2], per_span=2)
    painter.line(front, float(rng.uniform(4, 10)) + examination.tissue_db["line"], 0.4, power=5, uneven=4)


def _brain(painter: Painter, examination: Examination, rng: np.random.Generator) -> None:
    brain = -9.0 + examination.tissue_db["brain"] + float(rng.normal(0, 2))
    inside = [(-10.0, 11.6), (-14.4, 7.8), (-17.0, 2.4), (-16.0, -3.0), (-12.8, -6.7), (-8.6, -7.9)]
    inside += [(-5.4, -6.6), (-3.8, -4.2), (-3.4, -1.0), (-2.4, 3.0), (-2.2, 7.0), (-4.0, 10.4)]
    painter.tissue(smooth(inside, closed=True), brain, texture=float(rng.uniform(3, 5)), blur=0.4)
    if rng.random() < 0.45:  # the ventricle beside the midline, round the plexus
        dark = blob(ellipse(-9.0, -3.4, 5.4, 3.4, -0.3), rng, 0.15)
        painter.tissue(dark, brain - float(rng.uniform(5, 20)), loss=BLOOD, texture=3, blur=0.6)
    plexus = blob(ellipse(-10.5, -0.5, float(rng.uniform(2.4, 4.2)), float(rng.uniform(2, 3.4))), rng, 0.18)
    painter.tissue(plexus, brain + float(rng.uniform(0, 9)), texture=4.5, blur=0.6)
    for _ in range(int(rng.integers(2, 7))):
        x, y = float(rng.uniform(-15, -4)), float(rng.uniform(-5, 9))
        patch = blob(ellipse(x, y, float(rng.uniform(0.6, 2)), float(rng.uniform(0.5, 1.4))), rng, 0.2)
        painter.tissue(patch, brain + float(rng.normal(-1, 6)), texture=4, blur=0.4)
    _brainstem(painter, brain, rng)
    level = float(rng.uniform(12, 23)) + examination.tissue_db["bone"]
    skull = offset(smooth([*_CROWN, *_FACE[:1], (-3.4, -6.0)], per_span=6), 0.75)
    painter.line(skull, level - 16, 0.6, power=0, uneven=5)
    painter.line(skull, level, float(rng.uniform(0.5, 0.9)), power=5, bone=0.5, uneven=4)
    base = smooth([(-3.6, -4.4), (-3.2, -1.5), (-3.8, 1.0)])
    painter.line(base, float(rng.uniform(2, 12)), 0.5, power=2, bone=0.2)


def _brainstem(painter: Painter, brain: float, rng: np.random.Generator) -> None:
    """Black thalami and brainstem, with the short level lines between them, and the bone of the back of the head."""
    thalamus = blob(ellipse(-5.6, 3.4, float(rng.uniform(2.2, 3.4)), float(rng.uniform(2, 3.2)), 0.5), rng, 0.15)
    painter.tissue(thalamus, brain - float(rng.uniform(5, 22)), loss=BLOOD, texture=3, blur=0.5)
    stem = ribbon(smooth([(-6.0, 5.0), (-4.0, 7.4), (-0.5, 8.6), (5.0, 9.2)]), float(rng.uniform(1.4, 2.6)))
    painter.tissue(stem, brain - float(rng.uniform(5, 18)), loss=BLOOD, blur=0.4)
    fourth = ribbon(smooth([(-9.0, 8.6), (-6.5, 9.8), (-3.0, 10.4)]), float(rng.uniform(0.8, 1.8)))
    painter.tissue(fourth, -36.0, loss=BLOOD, blur=0.3)
    for _ in range(int(rng.integers(2, 6))):
        x, y = float(rng.uniform(-9.0, -1.0)), float(rng.uniform(2.0, 11.0))
        reach = float(rng.uniform(0.7, 1.9))
        line = np.array([[x - reach, y], [x, y + float(rng.normal(0.1, 0.15))], [x + reach, y]])
        painter.line(line, float(rng.uniform(3, 15)), float(rng.uniform(0.4, 0.7)), power=3)
    if rng.random() < 0.75:
        left = float(rng.uniform(-12.0, -7.0))
        bone = smooth([(left, 11.7), ((left - 2.0) / 2, 12.4), (-2.0, 12.3)])
        painter.line(bone, float(rng.uniform(8, 19)), float(rng.uniform(0.5, 0.9)), power=5, bone=0.3)


def _neck(painter: Painter, rng: np.random.Generator, level: float) -> None:
    """Muscle, airway and the cartilage of the cervical spine: dark with level streaks."""
    neck = [(-2.5, 6.0), (3.0, 5.5), (9.0, 6.5), (16.0, 6.0), (24.0, 6.0), (24.0, 9.5), (12.0, 10.5), (3.0, 10.5)]
    painter.tissue(smooth(neck, closed=True), level - float(rng.uniform(2, 10)), texture=4.0, blur=0.8)
    for _ in range(int(rng.integers(4, 12))):
        x, y = float(rng.uniform(0, 26)), float(rng.uniform(3.0, 12.0))
        streak = np.array([[x, y], [x + float(rng.uniform(1, 6)), y + float(rng.normal(0, 0.4))]])
        painter.line(streak, float(rng.uniform(-3, 9)), float(rng.uniform(0.35, 0.6)), power=4)


def _chest(painter: Painter, rng: np.random.Generator, level: float) -> None:
    """Heart, lungs and liver at the frame's edge; the heart of a sagittal frame is seen and not labelled."""
    organs = blob(ellipse(22.0, 4.5, 9.0, 5.2), rng, 0.1)
    painter.tissue(organs, level + float(rng.uniform(-3, 5)), texture=2.5, blur=0.6)
    if rng.random() < 0.6:
        x, y = float(rng.uniform(16.0, 22.0)), float(rng.uniform(2.2, 4.2))
        painter.tissue(blob(ellipse(x, y, 3.6, 2.9), rng, 0.12), level - 8.0, loss=BLOOD, blur=0.5)
        painter.tissue(blob(ellipse(x - 0.6, y, 1.6, 1.1), rng, 0.15), -28.0, loss=BLOOD, blur=0.35)
        painter.see("heart")
    if rng.random() < 0.4:
        for x in np.arange(float(rng.uniform(9, 12)), 30.0, 2.6).tolist():
            painter.tissue(ellipse(x, 1.2, 0.5, 0.7, 0.3), float(rng.uniform(0, 9)), blur=0.25)


def _spine(painter: Painter, examination: Examination, rng: np.random.Generator) -> None:
    """Two rows of bright points from the neck to the frame's edge."""
    curve = resample(smooth([(4.5, 10.2), (9.0, 10.4), (16.0, 9.8), (26.0, 9.2)]), 1.25)
    level = float(rng.uniform(9, 15)) + examination.tissue_db["bone"]
    for shift in (-0.9, 0.9):
        for x, y in shifted(curve, 0.0, shift).tolist():
            painter.tissue(ellipse(x, y, 0.42, 0.3, count=12), level + float(rng.normal(0, 2)), blur=0.12)
    painter.label("spine", ribbon(curve, 2.9))


def _arm(painter: Painter, examination: Examination, rng: np.random.Generator, motion: Motion, side: int) -> None:
    """A forearm or a hand in the fluid before the face or the chest."""
    start = int(rng.integers(1, 3))
    names = ARM[start:]
    turns = tuple(float(rng.normal(0, 0.5)) + motion.swing for _ in names)
    pose = Pose(float(rng.uniform(3, 18)), float(rng.uniform(-12, -5)), float(rng.uniform(-3.1, 0.2)))
    pose = replace(pose, scale=1 / _scale(examination))
    paint_limb(painter.at(pose), Limb(names, turns), examination, rng, side=side)
