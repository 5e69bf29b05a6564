"""What any other system found, from a file of COCO results.

A file is a JSON list; each entry has `image_id` and `category_id` of the annotated set, `score`, and `bbox` (x, y,
width, height), `segmentation` (RLE or polygons) or both. Nothing is passed over: an entry that can't be scored ends the
reading with its place in the list.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fetalseg.data.records import CocoSet, ImageRecord
from fetalseg.data.rules import is_integer, segmentation_breaches
from fetalseg.errors import DataError
from fetalseg.evaluation.coco import mask_box, mask_record
from fetalseg.evaluation.scored_frames import MAX_DETECTIONS, Detections, ScoredFrame
from fetalseg.instances import RunLengths

__all__ = ["read_detections"]

logger = logging.getLogger(__name__)


def read_detections(path: str | Path, truth: CocoSet) -> tuple[ScoredFrame, ...]:
    """Reads and checks the results of a system on a set.

    Where entries have masks alone, boxes are drawn around them. Of more than `MAX_DETECTIONS` in a frame the best are
    kept, as for any model, and the log says how many were cut.

    Args:
        path: of the file.
        truth: the annotated set, with all images that the file speaks of.

    Returns:
        All frames of the set, in its order. Their detections have masks if those of the file have.

    Raises:
        DataError: not a list in JSON; an entry of an unknown image or category, with a score that isn't within 0..1, a
            box that isn't one, a mask that isn't one of its image; masks in some entries only; an id that occurs twice.
            The message names the entry by its place, counted from 0, and by its id if it has one.
    """
    path = Path(path)
    content = _read_list(path)
    images = {image.id: image for image in truth.images}
    labels = {number: label for label, number in truth.category_ids.items()}
    rows: dict[int, list[_Row]] = {image.id: [] for image in truth.images}
    try:
        _check_ids(content)
        _check_alike(content)
        for place, entry in enumerate(content):
            image, row = _row(place, entry, images, labels)
            rows[image.id].append(row)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    # A system that found nothing at all may well have looked for masks.
    with_masks = bool(content[0].get("segmentation")) if content else truth.has_masks
    frames = tuple(ScoredFrame(image, _detections(rows[image.id], masks=with_masks)) for image in truth.images)
    _report_cut(path, [len(found) for found in rows.values()])
    return frames


@dataclass(frozen=True)
class _Row:
    """One detection: label, score, box xyxy, mask."""

    label: int
    score: float
    box: tuple[float, float, float, float]
    mask: RunLengths | None


def _read_list(path: Path) -> list[Any]:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"can't read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {error}") from None
    if not isinstance(content, list):
        keys = f" with {', '.join(map(repr, list(content)[:8]))}" if isinstance(content, dict) else ""
        raise DataError(f"{path} holds a {type(content).__name__}{keys}, expected a list of COCO results")
    for place, entry in enumerate(content):
        if not isinstance(entry, dict):
            raise DataError(f"{path}: result {place} is a {type(entry).__name__}, expected an object")
    return content


def _check_ids(content: list[dict[str, Any]]) -> None:
    places: dict[str, int] = {}
    for place, entry in enumerate(content):
        if "id" in entry:
            number = json.dumps(entry["id"])
            if number in places:
                raise DataError(f"results {places[number]} and {place} have the same id {number}")
            places[number] = place


def _check_alike(content: list[dict[str, Any]]) -> None:
    """Refuses a file with masks in some entries only: its figures by mask would be of something else."""
    with_mask = [place for place, entry in enumerate(content) if entry.get("segmentation")]
    without = [place for place, entry in enumerate(content) if not entry.get("segmentation")]
    if with_mask and without:
        first = without[0]
        raise DataError(
            f"{_name(first, content[first])} has no segmentation, but {len(with_mask)} of {len(content)} results have "
            "one; expected masks in all or in none"
        )


def _name(place: int, entry: Mapping[str, Any]) -> str:
    return f"result {place} (id {json.dumps(entry['id'])})" if "id" in entry else f"result {place}"


def _row(
    place: int, entry: dict[str, Any], images: Mapping[int, ImageRecord], labels: Mapping[int, int]
) -> tuple[ImageRecord, _Row]:
    for breach in _breaches(entry, images, labels):
        raise DataError(f"{_name(place, entry)}: {breach}")
    image = images[entry["image_id"]]
    mask: RunLengths | None = None
    if entry.get("segmentation"):
        packed = mask_record(entry["segmentation"], image.height, image.width)
        mask = RunLengths(size=[image.height, image.width], counts=packed["counts"].decode("ascii"))
    if entry.get("bbox"):
        x, y, width, height = map(float, entry["bbox"])
    else:
        assert mask is not None  # one of both is there
        x, y, width, height = mask_box(mask)
    return image, _Row(labels[entry["category_id"]], float(entry["score"]), (x, y, x + width, y + height), mask)


def _breaches(entry: dict[str, Any], images: Mapping[int, ImageRecord], labels: Mapping[int, int]) -> Iterator[str]:
    """What is wrong with an entry, in words."""
    for key, known, what in (("image_id", images, "image"), ("category_id", labels, "category")):
        number = entry.get(key)
        if not is_integer(number) or number not in known:
            yield f"{key} is {number!r}, which is no {what} of the annotated set ({_range(known)})"
            return
    score: Any = entry.get("score")
    if not _is_number(score) or not 0 <= score <= 1:
        yield f"score is {score!r}, expected a number within 0..1"
    bbox, written = entry.get("bbox"), entry.get("segmentation")
    if not bbox and not written:
        yield "neither bbox nor segmentation, expected one of them at least"
    if bbox and not _is_box(bbox):
        yield f"bbox is {bbox!r}, expected x, y, width >= 0, height >= 0"
    image = images[entry["image_id"]]
    for breach in segmentation_breaches(written, image.height, image.width):
        yield breach.message


def _range(known: Mapping[int, object]) -> str:
    return f"{len(known)} with ids {min(known)} to {max(known)}" if known else "it has none"


def _is_number(value: Any) -> bool:
    # NaN fails the comparison, and so does an integer beyond floating point.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _is_box(bbox: Any) -> bool:
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(map(_is_number, bbox)) or min(bbox[2:]) < 0:
        return False
    x, y, width, height = map(float, bbox)
    return _is_number(x + width) and _is_number(y + height) and _is_number(width * height)


def _detections(rows: list[_Row], *, masks: bool) -> Detections:
    best = sorted(rows, key=lambda row: -row.score)[:MAX_DETECTIONS]
    boxes: npt.NDArray[np.float64] = np.array([row.box for row in best], np.float64).reshape(-1, 4)
    return Detections(
        labels=np.array([row.label for row in best], np.int64),
        scores=np.array([row.score for row in best], np.float64),
        boxes=boxes,
        masks=tuple(row.mask for row in best if row.mask is not None) if masks else None,
    )


def _report_cut(path: Path, counts: list[int]) -> None:
    over = [count - MAX_DETECTIONS for count in counts if count > MAX_DETECTIONS]
    if over:
        logger.warning(
            "%s: more than %d detections in %d frames; the %d with the lowest scores there are not scored",
            path, MAX_DETECTIONS, len(over), sum(over),
        )  # fmt: skip
