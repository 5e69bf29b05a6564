"""One synthetic frame: draws a sector, a plane and its surroundings, scans them, and keeps what is known about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import ModuleType

import cv2
import numpy as np
import numpy.typing as npt

from fetalseg.anatomy import structure, structure_names, view
from fetalseg.instances import Instances
from fetalseg.phantom.acoustics import Speckle, scan, unevenness
from fetalseg.phantom.display import stored
from fetalseg.phantom.examination import Examination
from fetalseg.phantom.motion import Motion
from fetalseg.phantom.overlays import CALIPERS, draw_overlays
from fetalseg.phantom.scanner import Map, draw_sector
from fetalseg.phantom.scene import Scene, Shape
from fetalseg.phantom.views import abdomen, extremity, head, neck, nothing, spine, thorax

__all__ = ["NO_VIEW", "PhantomFrame", "check_view", "make_frame"]

NO_VIEW = "none"  # frames without a fetus in the plane

_MODULES: dict[str, ModuleType] = {
    "head": head,
    "neck": neck,
    "thorax": thorax,
    "abdomen": abdomen,
    "extremity": extremity,
    "spine": spine,
    NO_VIEW: nothing,
}
# Structures that may be visible in a view and aren't annotated there: an annotator of this view leaves them unknown.
_UNKNOWN: dict[str, frozenset[str]] = {
    "head": frozenset({"spine"}),
    "neck": frozenset({"heart", "stomach"}),
    "thorax": frozenset({"stomach"}),
    "abdomen": frozenset({"heart"}),
    "extremity": frozenset({"spine", "heart", "stomach"}),
    "spine": frozenset({*view("extremity").annotated, "heart", "stomach"}),
    NO_VIEW: frozenset(),
}
_SEEN_SHARE = 0.3
_SEEN_DB = 3.0
# Structures that are told from what lies around them; the others are made by an outline of their own.
_CONTRASTED = frozenset({"nasal_bone", "palate", "midline_falx", "choroid_plexus", "stomach"})


@dataclass(frozen=True, eq=False)
class PhantomFrame:
    """A synthetic frame with exact masks.

    Attributes:
        pixels: uint8 gray [H, W].
        spacing_mm: size of a pixel (y, x).
        view: name of the view, or `NO_VIEW` where no fetus is in the plane.
        names: structure of each instance [N].
        masks: bool [N, H, W], what is visible of each instance.
        ignored: bool [N]; an instance that lies mostly outside of the frame or hardly stands out: neither right nor
            wrong to find it.
        annotated: names of the structures about which the frame says everything: labelled, or absent.
        visible: names of the structures that are visible, labelled or not.
        track_ids: int [N]; the same structure keeps its number, 1 or more, in all frames of a cine.
        timestamp_ms: time in a cine, 0 in a still.
    """

    pixels: npt.NDArray[np.uint8]
    spacing_mm: tuple[float, float]
    view: str
    names: tuple[str, ...]
    masks: npt.NDArray[np.bool_]
    ignored: npt.NDArray[np.bool_]
    annotated: tuple[str, ...]
    visible: tuple[str, ...]
    track_ids: tuple[int, ...]
    timestamp_ms: float = 0.0

    def instances(self) -> Instances:
        """What a perfect network would find, ignored instances included; every score is 1."""
        boxes = np.zeros((len(self.names), 4), np.int64)
        for box, mask in zip(boxes, self.masks, strict=True):
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            box[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
        return Instances(
            labels=np.array([structure(name).label for name in self.names], np.int64),
            scores=np.ones(len(self.names), np.float32),
            boxes=boxes.astype(np.float32),
            crops=[mask[y1:y2, x1:x2] for mask, (x1, y1, x2, y2) in zip(self.masks, boxes.tolist(), strict=True)],
            crop_boxes=boxes,
            frame_shape=self.pixels.shape,
        )


def make_frame(
    view_name: str,
    examination: Examination,
    *,
    plan: np.random.SeedSequence,
    speckle: Speckle,
    noise: np.random.Generator,
    motion: Motion,
    height: int,
    width: int,
    timestamp_ms: float = 0.0,
    measured: float | None = CALIPERS,
) -> PhantomFrame:
    """Draws and scans one frame.

    Args:
        view_name: one of the six views, or `NO_VIEW`.
        examination: the fetus and the scanner.
        plan: decides everything that stays the same while a probe is held still; equal plans, equal anatomy.
        speckle: the scatterers of this frame.
        noise: source of the electronic noise.
        motion: where fetus and probe have moved to.
        height: px.
        width: px.
        timestamp_ms: kept with the frame.
        measured: chance that calipers lie on a structure; None for a live picture, which has none at all.

    Raises:
        ValueError: no such view.
    """
    check_view(view_name)
    known = set() if view_name == NO_VIEW else set(view(view_name).annotated)
    module = _MODULES[view_name]
    placing, painting, texture, writing = (np.random.default_rng(child) for child in _children(plan, 4))
    width_mm = float(module.field_mm(examination, placing))
    sector = draw_sector(placing, examination, height, width, width_mm)
    scene = Scene(sector, int(placing.integers(2**31)))
    module.paint(scene, examination, painting, motion)
    uneven = unevenness(sector, texture, (motion.x_mm, motion.y_mm))
    scanned, level = scan(scene, examination.console, speckle, noise, uneven)
    picture = np.clip(np.rint(scanned), 0, 255).astype(np.uint8)
    targets = None if measured is None else _measured(scene.shapes, view_name)
    hidden = draw_overlays(picture, sector, writing, targets, measured or 0.0)
    picture = stored(picture, examination.console.display)
    kept, ignored = _kept(scene.shapes, sector.inside & ~hidden, level, sector.mm_per_px)
    visible = {shape.name for shape in kept} | scene.seen
    only_ignored = visible - scene.seen - {s.name for s, lost in zip(kept, ignored, strict=True) if not lost}
    annotated = set(structure_names()) - _UNKNOWN[view_name] - (scene.seen - known) - only_ignored
    return PhantomFrame(
        pixels=picture,
        spacing_mm=(sector.mm_per_px, sector.mm_per_px),
        view=view_name,
        names=tuple(shape.name for shape in kept),
        masks=np.array([shape.mask for shape in kept], np.bool_).reshape(len(kept), height, width),
        ignored=np.array(ignored, np.bool_),
        annotated=tuple(name for name in structure_names() if name in annotated),
        visible=tuple(name for name in structure_names() if name in visible),
        track_ids=tuple(2 * structure(shape.name).label + shape.side + 1 for shape in kept),
        timestamp_ms=timestamp_ms,
    )


def check_view(name: str) -> str:
    """The name, if frames of this view can be drawn.

    Raises:
        ValueError: it is neither one of the six views nor `NO_VIEW`.
    """
    return name if name == NO_VIEW else view(name).name


def _measured(shapes: list[Shape], view_name: str) -> list[npt.NDArray[np.bool_]]:
    """What an operator puts calipers on in this view: of a profile the translucency, else any tested structure."""
    if view_name == NO_VIEW:
        return []
    names = {"nuchal_translucency"} if view_name == "neck" else set(view(view_name).tested)
    return [shape.mask for shape in shapes if shape.name in names]


def _children(plan: np.random.SeedSequence, count: int) -> list[np.random.SeedSequence]:
    """Child seeds that don't depend on how often they have been asked for, unlike `SeedSequence.spawn`."""
    return [np.random.SeedSequence(plan.entropy, spawn_key=(*plan.spawn_key, index)) for index in range(count)]


def _kept(
    shapes: list[Shape], shown: npt.NDArray[np.bool_], level: Map, mm_per_px: float
) -> tuple[list[Shape], list[bool]]:
    """The shapes cut to what is shown, and which of them are shown by less than 30 % or with less than 3 dB."""
    kept, ignored = [], []
    for shape in shapes:
        mask = shape.mask & shown
        area = int(mask.sum())
        if area >= 12:
            kept.append(replace(shape, mask=mask))
            faint = shape.name in _CONTRASTED and _contrast_db(mask, level, mm_per_px) < _SEEN_DB
            ignored.append(area < _SEEN_SHARE * shape.whole_px or faint)
    return kept, ignored


def _contrast_db(mask: npt.NDArray[np.bool_], level: Map, mm_per_px: float) -> float:
    """Difference of the median levels inside a mask and in the 1.2 mm around it."""
    reach = max(2, round(1.2 / mm_per_px))
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    part = np.s_[
        max(0, int(rows[0]) - reach) : int(rows[-1]) + reach + 1,
        max(0, int(columns[0]) - reach) : int(columns[-1]) + reach + 1,
    ]
    inside = mask[part]
    around = cv2.dilate(inside.astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)) > inside
    if not around.any():
        return 0.0
    return abs(float(np.median(level[part][inside])) - float(np.median(level[part][around])))
