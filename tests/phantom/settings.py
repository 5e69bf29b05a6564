"""A console with round figures, from which tests change what they are about."""

from __future__ import annotations

from fetalseg.phantom.console import Console, Display

PLAIN_DISPLAY = Display(
    dynamic_range_db=60.0,
    white_db=25.0,
    gamma=1.0,
    contrast=0.0,
    levels=256,
    speckle_filter=0.0,
    sharpening=0.0,
    sharpness=1.0,
    jpeg_quality=None,
)
PLAIN_CONSOLE = Console(
    frequency_mhz=6.0,
    bandwidth=0.4,
    radius_mm=50.0,
    half_angle_deg=35.0,
    aperture_mm=20.0,
    depth_mm=20.0,
    focus_mm=40.0,
    looks=1,
    tgc_db_cm_mhz=0.5,
    sliders_db=(0.0,) * 6,
    haze_db=-80.0,
    noise_db=-80.0,
    display=PLAIN_DISPLAY,
)
