"""Boundary IoU: how well two masks agree along their outlines, whatever their size.

Cheng, Girshick, Dollár, Berg, Kirillov: Boundary IoU: Improving Object-Centric Image Segmentation Evaluation, CVPR
2021, sections 4 and 5: of each mask only the pixels within a distance of its outline are kept, 2 % of the image's
diagonal; the IoU of these bands is the boundary IoU. For average precision the lower of mask IoU and boundary IoU
counts.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from fetalseg.encoding import compressed_runs, decode_crop, run_lengths
from fetalseg.evaluation.coco import Record

__all__ = ["DILATION", "band_width", "boundary", "boundary_record"]

DILATION = 0.02  # of the image's diagonal


def band_width(height: int, width: int) -> int:
    """Distance from the outline, px, up to which a pixel belongs to the boundary in an image of this size."""
    return max(1, round(DILATION * math.hypot(height, width)))


def boundary(mask: npt.NDArray[np.bool_], distance: int) -> npt.NDArray[np.bool_]:
    """The pixels of a mask whose square neighbourhood reaches out of it; outside of the array is background.

    Args:
        mask: bool [H, W].
        distance: px, half the side of the neighbourhood.
    """
    side = 2 * distance + 1
    inner = cv2.erode(
        mask.astype(np.uint8), np.ones((side, side), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0
    )
    band: npt.NDArray[np.bool_] = mask & (inner == 0)
    return band


def boundary_record(mask: Record) -> Record:
    """The boundary of a mask of a whole image, both as COCO's run lengths."""
    height, width = mask["size"]
    crop, corner = decode_crop(mask["counts"], (height, width))
    if not crop.size:
        return mask
    band = boundary(crop, band_width(height, width))
    return {"size": [height, width], "counts": compressed_runs(run_lengths(band, corner, (height, width)))}
