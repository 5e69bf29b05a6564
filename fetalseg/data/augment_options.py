"""How far augmentation goes, in named groups that an ablation switches off one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

__all__ = ["AUGMENTATIONS", "AugmentOptions"]

# Group to the values that switch it off.
_OFF: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "flip": {"flip_horizontal": 0.0, "flip_vertical": 0.0},
        "geometry": {"degrees": 0.0, "zoom": (1.0, 1.0), "stretch": 0.0, "shift": 0.0},
        "crop": {"crop_share": 0.0},
        "grey": {"gain": 0.0, "dynamic_range": 0.0, "gamma": 0.0, "s_curve": 0.0},
        "speckle": {"speckle_share": 0.0, "smoothing_share": 0.0},
        "shading": {"depth_share": 0.0, "shadow_share": 0.0, "haze_share": 0.0},
        "blur": {"blur_share": 0.0, "sharpen_share": 0.0, "resolution_share": 0.0, "jpeg_share": 0.0},
        "overlays": {"calipers_share": 0.0, "text_share": 0.0, "overview_share": 0.0, "erase_share": 0.0},
        "mosaic": {"mosaic_share": 0.0},
    }
)

AUGMENTATIONS: tuple[str, ...] = tuple(_OFF)


@dataclass(frozen=True)
class AugmentOptions:
    """How far the augmentation goes. A `share` is the probability for a frame, 0..1.

    Attributes:
        flip_horizontal: probability.
        flip_vertical: probability; real mid-sagittal sets show the fetus face up only.
        degrees: rotation up to this, either way.
        box_iou: a frame with boxes alone turns only so far that the box of whatever fills an old box is known to this
            IoU, see `fetalseg.data.augment_geometry.rotation_limit`; 0 < box_iou <= 1.
        zoom: smallest and largest scale.
        stretch: ratio of the axes up to 1 + this.
        shift: up to this share of the network's sides.
        crop_share: of frames of which a part is enlarged to the whole input, as an operator zooms in.
        crop_zoom: largest scale of these; the smallest is 1.2.
        gain: up to this many grey levels, up or down: on log-compressed frames a gain in dB is a sum.
        dynamic_range: contrast below white up to 1 + this, or down to 1 / (1 + this).
        gamma: exponent up to 1 + this, or down to 1 / (1 + this).
        s_curve: up to this share of a grey map that spreads the middle, or, as often, of its inverse's first order.
        speckle: largest standard deviation of added speckle, grey levels; log compression makes speckle a sum.
        speckle_share: of frames with speckle.
        smoothing_share: of frames that are smoothed as consoles do it to reduce speckle.
        depth_share: of frames with other gains along the depth.
        shadow_share: of frames with acoustic shadows, or enhancement.
        haze_share: of frames with haze.
        blur: largest sigma, px.
        blur_share: of frames that are blurred, more across the beams than along them.
        sharpen_share: of frames with enhanced edges.
        resolution_share: of frames that are shrunk and enlarged again.
        jpeg_share: of frames that are coded as JPEG of quality 25 to 80.
        calipers_share: of frames with measuring crosses and their reading.
        text_share: of frames with other text, a scale at the edge or a line across.
        overview_share: of frames with a small picture of the whole in a corner.
        erase_share: of frames with an empty box of the console over a part.
        mosaic_share: of frames shown beside others of the same set on one split screen. Off: no frame of a data set
            looks so, and thin structures, which are the hard ones, come out at half their size.
    """

    flip_horizontal: float = 0.5
    flip_vertical: float = 0.4
    degrees: float = 20.0
    box_iou: float = 0.8
    zoom: tuple[float, float] = (0.75, 1.35)
    stretch: float = 0.1
    shift: float = 0.07
    crop_share: float = 0.15
    crop_zoom: float = 2.0
    gain: float = 20.0
    dynamic_range: float = 0.2
    gamma: float = 0.3
    s_curve: float = 0.4
    speckle: float = 14.0
    speckle_share: float = 0.35
    smoothing_share: float = 0.1
    depth_share: float = 0.25
    shadow_share: float = 0.25
    haze_share: float = 0.25
    blur: float = 1.0
    blur_share: float = 0.2
    sharpen_share: float = 0.1
    resolution_share: float = 0.15
    jpeg_share: float = 0.15
    calipers_share: float = 0.15
    text_share: float = 0.15
    overview_share: float = 0.05
    erase_share: float = 0.1
    mosaic_share: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if (name.endswith("_share") or name.startswith("flip_")) and not 0 <= value <= 1:
                raise ValueError(f"{name} is a probability, expected 0..1, got {value}")
        if not 0 < self.box_iou <= 1:
            raise ValueError(f"box_iou must be above 0 and at most 1, got {self.box_iou}")
        if not 0 < self.zoom[0] <= self.zoom[1]:
            raise ValueError(f"zoom must be a smallest and a largest scale above 0, got {self.zoom}")

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups that do anything."""
        return tuple(
            group for group, off in _OFF.items() if any(getattr(self, name) != value for name, value in off.items())
        )

    def only(self, *groups: str) -> AugmentOptions:
        """These options with every other group switched off; without groups frames are letterboxed and nothing else.

        Raises:
            ValueError: an unknown group; the message lists the known ones.
        """
        _check_groups(groups)
        return self.without(*(group for group in AUGMENTATIONS if group not in groups))

    def without(self, *groups: str) -> AugmentOptions:
        """These options with some groups switched off; what the others do to a frame stays the same.

        Raises:
            ValueError: an unknown group; the message lists the known ones.
        """
        _check_groups(groups)
        return replace(self, **{name: value for group in groups for name, value in _OFF[group].items()})


def _check_groups(groups: tuple[str, ...]) -> None:
    if unknown := [group for group in groups if group not in _OFF]:
        raise ValueError(f"unknown augmentation {', '.join(unknown)}; known are {', '.join(AUGMENTATIONS)}")
