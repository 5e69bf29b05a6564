"""Small COCO sets of bright rectangles on dark noise, 96 x 64 px: what the smallest network is trained on."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from fetalseg.anatomy import coco_categories

HEIGHT, WIDTH = 64, 96


class Rectangle(NamedTuple):
    """An annotated structure: category id, corner and sides in px, grey level, and whether it has a mask."""

    category: int
    x: int
    y: int
    width: int
    height: int
    grey: int = 180
    mask: bool = True


def write_drawn_set(
    folder: Path,
    frames: int,
    draw: Callable[[int, np.random.Generator], Sequence[Rectangle]],
    *,
    facts: Callable[[int], dict[str, Any]] = lambda number: {},
    **content: Any,
) -> Path:
    """Writes `instances.json` and `images/N.png`, and gives the folder.

    Args:
        folder: of the new set.
        frames: how many; they are numbered from 1, which is also their id.
        draw: what lies in frame N, by a generator that is seeded with N.
        facts: further keys of the record of frame N.
        content: further tables of the file, such as `info`, or `categories` instead of the seventeen.
    """
    (folder / "images").mkdir(parents=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number in range(1, frames + 1):
        rng = np.random.default_rng(number)
        pixels = rng.integers(0, 40, (HEIGHT, WIDTH), np.uint8)
        for category, x, y, width, height, grey, mask in draw(number, rng):
            pixels[y : y + height, x : x + width] = grey
            record = {"id": len(annotations) + 1, "image_id": number, "category_id": category}
            ring = [x, y, x + width, y, x + width, y + height, x, y + height]
            annotations.append({**record, "bbox": [x, y, width, height], **({"segmentation": [ring]} if mask else {})})
        cv2.imwrite(str(folder / "images" / f"{number}.png"), pixels)
        images.append({"id": number, "file_name": f"{number}.png", "height": HEIGHT, "width": WIDTH, **facts(number)})
    tables = {"categories": coco_categories(), "images": images, "annotations": annotations}
    (folder / "instances.json").write_text(json.dumps({**tables, **content}))
    return folder
