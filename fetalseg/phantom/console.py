"""The scanner's settings, drawn once per examination: what is sent, how echoes are received, and how they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

__all__ = ["Console", "Display", "Probe", "draw_console"]

Probe = Literal["transabdominal", "transvaginal"]

_SLIDERS = 6


@dataclass(frozen=True)
class Display:
    """From envelope to what is stored.

    Attributes:
        dynamic_range_db: echo levels shown between black and white.
        white_db: level of the echoes that are shown white, against soft tissue; the gain, turned round.
        gamma: exponent of the grey curve.
        contrast: 0 a plain curve, 1 a full S that pushes greys apart.
        levels: number of greys; few give a posterised picture.
        speckle_filter: 0..1, how far even tissue is smoothed.
        sharpening: share of the fine detail that is added once more.
        sharpness: resolution of the picture that was stored, as a share of the frame's.
        jpeg_quality: 1..100 of the stored picture; None for one without loss.
    """

    dynamic_range_db: float
    white_db: float
    gamma: float
    contrast: float
    levels: int
    speckle_filter: float
    sharpening: float
    sharpness: float
    jpeg_quality: int | None


@dataclass(frozen=True)
class Console:
    """How the scanner is set.

    Attributes:
        frequency_mhz: centre frequency of the pulse.
        bandwidth: of pulse and receiver, full width at half amplitude over the centre frequency.
        radius_mm: radius of the curved probe face.
        half_angle_deg: of the fan, from its middle beam to the outermost.
        aperture_mm: width of the part of the probe that forms a beam.
        depth_mm: of the upper edge of a zoomed frame below the probe's face.
        focus_mm: depth of the focus below the probe's face.
        looks: images averaged by compounding.
        tgc_db_cm_mhz: attenuation, one way, that the time gain control makes up for.
        sliders_db: what the operator adds at depths spread evenly over the frame, top first.
        haze_db: level of the clutter that lifts black fluid at the top of the frame.
        noise_db: level of the electronic noise at the top of the frame; it is amplified with depth.
        display: from envelope to what is stored.
    """

    frequency_mhz: float
    bandwidth: float
    radius_mm: float
    half_angle_deg: float
    aperture_mm: float
    depth_mm: float
    focus_mm: float
    looks: int
    tgc_db_cm_mhz: float
    sliders_db: tuple[float, ...]
    haze_db: float
    noise_db: float
    display: Display


def draw_console(rng: np.random.Generator, probe: Probe) -> Console:
    """Settings of an examination: the whole range that saved frames of the first trimester show."""
    fine = probe == "transvaginal"
    depth = float(rng.uniform(6, 25) if fine else rng.uniform(20, 60))
    focus = depth + float(rng.uniform(5, 35))
    # the aperture grows with the depth of the focus, so that focus over aperture stays the same
    number = float(rng.uniform(2.4, 4.7))
    return Console(
        frequency_mhz=float(rng.uniform(5, 9) if fine else rng.uniform(3, 7)),
        bandwidth=float(rng.uniform(0.25, 0.6)),
        radius_mm=float(rng.uniform(10, 12) if fine else rng.uniform(50, 60)),
        half_angle_deg=float(rng.uniform(55, 75) if fine else rng.uniform(30, 37)),
        aperture_mm=focus / number,
        depth_mm=depth,
        focus_mm=focus,
        looks=int(rng.choice([2, 3, 4], p=[0.4, 0.35, 0.25])),
        tgc_db_cm_mhz=float(rng.uniform(0.45, 0.75)),
        sliders_db=tuple(rng.normal(0.0, 1.1, size=_SLIDERS).tolist()),
        haze_db=float(rng.uniform(-38, -20) if fine else rng.uniform(-33, -14)),
        noise_db=float(rng.uniform(-48, -32) if fine else rng.uniform(-44, -24)),
        display=_draw_display(rng),
    )


def _draw_display(rng: np.random.Generator) -> Display:
    filtered, hard, coarse, lossy = rng.random(4) < (0.6, 0.4, 0.12, 0.75)
    dynamic_range, gamma = float(rng.uniform(46, 66)), float(rng.uniform(1.2, 2.0))
    # operators turn the gain until soft tissue has the grey they like, whatever the curve does to the rest
    grey = float(np.clip(rng.normal(0.37, 0.05), 0.22, 0.52))
    return Display(
        dynamic_range_db=dynamic_range,
        white_db=dynamic_range * (1.0 - grey ** (1.0 / gamma)),
        gamma=gamma,
        contrast=float(rng.uniform(0.3, 1.0) if hard else rng.uniform(0.0, 0.25)),
        levels=int(rng.integers(10, 28) if coarse else 256),
        speckle_filter=float(rng.uniform(0.2, 0.9)) if filtered else 0.0,
        sharpening=float(rng.uniform(0.0, 1.0)),
        sharpness=float(rng.uniform(0.35, 0.7) if rng.random() < 0.3 else rng.uniform(0.7, 1.0)),
        jpeg_quality=int(rng.integers(35, 96)) if lossy else None,
    )
