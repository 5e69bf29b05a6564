"""Scatterers and what the scanner makes of them: the envelope of the echo.

Many scatterers within one point-spread function add up to a complex Gaussian echo, whose envelope follows Rayleigh:
its mean is sqrt(pi / (4 - pi)) = 1.91 standard deviations, and the average of n independent looks has a spread smaller
by the root of n (Burckhardt, Speckle in ultrasound B-mode scans, IEEE Trans. Sonics Ultrason. 25:1, 1978). The white
noise drawn here is the limit of many scatterers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from fetalseg.phantom.psf import Zones
from fetalseg.phantom.scanner import Map

__all__ = ["Speckle", "envelope_power"]


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


def envelope_power(amplitude: Map, mirror: Map, zones: Zones, scatterers: tuple[Map, Map], looks: int = 1) -> Map:
    """Square of the length of the complex echo [R, T]; its mean is 1 in tissue of amplitude 1, at every depth.

    Args:
        amplitude: of the scattering tissue, 1 is soft tissue.
        mirror: of mirror-like borders, whose echoes are in phase.
        zones: the point-spread function.
        scatterers: white noise of unit variance, real and imaginary part.
        looks: envelopes averaged by compounding, each with scatterers of its own.
    """
    coherent = zones.mirrored(mirror)
    half = amplitude * np.float32(math.sqrt(0.5))
    rows, columns = amplitude.shape
    total = None
    for look in range(looks):
        # the same noise moved by more than a pulse is as good as new noise, and costs nothing
        by = (look * rows // looks, look * columns // looks)
        real, imaginary = (zones.scattered(np.roll(part, by, (0, 1)) * half) for part in scatterers)
        real += coherent
        if looks == 1:
            return np.asarray(real * real + imaginary * imaginary, np.float32)
        echo = cv2.magnitude(real, imaginary)
        total = echo if total is None else total + echo
    assert total is not None
    return np.asarray((total / np.float32(looks)) ** 2, np.float32)
