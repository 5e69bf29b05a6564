"""Fully developed speckle as it looks after log compression: fields to add to grey frames.

The magnitude of a sum of many echoes is the modulus of a complex Gaussian, blurred by the point-spread function; its
logarithm has the same spread wherever the tissue is bright or dim. Grains are drawn out across the beams: on
first-trimester frames their autocorrelation is 0.64 mm wide along the beam and 1.37 mm across (full width at half
height, medians), about 4 and 9 px of an input 416 px wide that shows 63 mm.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["GRAIN", "draw_speckle"]

GRAIN = (4.2, 8.9)  # px along and across the beam, full width at half height of the autocorrelation at scale 1
_SCALES = (0.6, 1.5)
_FIELDS, _HEIGHT, _WIDTH = 3, 512, 768
_LOG_WIDENING = 1.23  # computed: width of the squared magnitude's autocorrelation over that of its logarithm
_DEEPEST = -3.0  # standard deviations; the logarithm of a magnitude near 0 has no floor


def draw_speckle(shape: tuple[int, int], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """A random piece [h, w] of speckle with mean 0, standard deviation about 1, and a random size of grain."""
    field = _fields()[rng.integers(_FIELDS)]
    scale = rng.uniform(*_SCALES)
    x, y = rng.uniform(0, _WIDTH), rng.uniform(0, _HEIGHT)
    # From the piece to the field; fields are periodic, so a piece may reach across their edges.
    source = np.array([[1 / scale, 0, x], [0, 1 / scale, y]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(field, source, (shape[1], shape[0]), flags=flags, borderMode=cv2.BORDER_WRAP), np.float32
    )


@lru_cache(maxsize=1)
def _fields() -> npt.NDArray[np.float32]:
    """Some periodic fields, always the same: making one takes longer than a whole frame may."""
    rng = np.random.default_rng(20)
    echoes = rng.standard_normal((2, _FIELDS, _HEIGHT, _WIDTH), np.float32)
    # Blurred by sigma, the squared magnitude has a Gaussian autocorrelation of that sigma; the logarithm's is narrower.
    sigma_y, sigma_x = (_LOG_WIDENING * width / 2.355 for width in GRAIN)
    fy, fx = np.fft.fftfreq(_HEIGHT)[:, None], np.fft.fftfreq(_WIDTH)[None]
    spread = np.exp(-2 * np.pi**2 * ((sigma_y * fy) ** 2 + (sigma_x * fx) ** 2))
    blurred = np.fft.ifft2(np.fft.fft2(echoes[0] + 1j * echoes[1]) * spread)
    levels = np.log(np.maximum(np.abs(blurred), 1e-12))
    levels = (levels - levels.mean()) / levels.std()
    levels = np.maximum(levels, _DEEPEST)
    return np.asarray((levels - levels.mean()) / levels.std(), np.float32)
