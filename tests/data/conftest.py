import copy
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from fetalseg.anatomy import coco_categories

CONTENT = {
    "info": {"description": "two frames", "licence": "CC0"},
    "categories": coco_categories(),
    "images": [
        {"id": 7, "file_name": "a.png", "height": 40, "width": 60, "annotated_category_ids": [1, 6], "patient": "p1"},
        {"id": 9, "file_name": "b.png", "height": 40, "width": 60, "patient": "p2", "view": "neck"},
    ],
    "annotations": [
        # Rows 10..29, columns 20..39: 20 columns of 20 pixels.
        {
            "id": 1,
            "image_id": 7,
            "category_id": 1,
            "iscrowd": 0,
            "bbox": [20, 10, 20, 20],
            "segmentation": {"size": [40, 60], "counts": [810, *[20, 20] * 19, 20, 810]},
        },
        {"id": 2, "image_id": 7, "category_id": 6, "iscrowd": 0, "bbox": [5, 5, 30, 6]},
        {
            "id": 3,
            "image_id": 9,
            "category_id": 4,
            "iscrowd": 0,
            "bbox": [10, 10, 8, 4],
            "segmentation": [[10, 10, 18, 10, 18, 14, 10, 14]],
        },
    ],
}


@pytest.fixture
def content():
    return copy.deepcopy(CONTENT)


@pytest.fixture
def write_set(tmp_path):
    """Writes a COCO content and its images, and gives the folder."""

    def write(content, name="small", *, images="images") -> Path:
        folder = tmp_path / name
        (folder / images).mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(0)
        for image in content["images"]:
            pixels = rng.integers(0, 256, (40, 60), np.uint8)
            cv2.imwrite(str(folder / images / image.get("file_name", "unnamed.png")), pixels)
        (folder / "instances.json").write_text(json.dumps(content))
        return folder

    return write
