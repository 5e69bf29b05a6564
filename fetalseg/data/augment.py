"""Augmentation of ultrasound frames: where the structures lie, and how the machine shows them.

Every sample is a pure function of the frame and a random generator. Geometry is drawn once and moves the image, the
boxes and the masks; appearance changes the image alone. Each group of changes has a stream of chance of its own, so
that switching one off leaves the others as they are: an ablation compares like with like.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from fetalseg.data.augment_appearance import vary_grey, vary_resolution, vary_tissue
from fetalseg.data.augment_geometry import draw_geometry
from fetalseg.data.augment_options import AUGMENTATIONS, AugmentOptions
from fetalseg.data.augment_overlays import draw_overlays, save_as_jpeg
from fetalseg.data.frames import AnnotatedFrame
from fetalseg.data.geometry import Affine, Sample, letterbox, place_shapes, warp
from fetalseg.preprocess import InputRule

__all__ = ["AUGMENTATIONS", "AugmentOptions", "augment", "plain"]


def plain(frame: AnnotatedFrame, rule: InputRule, prototype_shape: tuple[int, int]) -> Sample:
    """The sample as serving would see the frame: letterboxed, nothing else."""
    matrix = letterbox((frame.image.shape[0], frame.image.shape[1]), rule)
    image = warp(frame.image, matrix, (rule.height, rule.width), fill=rule.pad_value)
    _restore_padding(image, frame, matrix, rule)
    return place_shapes(frame, matrix, image, prototype_shape)


def augment(
    frame: AnnotatedFrame,
    rule: InputRule,
    prototype_shape: tuple[int, int],
    options: AugmentOptions,
    rng: np.random.Generator,
) -> Sample:
    """One random variation of a frame.

    Args:
        frame: the frame; left as it is.
        rule: the network's input (gray or not, the sample is gray).
        prototype_shape: (Hp, Wp) of the masks.
        options: how far to go.
        rng: all chance comes from it.
    """
    placed, tissue, resolution, grey, overlays, jpeg = rng.spawn(6)
    matrix = draw_geometry(frame, rule, options, placed)
    bare = warp(frame.image, matrix, (rule.height, rule.width), fill=rule.pad_value)
    sample = place_shapes(frame, matrix, bare, prototype_shape)
    image = vary_tissue(bare, options, tissue, upside_down=matrix[1, 1] < 0)
    image = vary_resolution(image, options, resolution)
    image = vary_grey(image, options, grey)
    image = draw_overlays(image, sample.boxes, options, overlays)
    image = save_as_jpeg(image, options, jpeg)
    _restore_padding(image, frame, matrix, rule)
    return Sample(image, sample.boxes, sample.labels, sample.masks, sample.has_mask, sample.known)


def _restore_padding(image: npt.NDArray[np.uint8], frame: AnnotatedFrame, matrix: Affine, rule: InputRule) -> None:
    """Padding is the same in every frame that is served, so nothing may be added to it (in place)."""
    height, width = frame.image.shape
    corners = np.array([[0, 0, 1], [width, 0, 1], [width, height, 1], [0, height, 1]]) @ matrix[:2].T
    if _covers(corners, rule):
        return
    inside = np.zeros(image.shape, np.uint8)
    cv2.fillConvexPoly(inside, np.rint((corners - 0.5) * 16).astype(np.int32), 255, shift=4)
    image[inside == 0] = rule.pad_value


def _covers(corners: npt.NDArray[np.float64], rule: InputRule) -> bool:
    """Whether a frame that isn't turned fills the whole input."""
    low, high = corners.min(0), corners.max(0)
    upright = np.ptp(corners[[0, 3], 0]) < 1e-6
    return bool(upright and (low <= 0).all() and (high >= (rule.width, rule.height)).all())
