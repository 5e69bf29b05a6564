"""The point-spread function: how far the echo of a point spreads along and across the beam, at each depth.

Echoes are the scatterers convolved with it (Bamber and Dickinson, Phys. Med. Biol. 25:463, 1980). It changes with
depth, so the frame is cut into zones, each with one separable Gaussian, and neighbouring zones are blended.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from fetalseg.phantom.console import Console
from fetalseg.phantom.scanner import Map

__all__ = ["Spread", "Zones", "spread_at"]

_SPEED = 1.54  # of sound in soft tissue, mm per microsecond
_SOFT_NEPER = 0.5 / 8.686 / 10.0  # attenuation of soft tissue, neper/mm/MHz
_LOWEST = 0.6  # of the centre frequency, which the receiver's filter doesn't follow any further down
_ZONES = 12
_FWHM = math.sqrt(8.0 * math.log(2.0))  # of a Gaussian, in standard deviations
_REACH = 2.6  # half the length of a kernel, in standard deviations


@dataclass(frozen=True)
class Spread:
    """Full widths at half height, mm.

    Attributes:
        along: of the pulse along the beam.
        across: of the beam.
    """

    along: float
    across: float


def spread_at(console: Console, depth_mm: float) -> Spread:
    """Spread of a point's echo at a depth below the probe's face.

    The pulse is a Gaussian of relative bandwidth B around f: widths in time and frequency multiply to 4 ln 2 / pi, and
    the way there and back halves the length, so that it is 2 ln 2 / pi * c / (B f) long. Tissue takes more of its high
    frequencies, which lowers f by attenuation * way * variance of the spectrum (Narayana and Ophir, Ultrason. Imaging
    5:22, 1983); the receiver follows with the same relative bandwidth. The beam is Gaussian: its waist at the focal
    depth F is wavelength * F / aperture, and it is wider by the square root of 2 at 14 * wavelength * (F / aperture)^2
    before and behind. A fixed focus alone has a depth of field of 7 * wavelength * (F / aperture)^2; it is longer here,
    for reception focuses at every depth.
    """
    deviation = console.bandwidth * console.frequency_mhz / _FWHM
    lost = _SOFT_NEPER * 2.0 * max(depth_mm, 0.0) * deviation**2
    frequency = max(console.frequency_mhz - lost, _LOWEST * console.frequency_mhz)
    wavelength = _SPEED / frequency
    number = console.focus_mm / console.aperture_mm
    field = 14.0 * wavelength * number**2
    return Spread(
        along=2.0 * math.log(2.0) / math.pi * wavelength / console.bandwidth,
        across=wavelength * number * math.hypot(1.0, (depth_mm - console.focus_mm) / field),
    )


@dataclass(frozen=True)
class Zones:
    """The point-spread function on a grid of beams.

    Attributes:
        rows: R, samples along a beam.
        step_mm: between samples along a beam.
        sigmas: (along, across) standard deviation in samples, at depths spread evenly from the first row to the last.
    """

    rows: int
    step_mm: float
    sigmas: tuple[tuple[float, float], ...]

    @staticmethod
    def of(
        console: Console, radius_mm: npt.NDArray[np.float64], angle: npt.NDArray[np.float64], count: int = _ZONES
    ) -> Zones:
        """Zones of a grid of beams: distances from the apex [R] and angles [T], both evenly spread."""
        step, turn = float(radius_mm[1] - radius_mm[0]), float(angle[1] - angle[0])
        sigmas = []
        for radius in np.linspace(radius_mm[0], radius_mm[-1], count).tolist():
            spread = spread_at(console, radius - console.radius_mm)
            sigmas.append((spread.along / _FWHM / step, spread.across / _FWHM / (radius * turn)))
        return Zones(len(radius_mm), step, tuple(sigmas))

    def scattered(self, image: Map) -> Map:
        """White noise [R, T] convolved so that it keeps its power: in every zone the kernel has unit energy."""
        return self._blend(image, power=True)

    def mirrored(self, image: Map) -> Map:
        """A map [R, T] convolved so that an even area keeps its height: in every zone the kernel has unit sum."""
        return self._blend(image, power=False)

    def _blend(self, image: Map, *, power: bool) -> Map:
        """The sum over zones of what each makes of the image, weighted by hat functions of depth."""
        result = np.zeros_like(image)
        weights = self._power_weights if power else self._hats
        for (along, across), (first, last), weight in zip(self._kernels, self._spans, weights, strict=True):
            reach = len(along) // 2
            top, bottom = max(first - reach, 0), min(last + reach, self.rows)
            blurred = cv2.sepFilter2D(image[top:bottom], cv2.CV_32F, across, along, borderType=cv2.BORDER_REFLECT_101)
            result[first:last] += blurred[first - top : last - top] * weight[first:last, None]
        return result

    @cached_property
    def _kernels(self) -> list[tuple[Map, Map]]:
        return [(_gaussian(along), _gaussian(across)) for along, across in self.sigmas]

    @cached_property
    def _centres(self) -> npt.NDArray[np.float64]:
        return np.linspace(0.0, self.rows - 1.0, len(self.sigmas))

    @cached_property
    def _spans(self) -> list[tuple[int, int]]:
        """First row and the row after the last one in which each zone has a share."""
        edges = np.concatenate([[0.0], self._centres, [self.rows - 1.0]])
        return [(math.floor(edges[i]), math.ceil(edges[i + 2]) + 1) for i in range(len(self.sigmas))]

    @cached_property
    def _hats(self) -> Map:
        """Share of each zone in each row, [zones, R]; the shares of a row sum to 1."""
        rows = np.arange(self.rows)
        return np.array([np.interp(rows, self._centres, one) for one in np.eye(len(self.sigmas))], np.float32)

    @cached_property
    def _power_weights(self) -> Map:
        """Weight of each zone in each row, [zones, R], with which the blend of convolved white noise has unit power.

        Two zones make of the same noise two fields that are alike, but not quite, so that their blend would be too
        weak by a little.
        """
        hats = self._hats
        variance = (hats**2).sum(axis=0)
        for i, (one, other) in enumerate(itertools.pairwise(self.sigmas)):
            alike = math.prod(math.sqrt(2.0 * a * b / (a * a + b * b)) for a, b in zip(one, other, strict=True))
            variance += 2.0 * alike * hats[i] * hats[i + 1]
        energy = [float((along**2).sum() * (across**2).sum()) for along, across in self._kernels]
        return np.asarray(hats / np.sqrt(variance * np.array(energy)[:, None]), np.float32)


def _gaussian(sigma: float) -> Map:
    """A kernel of unit sum, [size, 1]."""
    size = 2 * max(1, math.ceil(_REACH * sigma)) + 1
    return np.asarray(cv2.getGaussianKernel(size, sigma, cv2.CV_32F), np.float32)
