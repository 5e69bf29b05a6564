"""How the machine shows the structures: another probe, another setting, another patient, the same geometry.

Frames are log-compressed: what multiplies the echo adds to the grey level. So gain, attenuation, shadows and speckle
are sums, weighted down where a frame is black, for nothing was received there.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from fetalseg.data.augment_geometry import factor_around_one
from fetalseg.data.augment_options import AugmentOptions
from fetalseg.data.speckle import draw_speckle

__all__ = ["vary_grey", "vary_resolution", "vary_tissue"]

Image = npt.NDArray[np.uint8]
Field = npt.NDArray[np.float32]

_BLACK = 40  # grey level from which on a pixel takes the whole change
_WEIGHT: Field = np.minimum(np.arange(256, dtype=np.float32) / _BLACK, 1)
_CELL = 8  # px; shading is smooth and made at this fraction of the size


def vary_tissue(image: Image, options: AugmentOptions, rng: np.random.Generator, *, upside_down: bool = False) -> Image:
    """Speckle, gains along the depth, shadows and haze, as the scanner and the tissue on the way make them.

    Args:
        image: [h, w]; left as it is.
        options: how far to go.
        rng: all chance comes from it.
        upside_down: the probe is below the frame.
    """
    speckled, shaded = rng.spawn(2)
    sums, haze = _draw_shading((image.shape[0], image.shape[1]), options, shaded)
    if upside_down:
        sums, haze = (None if field is None else field[::-1] for field in (sums, haze))
    size = (image.shape[1], image.shape[0])
    change = None if sums is None else np.asarray(cv2.resize(sums, size), np.float32)
    if speckled.random() < options.speckle_share:
        grain = draw_speckle((image.shape[0], image.shape[1]), speckled)
        grain *= speckled.uniform(0, options.speckle)
        change = grain if change is None else change + grain
    if change is not None:
        change *= cv2.LUT(image, _WEIGHT)
    if haze is not None:
        wide = np.asarray(cv2.resize(haze, size), np.float32)
        change = wide if change is None else change + wide
    return image if change is None else np.asarray(cv2.add(image, change, dtype=cv2.CV_8U), np.uint8)


def vary_resolution(image: Image, options: AugmentOptions, rng: np.random.Generator) -> Image:
    """Smoothing against speckle, blur, enhanced edges, and fewer pixels than the input has."""
    smoothed, blurred, sharpened, shrunk = rng.spawn(4)
    if smoothed.random() < options.smoothing_share:
        image = np.asarray(cv2.medianBlur(image, int(smoothed.choice((3, 5)))), np.uint8)
    if blurred.random() < options.blur_share:
        across = blurred.uniform(0.3, max(0.31, options.blur))
        along = across * blurred.uniform(0.5, 1)
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), across, sigmaY=along), np.uint8)
    if sharpened.random() < options.sharpen_share:
        amount = sharpened.uniform(0.3, 1.2)
        image = np.asarray(
            cv2.addWeighted(image, 1 + amount, cv2.GaussianBlur(image, (0, 0), 1.5), -amount, 0), np.uint8
        )
    if shrunk.random() < options.resolution_share:
        ratio = shrunk.uniform(0.4, 0.9)
        size = (image.shape[1], image.shape[0])
        small = cv2.resize(image, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA)
        image = np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    return image


def vary_grey(image: Image, options: AugmentOptions, rng: np.random.Generator) -> Image:
    """Gain, dynamic range, gamma and an S-shaped grey map as one table of 256 levels; black stays black."""
    levels = np.arange(256, dtype=np.float32) / 255
    contrast = factor_around_one(rng, options.dynamic_range)
    gain = rng.uniform(-1, 1) * options.gain / 255
    gamma = factor_around_one(rng, options.gamma)
    curve = rng.uniform(-1, 1) * options.s_curve
    if contrast == gamma == 1 and gain == curve == 0:
        return image
    # White keeps its place when the dynamic range changes: the strongest echo fills the scale.
    table = np.clip(1 - (1 - levels) * contrast + gain, 0, 1) ** gamma
    table += curve * (3 * table**2 - 2 * table**3 - table)
    table *= np.minimum(levels * (255 / _BLACK), 1)
    return np.asarray(cv2.LUT(image, np.asarray(table * 255 + 0.5, np.uint8)), np.uint8)


def _draw_shading(
    shape: tuple[int, int], options: AugmentOptions, rng: np.random.Generator
) -> tuple[Field | None, Field | None]:
    """What adds to tissue, and what to everything: grey levels at an eighth of the size, None where nothing does."""
    along, shadowed, hazy = rng.spawn(3)
    height, width = -(-shape[0] // _CELL), -(-shape[1] // _CELL)
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None]
    sums: Field | None = None
    haze: Field | None = None
    if along.random() < options.depth_share:
        sums = np.broadcast_to(_depth_gains(y, along), (height, width)).astype(np.float32)
    if shadowed.random() < options.shadow_share:
        shadow = _shadows(y, x, shadowed)
        sums = shadow if sums is None else sums + shadow
    if hazy.random() < options.haze_share:
        haze = _haze(y, x, hazy)
    return sums, haze


def _depth_gains(y: Field, rng: np.random.Generator) -> Field:
    """A slope by attenuation that isn't compensated, and the sliders of the time-gain compensation [h, 1]."""
    sliders = rng.normal(0, 10, 6)
    sliders += rng.uniform(-35, 35) * np.linspace(-0.5, 0.5, 6)
    return np.asarray(np.interp(y, np.linspace(0, 1, 6), sliders), np.float32)


def _shadows(y: Field, x: Field, rng: np.random.Generator) -> Field:
    """One to three wedges around beams of a probe above the frame; one in five is an enhancement [h, w]."""
    angle = np.arctan2(x - rng.uniform(-0.3, 0.3), y + rng.uniform(0.2, 1.5))
    total = np.zeros_like(angle)
    for _ in range(rng.integers(1, 4)):
        beam = np.exp(-(np.abs((angle - rng.uniform(-0.5, 0.5)) / rng.uniform(0.02, 0.1)) ** rng.uniform(1.5, 4)))
        depth = np.clip((y - rng.uniform(-0.2, 0.6)) / 0.05, 0, 1)
        strength = rng.uniform(10, 30) if rng.random() < 0.2 else -rng.uniform(15, 90)
        total += np.float32(strength) * beam * depth
    return np.asarray(total, np.float32)


def _haze(y: Field, x: Field, rng: np.random.Generator) -> Field:
    """A cloud anywhere, or reverberations below the probe [h, w]."""
    level = rng.uniform(5, 35)
    if rng.random() < 0.3:
        return np.asarray(
            np.broadcast_to(level * np.exp(-y / rng.uniform(0.1, 0.35)), (len(y), x.shape[1])), np.float32
        )
    cloud = ((x - rng.uniform(-0.5, 0.5)) / rng.uniform(0.15, 0.5)) ** 2
    return np.asarray(level * np.exp(-cloud - ((y - rng.uniform(0, 1)) / rng.uniform(0.15, 0.5)) ** 2), np.float32)
