"""From maps of tissue to a picture: attenuation along the beam, speckle, envelope, log compression, scan conversion."""

from __future__ import annotations

import cv2
import numpy as np

from fetalseg.phantom.examination import Console
from fetalseg.phantom.scanner import Map
from fetalseg.phantom.scene import SOFT, Scene

__all__ = ["envelope", "pulse_kernels", "scan", "shadows_db"]

_TGC = 0.45  # share of relative loss that the time gain control leaves in the picture
_ENHANCEMENT_DB = 6.0  # brightest behind fluid
_SHADOW_DB = 20.0  # darkest behind bone


def pulse_kernels(console: Console, step_mm: float, beam_mm: float) -> tuple[Map, Map]:
    """Gaussian kernels (along the beam, across) of unit sum for a grid with these steps."""
    kernels = []
    for sigma in (console.axial_mm / step_mm, console.lateral_mm / beam_mm):
        size = 2 * max(1, int(np.ceil(2.6 * sigma))) + 1
        kernels.append(cv2.getGaussianKernel(size, sigma, cv2.CV_32F).astype(np.float32))
    return kernels[0], kernels[1]


def shadows_db(loss: Map, step_mm: float, frequency_mhz: float) -> Map:
    """Change of level [R, T] in dB that the way there and back leaves after time gain control."""
    relative = (loss - np.float32(SOFT)) * np.float32(2 * frequency_mhz * step_mm / 10.0)
    # a fetal skull is 0.4 mm thick and drawn 1 mm wide: its loss counts for the real thickness
    relative = np.where(relative > 0, relative * np.float32(0.42), relative * np.float32(_TGC))
    return -np.clip(np.cumsum(relative, axis=0), -_ENHANCEMENT_DB, _SHADOW_DB)


def envelope(amplitude: Map, mirror: Map, kernels: tuple[Map, Map], rng: np.random.Generator) -> Map:
    """Length of the complex echo [R, T]: speckle of unit power times `amplitude`, plus coherent `mirror` echoes."""
    along, across = kernels
    power = np.float32(np.sqrt(float((along**2).sum() * (across**2).sum()) * 2))
    parts = []
    for _ in range(2):
        white = rng.standard_normal(amplitude.shape, dtype=np.float32)
        parts.append(cv2.sepFilter2D(white * amplitude, cv2.CV_32F, across, along) / power)
    parts[0] += cv2.sepFilter2D(mirror, cv2.CV_32F, across, along)
    return cv2.magnitude(parts[0], parts[1])


def scan(scene: Scene, console: Console, rng: np.random.Generator, texture_rng: np.random.Generator) -> Map:
    """The picture of a scene, grey 0..255 as float32 [H, W], 0 outside of the sector.

    Args:
        scene: what lies in the plane.
        console: settings.
        rng: source of speckle and noise.
        texture_rng: source of the tissue's own unevenness, which moves with the tissue.
    """
    sector = scene.sector
    radius, angle = sector.beam_grid
    step = float(radius[1] - radius[0])
    beam = float((angle[1] - angle[0]) * radius.mean())
    axial, lateral = console.axial_mm / step, console.lateral_mm / beam
    kernels = pulse_kernels(console, step, beam)
    uneven = _unevenness(scene.level.shape, sector.mm_per_px, texture_rng)
    change = shadows_db(sector.to_beams(scene.loss), step, console.frequency_mhz)
    change = cv2.GaussianBlur(change, (0, 0), kernels[1].size / 8)
    level = sector.to_beams(scene.level + scene.texture * uneven) + change
    amplitude = np.exp(level * np.float32(np.log(10) / 20))
    mirror = sector.to_beams(scene.mirror) * np.exp(change * np.float32(np.log(10) / 20))
    echo = envelope(amplitude, mirror, kernels, rng)
    for _ in range(console.looks - 1):
        echo += envelope(amplitude, mirror, kernels, rng)
    echo /= console.looks
    echo = _with_clutter(echo, console, rng)
    grey = cv2.GaussianBlur(_compress(echo, console), (0, 0), 0.45 * lateral, sigmaY=0.45 * axial)
    picture = sector.to_pixels(grey)
    if console.smoothing_px > 0:
        picture = cv2.GaussianBlur(picture, (0, 0), console.smoothing_px)
    return np.where(sector.inside, picture, np.float32(0))


def _unevenness(shape: tuple[int, ...], mm_per_px: float, rng: np.random.Generator) -> Map:
    """A random field [H, W] of unit variance with grains of 0.6 to 3 mm."""
    height, width = shape
    field = np.zeros((height, width), np.float32)
    for grain_mm, weight in ((0.6, 0.6), (1.4, 0.6), (3.5, 0.53)):
        size = max(2, int(width * mm_per_px / grain_mm)), max(2, int(height * mm_per_px / grain_mm))
        coarse = rng.standard_normal((size[1], size[0]), dtype=np.float32)
        # cubic interpolation between grid points keeps about 0.7 of the standard deviation
        field += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) * np.float32(weight / 0.7)
    return field


def _with_clutter(echo: Map, console: Console, rng: np.random.Generator) -> Map:
    """Adds side lobes, the haze of the near field and electronic noise, which grows with depth."""
    rows, columns = echo.shape
    lobes = cv2.blur(echo, (max(3, columns // 9) | 1, 3)) * np.float32(0.012)
    depth = np.linspace(0.0, 1.0, rows, dtype=np.float32)[:, None]
    haze = np.float32(10 ** (console.haze_db / 20)) * np.exp(-2.2 * depth)
    cloud = cv2.resize(rng.random((6, 8), dtype=np.float32), (columns, rows), interpolation=cv2.INTER_CUBIC)
    haze = haze * np.clip(cloud * 2, 0.1, 2)
    noise = np.float32(10 ** (console.noise_db / 20)) * np.exp(1.4 * depth)
    white = np.abs(rng.standard_normal(echo.shape, dtype=np.float32))
    white = cv2.GaussianBlur(white, (0, 0), 0.9)
    total: Map = np.sqrt(echo**2 + lobes**2 + haze**2 * white) + noise * white
    return total


def _compress(echo: Map, console: Console) -> Map:
    """Log compression: [R, T] grey 0..255; the top of the range lies at bone, 21 dB above soft tissue."""
    db = np.log(np.maximum(echo, np.float32(1e-6))) * np.float32(20 / np.log(10)) + np.float32(console.gain_db)
    share = np.clip((db - 21.0) / console.dynamic_range_db + 1.0, 0.0, 1.0)
    return np.asarray(share**console.gamma * 255.0, np.float32)
