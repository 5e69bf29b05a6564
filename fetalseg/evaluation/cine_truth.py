"""The truth of a cine that was written as a COCO file: structures keep an identity, `track_id`, over its frames."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fetalseg.data.coco import read_content
from fetalseg.data.records import Annotation, CocoSet, ImageRecord
from fetalseg.errors import DataError
from fetalseg.evaluation.cine_figures import Truth
from fetalseg.instances import Instances

__all__ = ["cine_truth", "crop_of"]

Mask = npt.NDArray[np.bool_]


def cine_truth(truth: CocoSet) -> list[Truth]:
    """What each frame of a cine shows, in the order of the file; labels are places in the set's structures.

    A crowd is neither right nor wrong to find: that is how `fetalseg phantom --cine` writes what hardly shows.

    Args:
        truth: as `fetalseg.data.coco.read_coco` gives it.

    Raises:
        DataError: an annotation without a `track_id`, or without a mask.
    """
    _, _, content = read_content(truth.path)
    tracks = {record["id"]: record.get("track_id") for record in content["annotations"]}
    return [_frame(image, tracks, truth) for image in truth.images]


def crop_of(mask: Mask) -> tuple[Mask, tuple[int, int, int, int]]:
    """A mask [H, W] as `Instances` keeps it: a crop of its own and its box xyxy; both of no size for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return np.empty((0, 0), np.bool_), (0, 0, 0, 0)
    x1, y1, x2, y2 = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
    return mask[y1:y2, x1:x2].copy(), (x1, y1, x2, y2)  # a view would keep the whole frame


def _frame(image: ImageRecord, tracks: dict[int, object], truth: CocoSet) -> Truth:
    ids, crops, regions = [], [], []
    for annotation in image.annotations:
        track = tracks[annotation.id]
        if not isinstance(track, int):
            raise DataError(
                f"{truth.path}: annotation {annotation.id}: track_id is {track!r}, expected a whole number that the "
                "structure keeps in all frames, as `fetalseg phantom --cine` writes it"
            )
        ids.append(track)
        crop, region = crop_of(_mask(annotation, image, truth))
        crops.append(crop)
        regions.append(region)
    boxes = [annotation.box(image.height, image.width) for annotation in image.annotations]
    instances = Instances(
        labels=np.array([annotation.label for annotation in image.annotations], np.int64),
        scores=np.ones(len(ids), np.float32),
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        crops=crops,
        crop_boxes=np.array(regions, np.int64).reshape(-1, 4),
        frame_shape=(image.height, image.width),
        structures=truth.structures,
    )
    ignored = np.array([annotation.crowd for annotation in image.annotations], np.bool_)
    return Truth(instances, tuple(ids), ignored, image.known)


def _mask(annotation: Annotation, image: ImageRecord, truth: CocoSet) -> Mask:
    try:
        mask = annotation.mask(image.height, image.width)
    except DataError as error:
        raise DataError(f"{truth.path}: {error}") from None
    if mask is None:
        raise DataError(f"{truth.path}: annotation {annotation.id} has no segmentation; a cine's truth needs masks")
    return mask
