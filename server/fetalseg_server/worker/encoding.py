"""From instances to what a client reads: the middle of a result message, and the label map."""

from __future__ import annotations

import json
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from fetalseg.encoding import polygons_json
from fetalseg.instances import Instances
from fetalseg_server.options import MaskWord

__all__ = ["encode_jpeg", "encode_png", "result_body"]

# Level 1 with run-length matching: label maps are long runs, and a frame has 40 ms for everything.
_JPEG_GOOD = [cv2.IMWRITE_JPEG_QUALITY, 90]
_PNG_FAST = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]


def result_body(instances: Instances, masks: MaskWord, view: tuple[str, float] | None) -> str:
    """`"view":...,"instances":[...]`, to be spliced into a result message.

    Args:
        instances: of one frame.
        masks: "polygon" and "rle" add that key to each instance, the other words add none.
        view: (name, score) of what the frame shows, or None.
    """
    shown = None if view is None else {"name": view[0], "score": round(view[1], 4)}
    rows = [
        {
            "structure": instances.structures[label],
            "structure_id": label + 1,
            "score": round(score, 4),
            "box": [round(value, 2) for value in box],
            "track_id": track_id,
            "fetus": None,
        }
        for label, score, box, track_id in zip(
            instances.labels.tolist(),
            instances.scores.tolist(),
            instances.boxes.tolist(),
            _track_ids(instances),
            strict=True,
        )
    ]
    texts = [_json(row)[:-1] + mask + "}" for row, mask in zip(rows, _masks(instances, masks), strict=True)]
    return f'"view":{_json(shown)},"instances":[{",".join(texts)}]'


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _track_ids(instances: Instances) -> list[int] | list[None]:
    return [None] * len(instances) if instances.track_ids is None else instances.track_ids.tolist()


def _masks(instances: Instances, masks: MaskWord) -> list[str]:
    """What the masks add to the JSON of each instance, with the comma before it."""
    if masks == "polygon":
        return [f',"polygon":{rings}' for rings in polygons_json(instances.crops, instances.crop_boxes[:, :2])]
    if masks == "rle":
        return [f',"rle":{_json(rle)}' for rle in instances.rle()]
    return [""] * len(instances)


def encode_png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """A PNG of 8-bit gray [H, W] or RGB [H, W, 3], without colour chunks."""
    if pixels.ndim == 3:
        pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), np.uint8)
    done, data = cv2.imencode(".png", pixels, _PNG_FAST)
    assert done, "OpenCV refused to write a PNG"
    return data.tobytes()


def encode_jpeg(pixels: npt.NDArray[np.uint8]) -> bytes:
    """A JPEG of 8-bit RGB [H, W, 3], good enough for thin contours on speckle."""
    done, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), _JPEG_GOOD)
    assert done, "OpenCV refused to write a JPEG"
    return data.tobytes()
