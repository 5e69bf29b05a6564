"""From maps of tissue to a picture: attenuation along the beam, speckle, envelope, log compression, scan conversion."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from fetalseg.phantom.examination import Console
from fetalseg.phantom.scanner import Map, Sector
from fetalseg.phantom.scene import SOFT, Scene

__all__ = ["Speckle", "envelope", "pulse_kernels", "scan", "shadows_db", "unevenness"]

_TGC = 0.45  # share of relative loss that the time gain control leaves in the picture
_ENHANCEMENT_DB = 6.0  # brightest behind fluid
_SHADOW_DB = 20.0  # darkest behind bone


@dataclass(frozen=True)
class Speckle:
    """Where the tissue's scatterers lie, as two fields of white noise.

    Attributes:
        seed: equal seeds, equal scatterers.
        phase: radians; turning it slowly makes the speckle change as it does while a probe is held by hand.
    """

    seed: np.random.SeedSequence
    phase: float = 0.0

    def scatterers(self, shape: tuple[int, ...]) -> tuple[Map, Map]:
        """Real and imaginary part, each of unit variance."""
        rng = np.random.default_rng(self.seed)
        parts = rng.standard_normal((2, *shape), dtype=np.float32)
        if self.phase != 0.0:
            later = rng.standard_normal((2, *shape), dtype=np.float32)
            parts = np.float32(math.cos(self.phase)) * parts + np.float32(math.sin(self.phase)) * later
        return parts[0], parts[1]


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


def envelope(amplitude: Map, mirror: Map, kernels: tuple[Map, Map], scatterers: tuple[Map, Map], looks: int = 1) -> Map:
    """Length of the complex echo [R, T]: speckle of unit power times `amplitude`, plus coherent `mirror` echoes.

    Args:
        amplitude: of the scattering tissue, 1 is soft tissue.
        mirror: of mirror-like borders.
        kernels: of the pulse, see `pulse_kernels`.
        scatterers: white noise of unit variance, real and imaginary part.
        looks: images averaged by compounding, each with scatterers of its own.
    """
    along, across = kernels
    power = np.float32(math.sqrt(float((along**2).sum() * (across**2).sum()) * 2))
    coherent = cv2.sepFilter2D(mirror, cv2.CV_32F, across, along)
    total = np.zeros_like(amplitude)
    rows, columns = amplitude.shape
    for look in range(looks):
        # the same noise moved by more than a pulse is as good as new noise, and costs nothing
        by = (look * rows // looks, look * columns // looks)
        real, imaginary = (
            cv2.sepFilter2D(np.roll(part, by, (0, 1)) * amplitude, cv2.CV_32F, across, along) / power
            for part in scatterers
        )
        total += cv2.magnitude(real + coherent, imaginary)
    return total / np.float32(looks)


def scan(scene: Scene, console: Console, speckle: Speckle, noise: np.random.Generator, uneven: Map) -> tuple[Map, Map]:
    """The picture of a scene, and what it would be without speckle.

    Args:
        scene: what lies in the plane.
        console: settings.
        speckle: the scatterers.
        noise: source of the electronic noise, new in every frame.
        uneven: the tissue's own unevenness [H, W], of unit variance; see `unevenness`.

    Returns:
        Grey 0..255 [H, W], 0 outside of the sector; mean level of the echo in dB [H, W].
    """
    sector = scene.sector
    radius, angle = sector.beam_grid
    step = float(radius[1] - radius[0])
    beam = float((angle[1] - angle[0]) * radius.mean())
    axial, lateral = console.axial_mm / step, console.lateral_mm / beam
    kernels = pulse_kernels(console, step, beam)
    change = shadows_db(sector.to_beams(scene.loss), step, console.frequency_mhz)
    change = np.asarray(cv2.GaussianBlur(change, (0, 0), kernels[1].size / 8), np.float32)
    level = sector.to_beams(scene.level + scene.texture * uneven) + change
    amplitude = np.exp(level * np.float32(np.log(10) / 20))
    mirror = sector.to_beams(scene.mirror) * np.exp(change * np.float32(np.log(10) / 20))
    echo = envelope(amplitude, mirror, kernels, speckle.scatterers(amplitude.shape), console.looks)
    echo = _with_clutter(echo, console, noise)
    grey = cv2.GaussianBlur(_compress(echo, console), (0, 0), 0.45 * lateral, sigmaY=0.45 * axial)
    picture = cv2.GaussianBlur(sector.to_pixels(np.asarray(grey, np.float32)), (0, 0), console.smoothing_px)
    floor = 10 ** (max(console.noise_db, console.haze_db) / 20)
    mean = cv2.sepFilter2D(np.hypot(amplitude, mirror), cv2.CV_32F, kernels[1], kernels[0]) + np.float32(floor)
    level = sector.to_pixels(np.float32(20) * np.log10(mean))
    return np.where(sector.inside, picture, np.float32(0)).astype(np.float32), level


def unevenness(sector: Sector, rng: np.random.Generator, shift_mm: tuple[float, float]) -> Map:
    """A random field [H, W] of about unit variance with grains of 0.6 to 9 mm, moved by `shift_mm` (x, y)."""
    height, width, mm_per_px = sector.height, sector.width, sector.mm_per_px
    field = np.zeros((height, width), np.float32)
    for grain_mm, weight in ((0.6, 0.5), (1.4, 0.55), (3.5, 0.5), (9.0, 0.45)):
        size = max(2, int(width * mm_per_px / grain_mm)), max(2, int(height * mm_per_px / grain_mm))
        coarse = rng.standard_normal((size[1], size[0]), dtype=np.float32)
        # cubic interpolation between grid points keeps about 0.7 of the standard deviation
        field += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) * np.float32(weight / 0.7)
    if shift_mm == (0.0, 0.0):
        return field
    move = np.array([[1.0, 0.0, shift_mm[0] / mm_per_px], [0.0, 1.0, shift_mm[1] / mm_per_px]])
    return np.asarray(cv2.warpAffine(field, move, (width, height), borderMode=cv2.BORDER_REFLECT), np.float32)


def _with_clutter(echo: Map, console: Console, rng: np.random.Generator) -> Map:
    """Adds side lobes, the haze of the near field and electronic noise, which grows with depth."""
    rows, columns = echo.shape
    lobes = cv2.blur(echo, (max(3, columns // 9) | 1, 3)) * np.float32(0.012)
    depth = np.linspace(0.0, 1.0, rows, dtype=np.float32)[:, None]
    haze = np.float32(10 ** (console.haze_db / 20)) * np.exp(-2.2 * depth)
    haze = np.broadcast_to(haze, echo.shape)
    noise = np.float32(10 ** (console.noise_db / 20)) * np.exp(1.4 * depth)
    white = np.abs(rng.standard_normal(echo.shape, dtype=np.float32))
    white = cv2.GaussianBlur(white, (0, 0), 0.9)
    total: Map = np.sqrt(echo**2 + lobes**2 + haze**2 * white) + noise * white
    return total


def _compress(echo: Map, console: Console) -> Map:
    """Log compression: [R, T] grey 0..255; the top of the range lies at bone, 22.5 dB above soft tissue."""
    db = np.log(np.maximum(echo, np.float32(1e-6))) * np.float32(20 / np.log(10)) + np.float32(console.gain_db)
    share = np.clip((db - 22.5) / console.dynamic_range_db + 1.0, 0.0, 1.0)
    return np.asarray(share**console.gamma * 255.0, np.float32)
