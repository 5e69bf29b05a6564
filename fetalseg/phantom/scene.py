"""What lies in the image plane: maps of echo level, loss and mirror-like echoes, and the outlines that are labelled.

Everything is drawn in the frame's own pixels, in the order of a painter: later shapes hide earlier ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import numpy.typing as npt

from fetalseg.phantom.scanner import Map, Sector
from fetalseg.phantom.shapes import Points, Pose, polygon_area, resample

__all__ = ["BLOOD", "FLUID", "MUSCLE", "SOFT", "UTERUS", "Loss", "Painter", "Scene", "Shape", "coverage"]

Loss = float
# Attenuation, dB/cm/MHz one way: fluid, blood, tissue and bone after the table in PMC10001275, the womb after
# PMC3056396 (4.1 dB/cm at 5 MHz); fetal muscle, guessed, below an adult's 1.0.
FLUID: Loss = 0.002
BLOOD: Loss = 0.15
SOFT: Loss = 0.5
UTERUS: Loss = 0.8
MUSCLE: Loss = 0.7
BONE: Loss = 15.0

_SPECULAR_FLOOR = 0.08  # amplitude that a surface keeps at a flat angle, by its roughness; chosen by eye
_PERIOD_MM = 2.5  # length over which a mirror-like line changes its brightness by itself
_KNOTS = 96
_SUBPIXEL_BITS = 4
_SOFT_PX = 2.5  # from this blur on, an edge is drawn on a coarser grid
# Half of 255, and a little: a filled polygon takes in the finer pixels under its edge too. Measured on ellipses of
# 4 to 120 px, this puts the edge of a mask within 0.1 px of the outline, 0.03 px for structures below 200 px.
_INSIDE = 150


@dataclass(frozen=True, eq=False)
class Shape:
    """One labelled structure.

    Attributes:
        name: the structure.
        mask: bool [H, W], what is seen of it.
        whole_px: its area with the parts outside of the frame, in pixels.
        side: which one of a pair, 0 the left and 1 the right; the same one in all frames of an examination.
    """

    name: str
    mask: npt.NDArray[np.bool_]
    whole_px: float
    side: int = 0


@dataclass(eq=False)
class Scene:
    """The image plane under the probe.

    Attributes:
        sector: the frame's geometry.
        seed: of the uneven brightness of lines; the same seed gives the n-th line the same pattern.
        level: echo level in dB against fetal soft tissue, [H, W].
        texture: how uneven the tissue is, dB, [H, W].
        loss: attenuation in dB/cm/MHz, [H, W].
        mirror: amplitude of mirror-like echoes, 1 is the level of soft tissue, [H, W].
        shapes: what is labelled, in the order of drawing.
        seen: names of structures that are visible and not labelled.
    """

    sector: Sector
    seed: int
    level: Map = field(init=False)
    texture: Map = field(init=False)
    loss: Map = field(init=False)
    mirror: Map = field(init=False)
    shapes: list[Shape] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    _lines: int = 0

    def __post_init__(self) -> None:
        size = self.sector.height, self.sector.width
        self.level = np.full(size, -4.0, np.float32)
        self.texture = np.full(size, 2.5, np.float32)
        self.loss = np.full(size, SOFT, np.float32)
        self.mirror = np.zeros(size, np.float32)

    def at(self, pose: Pose) -> Painter:
        """A painter whose millimetres are put into the frame by `pose`."""
        return Painter(self, pose)

    def tissue(self, outline: Points, level: float, loss: Loss, texture: float, blur_mm: float) -> None:
        """Fills an outline (frame mm) and hides what was there."""
        px = self.sector.mm_per_px
        found = coverage(outline / px, self.level.shape, blur_mm / px)
        if found is None:
            return
        rows, columns, covered = found
        part = covered.astype(np.float32) / np.float32(255)
        for image, value in ((self.level, level), (self.texture, texture), (self.loss, loss), (self.mirror, 0.0)):
            crop = image[rows, columns]
            crop += part * (np.float32(value) - crop)

    def line(self, curve: Points, level: float, width_mm: float, power: float, bone: float, uneven: float) -> None:
        """Draws a mirror-like line (frame mm) by the specular law max(|cos a|^n, 0.08), an empirical one.

        Args:
            curve: points [N, 2].
            level: dB where the beam meets the line head on.
            width_mm: its thickness.
            power: exponent n of |cos a|^n, a between beam and normal; 0 for a line that scatters evenly.
            bone: share of bone in its thickness, 0..1; it casts a shadow.
            uneven: standard deviation of its brightness along it, dB; no real line is evenly bright.
        """
        px = self.sector.mm_per_px
        curve = resample(curve, max(0.4, 3.0 * px))
        along = np.diff(curve, axis=0)
        length = np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-9)
        normal = np.stack([-along[:, 1], along[:, 0]], axis=1) / length[:, None]
        beam = self.sector.beam_directions((curve[1:] + curve[:-1]) / 2)
        cos = np.abs((normal * beam).sum(axis=1))
        amplitude = 10.0 ** (level / 20.0) * np.maximum(cos**power, _SPECULAR_FLOOR)
        amplitude *= 10.0 ** (self._pattern(float(length.sum()), len(length)) * uneven / 20.0)
        self._quads(curve, normal, width_mm, amplitude.astype(np.float32), bone)

    def _pattern(self, length_mm: float, count: int) -> npt.NDArray[np.float64]:
        """A smooth random course [count] along a line, of about unit variance."""
        # each line has its own generator: a line that grows or shrinks in a cine must not change the others
        self._lines += 1
        knots = np.random.default_rng([self.seed, self._lines]).normal(0.0, 1.1, size=_KNOTS)
        return np.interp(np.linspace(0.0, length_mm / _PERIOD_MM, count), np.arange(_KNOTS), knots)

    def _quads(self, curve: Points, normal: Points, width_mm: float, values: Map, bone: float) -> None:
        px, factor = self.sector.mm_per_px, 2
        height, width = self.level.shape
        low = np.floor((curve.min(axis=0) - width_mm) / px).astype(int)
        high = np.ceil((curve.max(axis=0) + width_mm) / px).astype(int) + 1
        x0, y0 = max(int(low[0]), 0), max(int(low[1]), 0)
        x1, y1 = min(int(high[0]), width), min(int(high[1]), height)
        if x0 >= x1 or y0 >= y1:
            return
        canvas = np.zeros(((y1 - y0) * factor, (x1 - x0) * factor), np.float32)
        # a filled polygon covers the pixels under its edge too, half a pixel on each side
        half = normal * max(width_mm / px * factor - 1.0, 0.2) / 2
        points = (curve / px - (x0, y0)) * factor - 0.5
        quads = np.stack([points[:-1] + half, points[1:] + half, points[1:] - half, points[:-1] - half], axis=1)
        for quad, value in zip(np.rint(quads * (1 << _SUBPIXEL_BITS)).astype(np.int32), values.tolist(), strict=True):
            cv2.fillConvexPoly(canvas, quad, value, cv2.LINE_8, _SUBPIXEL_BITS)
        drawn = cv2.resize(canvas, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
        crop = self.mirror[y0:y1, x0:x1]
        np.maximum(crop, drawn, out=crop)
        if bone > 0:
            inside = (canvas > 0).astype(np.float32)
            part = cv2.resize(inside, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
            loss = self.loss[y0:y1, x0:x1]
            np.maximum(loss, part * np.float32(BONE * bone), out=loss)

    def label(self, name: str, outline: Points, *, hides: bool = False, side: int = 0) -> None:
        """Labels what an outline (frame mm) encloses; `hides` takes it out of the masks drawn before."""
        if hides:
            self.hide(outline)
        area = polygon_area(outline / self.sector.mm_per_px)
        self.shapes.append(Shape(name, self._mask(outline), area, side))

    def hide(self, outline: Points) -> None:
        """Takes what an outline (frame mm) encloses out of all masks labelled so far."""
        mask = self._mask(outline)
        self.shapes = [replace(shape, mask=shape.mask & ~mask) for shape in self.shapes]

    def _mask(self, outline: Points) -> npt.NDArray[np.bool_]:
        mask = np.zeros(self.level.shape, np.bool_)
        found = coverage(outline / self.sector.mm_per_px, self.level.shape)
        if found is not None:
            rows, columns, part = found
            mask[rows, columns] = part >= _INSIDE
        return mask


@dataclass(frozen=True)
class Painter:
    """Draws into a scene in millimetres of its own pose.

    Attributes:
        scene: what is drawn into.
        pose: puts local mm into frame mm.
    """

    scene: Scene
    pose: Pose

    def at(self, pose: Pose) -> Painter:
        """A painter in a part of this one's coordinates."""
        return Painter(self.scene, pose.inside(self.pose))

    def tissue(
        self, outline: Points, level: float, *, loss: Loss = SOFT, texture: float = 2.0, blur: float = 0.0
    ) -> None:
        """Fills an outline with an echo level in dB; `texture` is its unevenness in dB, `blur` softens the edge, mm."""
        self.scene.tissue(self.pose.apply(outline), level, loss, texture, blur)

    def line(
        self,
        curve: Points,
        level: float,
        width: float,
        *,
        power: float = 6.0,
        bone: float = 0.0,
        uneven: float = 2.5,
        closed: bool = False,
    ) -> None:
        """Draws a mirror-like line; see `Scene.line`."""
        points = np.concatenate([curve, curve[:1]]) if closed else curve
        self.scene.line(self.pose.apply(points), level, width * self.pose.scale, power, bone, uneven)

    def label(self, name: str, outline: Points, *, hides: bool = False, side: int = 0) -> None:
        """Labels what the outline encloses; `side` tells the two of a pair apart, 0 left and 1 right."""
        self.scene.label(name, self.pose.apply(outline), hides=hides, side=side)

    def hide(self, outline: Points) -> None:
        """Takes what the outline encloses out of the masks labelled so far: something opaque lies there."""
        self.scene.hide(self.pose.apply(outline))

    def see(self, name: str) -> None:
        """Notes a structure that is visible, and not labelled in this view."""
        self.scene.seen.add(name)


def coverage(
    outline_px: Points, shape: tuple[int, ...], blur_px: float = 0.0
) -> tuple[slice, slice, npt.NDArray[np.uint8]] | None:
    """How much of each pixel an outline covers.

    Args:
        outline_px: corners [N, 2] in pixels, pixel (i, j) covers [i, i+1) x [j, j+1).
        shape: (H, W) of the frame.
        blur_px: standard deviation of a soft edge.

    Returns:
        Rows, columns and the coverage there, 0 none to 255 all; None where the outline lies outside of the frame.
    """
    margin = 2 + int(np.ceil(2.5 * blur_px))
    low = np.floor(outline_px.min(axis=0)).astype(int) - margin
    high = np.ceil(outline_px.max(axis=0)).astype(int) + margin
    x0, y0 = max(int(low[0]), 0), max(int(low[1]), 0)
    x1, y1 = min(int(high[0]), shape[1]), min(int(high[1]), shape[0])
    if x0 >= x1 or y0 >= y1:
        return None
    size = (x1 - x0, y1 - y0)
    if blur_px >= _SOFT_PX:
        return slice(y0, y1), slice(x0, x1), _soft(outline_px - (x0, y0), size, blur_px)
    factor = 4 if size[0] * size[1] <= 40_000 else 2
    part = cv2.resize(_filled(outline_px - (x0, y0), size, factor), size, interpolation=cv2.INTER_AREA)
    if blur_px > 0:
        # on bytes, which OpenCV blurs several times faster than floats
        part = cv2.GaussianBlur(part, (0, 0), blur_px)
    return slice(y0, y1), slice(x0, x1), np.asarray(part, np.uint8)


def _soft(outline_px: Points, size: tuple[int, int], blur_px: float) -> npt.NDArray[np.uint8]:
    """Coverage with an edge so soft that fewer, larger pixels hold all of it."""
    cell = blur_px / _SOFT_PX * 2.0
    coarse = max(2, round(size[0] / cell)), max(2, round(size[1] / cell))
    scale = np.array(coarse) / np.array(size)
    # the filled polygon takes in all pixels that its edge touches, of which half lies outside
    canvas = _filled(outline_px * scale, coarse, 2)
    cv2.polylines(canvas, [_fixed_point(outline_px * scale * 2)], True, 128.0, 1, cv2.LINE_8, _SUBPIXEL_BITS)
    part = cv2.resize(canvas, coarse, interpolation=cv2.INTER_AREA)
    part = cv2.GaussianBlur(part, (0, 0), blur_px * float(scale.mean()))
    return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _filled(outline_px: Points, size: tuple[int, int], factor: int) -> npt.NDArray[np.uint8]:
    """The outline's inside, 255, on a canvas `factor` times finer than `size` (width, height)."""
    canvas = np.zeros((size[1] * factor, size[0] * factor), np.uint8)
    cv2.fillPoly(canvas, [_fixed_point(outline_px * factor)], 255, cv2.LINE_8, _SUBPIXEL_BITS)
    return canvas


def _fixed_point(outline_px: Points) -> npt.NDArray[np.int32]:
    """Corners as OpenCV takes them: pixel (i, j) centred on whole numbers, times a power of 2."""
    return np.rint((outline_px - 0.5) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
