"""What the way there and back takes from an echo, and what the time gain control gives back.

Loss is proportional to way and frequency, as usual for soft tissue in decibels (Szabo, Diagnostic Ultrasound Imaging:
Inside Out, chapter 4); the tissues' coefficients stand in `scene`.
"""

from __future__ import annotations

import cv2
import numpy as np

from fetalseg.phantom.console import Console
from fetalseg.phantom.scanner import Map

__all__ = ["above_frame_db", "received_db", "sliders_db"]

# A console's automatic gain and an operator who turns the sliders even out most of a large difference.
_ENHANCEMENT_DB = 6.0  # brightest behind fluid
_SHADOW_DB = 22.0  # darkest behind bone


def received_db(loss: Map, step_mm: float, console: Console) -> Map:
    """Change of level [R, T] in dB that is left after time gain control, against tissue that it was set for.

    Both ways through a layer cost 2 * frequency * thickness * loss; the time gain control gives back the same with
    the loss it was set for. What remains is summed along each beam from the frame's upper edge, losses and gains
    apart, and either sum is limited: x becomes L tanh(x / L), which is x while it is small.

    Args:
        loss: attenuation in dB/cm/MHz, one way, [R, T].
        step_mm: between samples along a beam.
        console: gives frequency and time gain control.
    """
    there_and_back = np.float32(2.0 * console.frequency_mhz * step_mm / 10.0)
    remaining = (loss - np.float32(console.tgc_db_cm_mhz)) * there_and_back
    lost = np.cumsum(np.maximum(remaining, 0), axis=0, dtype=np.float32)
    gained = np.cumsum(np.minimum(remaining, 0), axis=0, dtype=np.float32)
    return -_limited(lost, _SHADOW_DB) - _limited(gained, _ENHANCEMENT_DB)


def sliders_db(console: Console, rows: int) -> Map:
    """What the operator's gain sliders add at each depth, [R, 1] in dB."""
    knots = np.asarray(console.sliders_db, np.float32)[:, None]
    return np.asarray(cv2.resize(knots, (1, rows), interpolation=cv2.INTER_CUBIC), np.float32)


def above_frame_db(beams: int, rng: np.random.Generator) -> Map:
    """Change of level [1, T] in dB from what lies between the probe and the frame.

    Slow differences in the mother's tissue; often one side without contact or behind a bone, darker by up to 25 dB;
    at times streaks behind gas or fibrous tissue.
    """
    place = np.linspace(0.0, 1.0, beams)
    change = np.interp(place, np.linspace(0, 1, 6), rng.normal(0.0, 1.3, size=6))
    if rng.random() < 0.4:
        edge, width = float(rng.uniform(-0.05, 0.35)), float(rng.uniform(0.03, 0.2))
        side = place if rng.random() < 0.5 else 1.0 - place
        change -= float(rng.uniform(4, 20)) / (1.0 + np.exp((side - edge) / width * 3.0))
    for _ in range(int(rng.poisson(0.7))):
        centre, width = float(rng.uniform(0, 1)), float(rng.uniform(0.01, 0.08))
        change -= float(rng.uniform(2, 12)) * np.exp(-0.5 * ((place - centre) / width) ** 2)
    return change.astype(np.float32)[None, :]


def _limited(change: Map, limit: float) -> Map:
    return np.asarray(np.tanh(change * np.float32(1.0 / limit)) * np.float32(limit), np.float32)
