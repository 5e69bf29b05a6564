"""Augmentation of ultrasound frames: where the structures lie, and how the machine shows them.

Every sample is a pure function of the frame and a random generator. Rotation of a frame that has boxes without masks is
limited to a few degrees: what fills such a box is not known, and the box of a rotated box is not tight. The ellipse
inside it stands for the structure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from fetalseg.data.frames import AnnotatedFrame
from fetalseg.data.geometry import Affine, Sample, around, compose, letterbox, place_shapes, warp
from fetalseg.preprocess import InputRule

__all__ = ["AugmentOptions", "augment", "plain"]


@dataclass(frozen=True)
class AugmentOptions:
    """How far the augmentation goes; probabilities 0..1.

    Attributes:
        flip_horizontal: probability.
        flip_vertical: probability; real mid-sagittal sets show the fetus face up only.
        degrees: rotation up to this, either way, for frames whose structures all have masks.
        degrees_boxes_only: the same for frames with boxes alone.
        zoom: smallest and largest scale.
        stretch: ratio of the axes up to 1 + this.
        shift: up to this share of the network's sides.
        gain: brightness factor up to 1 + this, or down to 1 / (1 + this).
        gamma: exponent up to 1 + this, or down to 1 / (1 + this).
        contrast: spread around the mean, the same way.
        speckle: largest standard deviation of the multiplicative noise.
        speckle_share: probability of speckle.
        blur: largest sigma in px.
        blur_share: probability of blur.
        shading_share: probability of each of depth attenuation, acoustic shadow and haze.
        calipers_share: probability of measuring crosses and text.
    """

    flip_horizontal: float = 0.5
    flip_vertical: float = 0.4
    degrees: float = 20.0
    degrees_boxes_only: float = 4.0
    zoom: tuple[float, float] = (0.75, 1.35)
    stretch: float = 0.1
    shift: float = 0.07
    gain: float = 0.3
    gamma: float = 0.4
    contrast: float = 0.25
    speckle: float = 0.25
    speckle_share: float = 0.4
    blur: float = 1.0
    blur_share: float = 0.3
    shading_share: float = 0.25
    calipers_share: float = 0.15


def plain(frame: AnnotatedFrame, rule: InputRule, prototype_shape: tuple[int, int]) -> Sample:
    """The sample as serving would see the frame: letterboxed, nothing else."""
    matrix = letterbox((frame.image.shape[0], frame.image.shape[1]), rule)
    image = warp(frame.image, matrix, (rule.height, rule.width), fill=rule.pad_value)
    return place_shapes(frame, matrix, image, prototype_shape)


def augment(
    frame: AnnotatedFrame,
    rule: InputRule,
    prototype_shape: tuple[int, int],
    options: AugmentOptions,
    rng: np.random.Generator,
) -> Sample:
    """One random variation of a frame.

    Args:
        frame: the frame; left as it is.
        rule: the network's input (gray or not, the sample is gray).
        prototype_shape: (Hp, Wp) of the masks.
        options: how far to go.
        rng: all chance comes from it.
    """
    matrix = draw_geometry(frame, rule, options, rng)
    image = warp(frame.image, matrix, (rule.height, rule.width), fill=rule.pad_value)
    image = vary_appearance(image, options, rng)
    return place_shapes(frame, matrix, image, prototype_shape)


def draw_geometry(frame: AnnotatedFrame, rule: InputRule, options: AugmentOptions, rng: np.random.Generator) -> Affine:
    """A random map from the frame's pixels to the network's."""
    limit = options.degrees_boxes_only if frame.boxes_only else options.degrees
    zoom = math.exp(rng.uniform(math.log(options.zoom[0]), math.log(options.zoom[1])))
    stretch = math.sqrt(_around_one(rng, options.stretch))
    horizontal = -1.0 if rng.random() < options.flip_horizontal else 1.0
    vertical = -1.0 if rng.random() < options.flip_vertical else 1.0
    move = around(
        (rule.width / 2, rule.height / 2),
        degrees=rng.uniform(-limit, limit),
        scale=(horizontal * zoom * stretch, vertical * zoom / stretch),
        shift=(
            rng.uniform(-options.shift, options.shift) * rule.width,
            rng.uniform(-options.shift, options.shift) * rule.height,
        ),
    )
    return compose(letterbox((frame.image.shape[0], frame.image.shape[1]), rule), move)


def vary_appearance(
    image: npt.NDArray[np.uint8], options: AugmentOptions, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Another machine, another setting, another patient: the same geometry [h, w] with other gray levels."""
    if rng.random() < options.blur_share:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, max(0.31, options.blur))), np.uint8)
    image = np.asarray(cv2.LUT(image, _tone_curve(image, options, rng)), np.uint8)
    image = _shade(image, options, rng)
    if rng.random() < options.speckle_share:
        image = _speckle(image, rng.uniform(0, options.speckle), rng)
    if rng.random() < options.calipers_share:
        image = _draw_calipers(image, rng)
    return image


def _around_one(rng: np.random.Generator, spread: float) -> float:
    """A factor between 1 / (1 + spread) and 1 + spread, as often below one as above."""
    return math.exp(rng.uniform(-1, 1) * math.log1p(spread))


def _tone_curve(
    image: npt.NDArray[np.uint8], options: AugmentOptions, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Gamma, contrast around the mean and gain as one table of 256 levels."""
    levels = np.arange(256, dtype=np.float32) / 255
    levels **= _around_one(rng, options.gamma)
    mean = float(image.mean()) / 255
    levels = (levels - mean) * _around_one(rng, options.contrast) + mean
    levels *= _around_one(rng, options.gain)
    return np.asarray(np.clip(levels * 255 + 0.5, 0, 255), np.uint8)


def _shade(image: npt.NDArray[np.uint8], options: AugmentOptions, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Depth attenuation, an acoustic shadow and haze: smooth fields, made at an eighth of the size."""
    height, width = -(-image.shape[0] // 8), -(-image.shape[1] // 8)
    factor = np.ones((height, width), np.float32)
    haze = np.zeros((height, width), np.float32)
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None]
    if rng.random() < options.shading_share:
        factor *= np.exp(rng.uniform(-0.8, 0.8) * (y - 0.5)).astype(np.float32)
    if rng.random() < options.shading_share:
        # Seen from a probe above the frame, a shadow is a wedge around one beam.
        apex, start = rng.uniform(0.2, 1.5), rng.uniform(-0.2, 0.5)
        angle = np.arctan2(x - rng.uniform(-0.3, 0.3), y + apex)
        beam = np.exp(-(((angle - rng.uniform(-0.4, 0.4)) / rng.uniform(0.03, 0.12)) ** 2))
        factor *= 1 - rng.uniform(0.3, 0.8) * beam * (y > start)
    if rng.random() < options.shading_share:
        spot = ((x - rng.uniform(-0.5, 0.5)) / rng.uniform(0.15, 0.5)) ** 2
        haze += rng.uniform(5, 35) * np.exp(-spot - ((y - rng.uniform(0, 1)) / rng.uniform(0.15, 0.5)) ** 2)
    if (factor == 1).all() and not haze.any():
        return image
    size = (image.shape[1], image.shape[0])
    scaled = cv2.multiply(image, cv2.resize(factor, size), dtype=cv2.CV_32F)
    return np.asarray(np.clip(scaled + cv2.resize(haze, size), 0, 255), np.uint8)


def _speckle(image: npt.NDArray[np.uint8], strength: float, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Multiplicative noise with a grain of about two pixels and the standard deviation `strength`."""
    grain = (-(-image.shape[0] // 2), -(-image.shape[1] // 2))
    noise = rng.standard_normal(grain, dtype=np.float32)
    size = (image.shape[1], image.shape[0])
    factor = cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC) * strength + 1
    return np.asarray(cv2.multiply(image, factor, dtype=cv2.CV_8U), np.uint8)


def _draw_calipers(image: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """One or two pairs of measuring crosses with a dotted line, and a line of text."""
    image = image.copy()
    height, width = image.shape
    for _ in range(int(rng.integers(1, 3))):
        start = rng.uniform((0.1 * width, 0.1 * height), (0.9 * width, 0.9 * height))
        angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(5, 60)
        end = start + length * np.array([np.cos(angle), np.sin(angle)])
        level = int(rng.integers(150, 256))
        for point in (start, end):
            cv2.drawMarker(image, (int(point[0]), int(point[1])), level, cv2.MARKER_CROSS, int(rng.integers(5, 10)), 1)
        for step in np.arange(4, length, 4):
            x, y = start + (end - start) * (step / length)
            cv2.circle(image, (int(x), int(y)), 0, level, -1)
    corner = (int(rng.uniform(0, 0.8) * width), int(rng.uniform(0.05, 0.98) * height))
    text = f"{rng.choice(['1', '2', 'NT', 'D'])} {rng.uniform(0.1, 7):.2f}mm"
    cv2.putText(image, text, corner, cv2.FONT_HERSHEY_SIMPLEX, rng.uniform(0.3, 0.45), 200, 1, cv2.LINE_AA)
    return image
