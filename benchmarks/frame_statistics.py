"""Figures that tell real frames from synthetic ones: grain of the speckle, grey levels, contrast of small structures.

A frame is a gray picture with what is labelled in it; every figure is a list of values, one for each place where it
could be taken, so that frames without a label simply add nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["STATISTICS", "MeasuredFrame", "autocorrelation_width", "measure_frames"]

Gray = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

# name of a figure -> what the table calls it
STATISTICS = {
    "speckle_along": "speckle along the beam, mm",
    "speckle_across": "speckle across the beam, mm",
    "speckle_contrast": "speckle mean / SD of grey",
    "brain": "grey of the brain",
    "rim": "skull rim, 95th percentile of grey",
    "rim_unevenness": "skull rim, share darker than the brain's 75th percentile",
    "around": "tissue around the head, 90th percentile of grey",
    "black": "black pixels (grey below 4), %",
    "band": "translucency: its lines' grey above its own",
    "nasal_bone": "nasal bone: grey above its surroundings",
    "palate": "palate: grey above its surroundings",
}

_BLACK = 4  # grey levels below this are black to the eye and in the counts
_PATCH_MM = 5.0
_TREND_MM = 1.2  # slower changes of grey are anatomy, not speckle


@dataclass(frozen=True, eq=False)
class MeasuredFrame:
    """A frame to take figures from.

    Attributes:
        pixels: uint8 gray [H, W].
        mm_per_px: size of a pixel, None where the set doesn't say: then no figure in mm is taken.
        cranium: bool [H, W], or None without a labelled head.
        boxes: xyxy [4] in pixels by structure; of several of a kind, the last.
    """

    pixels: Gray
    mm_per_px: float | None
    cranium: Mask | None = None
    boxes: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)


def measure_frames(frames: Iterable[MeasuredFrame]) -> dict[str, npt.NDArray[np.float64]]:
    """All values of every figure of `STATISTICS`; an empty array where no frame had any."""
    found: dict[str, list[float]] = defaultdict(list)
    for frame in frames:
        found["black"].append(100.0 * float((frame.pixels < _BLACK).mean()))
        if frame.mm_per_px is not None:
            _speckle(frame.pixels, frame.mm_per_px, frame.cranium, found)
            if frame.cranium is not None:
                _head(frame.pixels, frame.mm_per_px, frame.cranium, found)
        if (box := frame.boxes.get("nuchal_translucency")) is not None:
            found["band"] += _band_contrast(frame.pixels, box)
        for name in ("nasal_bone", "palate"):
            if (box := frame.boxes.get(name)) is not None:
                found[name] += _brightness(frame.pixels, box)
    return {name: np.array(found[name], np.float64) for name in STATISTICS}


def autocorrelation_width(patch: npt.NDArray[np.float32]) -> tuple[float, float]:
    """Full width at half height of a patch's autocorrelation, (down the columns, along the rows), in pixels.

    The patch [h, w] has its slow changes taken out beforehand. A width of more than the patch counts as its size.
    """
    centred = patch - patch.mean()
    return _half_width(centred), _half_width(centred.T)


def _half_width(patch: npt.NDArray[np.float32]) -> float:
    power = float((patch**2).mean())
    before = 1.0
    for shift in range(1, len(patch)):
        now = float((patch[shift:] * patch[:-shift]).mean()) / max(power, 1e-9)
        if now < 0.5:
            return 2.0 * (shift - 1 + (before - 0.5) / (before - now))
        before = now
    return float(len(patch))


def _speckle(pixels: Gray, mm_per_px: float, cranium: Mask | None, found: dict[str, list[float]]) -> None:
    """Grain in patches of even tissue away from the skull: neither black nor white, and with no edge through them."""
    size = round(_PATCH_MM / mm_per_px)
    grey = pixels.astype(np.float32)
    flat = grey - cv2.GaussianBlur(grey, (0, 0), _TREND_MM / mm_per_px)
    edge = np.zeros(pixels.shape, np.bool_) if cranium is None else _rim(cranium, round(2.0 / mm_per_px))
    for y in range(0, pixels.shape[0] - size + 1, size):
        for x in range(0, pixels.shape[1] - size + 1, size):
            part = np.s_[y : y + size, x : x + size]
            if edge[part].any() or not _even(grey[part]):
                continue
            along, across = autocorrelation_width(flat[part])
            found["speckle_along"].append(along * mm_per_px)
            found["speckle_across"].append(across * mm_per_px)
            found["speckle_contrast"].append(float(grey[part].mean() / max(grey[part].std(), 1e-6)))


def _even(patch: npt.NDArray[np.float32]) -> bool:
    """Neither black nor saturated anywhere to speak of, and its quarters equally bright."""
    if (patch < _BLACK).mean() > 0.02 or (patch > 250).mean() > 0.01 or not 18.0 < patch.mean() < 160.0:
        return False
    rows, columns = patch.shape[0] // 2, patch.shape[1] // 2
    quarters = [q.mean() for half in (patch[:rows], patch[rows:]) for q in (half[:, :columns], half[:, columns:])]
    return bool(max(quarters) < 1.45 * min(quarters))


def _rim(mask: Mask, reach: int) -> Mask:
    """The pixels within `reach` of a mask's edge."""
    return _grown(mask, reach) & ~_grown(mask, -reach)


def _grown(mask: Mask, reach: int) -> Mask:
    """The mask grown, or shrunk for a negative reach, by so many pixels."""
    inside = mask if reach < 0 else ~mask
    # padded with what the mask has at the frame's edge: the head doesn't end there
    padded = np.pad(inside.astype(np.uint8), 1, mode="edge")
    far = cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1] > abs(reach)
    return np.asarray(far if reach < 0 else ~far, np.bool_)


def _head(pixels: Gray, mm_per_px: float, cranium: Mask, found: dict[str, list[float]]) -> None:
    rim = _rim(cranium, max(1, round(1.2 / mm_per_px)))
    inner = _grown(cranium, -max(1, round(3.0 / mm_per_px)))
    ring = _grown(cranium, round(12.0 / mm_per_px)) & ~_grown(cranium, round(2.0 / mm_per_px))
    if min(int(inner.sum()), int(rim.sum()), int(ring.sum())) < 50:
        return
    found["brain"].append(float(pixels[inner].mean()))
    found["rim"].append(float(np.percentile(pixels[rim], 95)))
    found["around"].append(float(np.percentile(pixels[ring], 90)))
    line = _grown(cranium, 0) & ~_grown(cranium, -max(1, round(1.2 / mm_per_px)))
    found["rim_unevenness"].append(float((pixels[line] < np.percentile(pixels[inner], 75)).mean()))


def _band_contrast(pixels: Gray, box: npt.NDArray[np.float32]) -> list[float]:
    """How much brighter than the dark band its two lines are, at the median column of the box's middle.

    A band that stands upright in the frame is measured along the rows instead.
    """
    x1, y1, x2, y2 = (round(v) for v in box.tolist())
    if y2 - y1 > x2 - x1:
        return _band_contrast(pixels.T, box[[1, 0, 3, 2]])
    reach = (y2 - y1) // 2
    quarter = (x2 - x1) // 4
    part = pixels[max(0, y1 - reach) : y2 + reach, x1 + quarter : x2 - quarter].astype(np.float32)
    if min(part.shape) < 6:
        return []
    values = []
    for column in cv2.blur(part, (3, 1)).T:
        # the darkest place that lies between two brighter ones
        left, right = np.maximum.accumulate(column), np.maximum.accumulate(column[::-1])[::-1]
        values.append(float((np.minimum(left, right) - column).max()))
    return [float(np.median(values))]


def _brightness(pixels: Gray, box: npt.NDArray[np.float32]) -> list[float]:
    """90th percentile of grey in a box above the median of the ring, half as wide as the box, around it."""
    x1, y1, x2, y2 = (round(v) for v in box.tolist())
    if x2 - x1 < 3 or y2 - y1 < 3:
        return []
    dx, dy = max(2, (x2 - x1) // 2), max(2, (y2 - y1) // 2)
    outside = np.zeros(pixels.shape, np.bool_)
    outside[max(0, y1 - dy) : y2 + dy, max(0, x1 - dx) : x2 + dx] = True
    outside[y1:y2, x1:x2] = False
    inside = pixels[y1:y2, x1:x2]
    if not inside.size or not outside.any():
        return []
    return [float(np.percentile(inside, 90)) - float(np.median(pixels[outside]))]
