"""From maps of tissue to a picture, by the convolution model in the probe's own geometry of beams.

Scatterers times echo level, less what is lost on the way, are convolved with the point-spread function of each depth
(Bamber and Dickinson, Ultrasonic B-scanning: a computer simulation, Phys. Med. Biol. 25:463, 1980); mirror-like borders
add echoes in phase. Noise, log compression, the console's filters and scan conversion follow.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from fetalseg.phantom.attenuation import above_frame_db, received_db, sliders_db
from fetalseg.phantom.console import Console
from fetalseg.phantom.display import compress, filter_speckle, shown
from fetalseg.phantom.psf import Zones
from fetalseg.phantom.scanner import Map, Sector
from fetalseg.phantom.scene import Scene
from fetalseg.phantom.speckle import Speckle, envelope_power

__all__ = ["Speckle", "scan", "unevenness"]

_COARSENESS = (0.9, 1.8)  # how far the tissue's unevenness differs between planes
_LOBES = 0.012  # amplitude of the side lobes, over a ninth of the fan
_NEPER_PER_DB = np.float32(math.log(10.0) / 20.0)
_NOISE_RISE_DB_CM_MHZ = 0.2  # what the time gain control adds to the noise, less what the receiver's filter takes
_NOISE_RISE_DB = 40.0  # at most: an amplifier ends there


def scan(scene: Scene, console: Console, speckle: Speckle, noise: np.random.Generator, uneven: Map) -> tuple[Map, Map]:
    """The picture of a scene, and what it would be without speckle.

    Args:
        scene: what lies in the plane.
        console: settings.
        speckle: the scatterers.
        noise: source of the electronic noise, new in every frame.
        uneven: the tissue's own unevenness [H, W], of unit variance; see `unevenness`.

    Returns:
        Grey 0..255 [H, W] as on the console's screen, 0 outside of the sector; mean level of the echo in dB [H, W].
    """
    sector = scene.sector
    radius, angle = sector.beam_grid
    zones = Zones.of(console, radius, angle)
    change = _change_db(scene, console, zones)
    coarse = np.float32(np.random.default_rng([scene.seed, 3]).uniform(*_COARSENESS))
    amplitude = _as_amplitude(sector.to_beams(scene.level + scene.texture * uneven * coarse) + change)
    mirror = sector.to_beams(scene.mirror) * _as_amplitude(change)
    haze = _haze(amplitude.shape, console, scene.seed)
    scatterers = speckle.scatterers(amplitude.shape)
    power = envelope_power(np.hypot(amplitude, haze), mirror, zones, scatterers, console.looks)
    power = _with_noise(power, console, zones.step_mm, noise)
    display = console.display
    picture = sector.to_pixels(shown(filter_speckle(compress(power, display), display), display))
    picture = np.where(sector.inside, picture, np.float32(0))
    seen = zones.mirrored(np.hypot(amplitude, mirror)) + haze + np.float32(10 ** (console.noise_db / 20))
    level = sector.to_pixels(np.float32(20 / math.log(10)) * cv2.log(seen))
    return picture, level


def unevenness(sector: Sector, rng: np.random.Generator, shift_mm: tuple[float, float]) -> Map:
    """A random field [H, W] of about unit variance with grains of 0.6 to 9 mm, moved by `shift_mm` (x, y).

    Layers and fibres mostly run across the beams, so grains are up to three times as wide as high.
    """
    height, width, mm_per_px = sector.height, sector.width, sector.mm_per_px
    field = np.zeros((height, width), np.float32)
    for grain_mm, weight in ((0.6, 0.5), (1.4, 0.55), (3.5, 0.5), (9.0, 0.45)):
        wide = grain_mm * float(rng.uniform(1.0, 3.0))
        size = max(2, int(width * mm_per_px / wide)), max(2, int(height * mm_per_px / grain_mm))
        coarse = rng.standard_normal((size[1], size[0]), dtype=np.float32)
        # cubic interpolation between grid points keeps about 0.85 of the standard deviation
        field += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) * np.float32(weight / 0.85)
    if shift_mm == (0.0, 0.0):
        return field
    move = np.array([[1.0, 0.0, shift_mm[0] / mm_per_px], [0.0, 1.0, shift_mm[1] / mm_per_px]])
    return np.asarray(cv2.warpAffine(field, move, (width, height), borderMode=cv2.BORDER_REFLECT), np.float32)


def _as_amplitude(db: Map) -> Map:
    return np.asarray(cv2.exp(db * _NEPER_PER_DB), np.float32)


def _change_db(scene: Scene, console: Console, zones: Zones) -> Map:
    """What attenuation, time gain control and the way down to the frame change in each sample, dB [R, T]."""
    change = received_db(scene.sector.to_beams(scene.loss), zones.step_mm, console)
    rows, beams = change.shape
    change += above_frame_db(beams, np.random.default_rng([scene.seed, 1]))
    # a shadow is as blurred as the beam is wide
    soft = cv2.GaussianBlur(change, (0, 0), zones.sigmas[len(zones.sigmas) // 2][1], sigmaY=0.5)
    # the gain is turned until the middle of the frame's samples is as bright as usual
    return np.asarray(soft - np.median(soft[::8, ::8]) + sliders_db(console, rows), np.float32)


def _haze(shape: tuple[int, ...], console: Console, seed: int) -> Map:
    """Amplitude of reverberations between the layers above: strong at the top of the frame, patchy, fading down."""
    rows, beams = shape
    rng = np.random.default_rng([seed, 2])
    patches = cv2.resize(rng.normal(0.0, 4.0, (5, 6)).astype(np.float32), (beams, rows), interpolation=cv2.INTER_CUBIC)
    fading = np.linspace(0.0, float(rng.uniform(6, 26)), rows, dtype=np.float32)[:, None]
    return _as_amplitude(patches + np.float32(console.haze_db) - fading)


def _with_noise(power: Map, console: Console, step_mm: float, rng: np.random.Generator) -> Map:
    """Adds side lobes, and electronic noise, which the time gain control raises with depth."""
    rows, columns = power.shape
    lobes = cv2.blur(cv2.sqrt(power), (max(3, columns // 9) | 1, 3)) * np.float32(_LOBES)
    rise = _NOISE_RISE_DB_CM_MHZ * console.frequency_mhz * step_mm / 10.0
    level = console.noise_db + np.minimum(rise * np.arange(rows, dtype=np.float32)[:, None], _NOISE_RISE_DB)
    white = cv2.GaussianBlur(rng.standard_exponential(power.shape, dtype=np.float32), (0, 0), 0.8)
    total: Map = power + lobes * lobes + white * cv2.exp(level * np.float32(math.log(10.0) / 10.0))
    return total
