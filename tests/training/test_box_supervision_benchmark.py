"""The comparison of learning masks from masks and from boxes runs and writes its figures."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.box_supervision import Figures, hide_masks, main, table
from fetalseg.anatomy import coco_categories
from fetalseg.data.coco import read_coco


@pytest.fixture
def heads(tmp_path: Path) -> Path:
    """Ten frames with a bright disk, its mask a polygon."""
    folder = tmp_path / "heads"
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    for number in range(1, 11):
        x, y, radius = 30 + 3 * number, 32, 16 + number % 3
        pixels = np.random.default_rng(number).integers(0, 60, (64, 96), np.uint8)
        cv2.circle(pixels, (x, y), radius, 180, -1)
        cv2.imwrite(str(folder / "images" / f"{number}.png"), pixels)
        ring = np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], 1)
        images.append({"id": number, "file_name": f"{number}.png", "height": 64, "width": 96})
        annotations.append(
            {
                "id": number,
                "image_id": number,
                "category_id": 1,
                "iscrowd": 0,
                "bbox": [x - radius, y - radius, 2 * radius, 2 * radius],
                "segmentation": [ring.flatten().tolist()],
            }
        )
    content = {"categories": coco_categories(), "images": images, "annotations": annotations}
    (folder / "instances.json").write_text(json.dumps(content))
    return folder


def test_it_trains_both_ways_and_prints_a_table(
    heads: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rows.json"
    arguments = ("--variant", "fetalseg-test", "--steps", "2", "--batch", "2", "--holdout", "0.4", "--threads", "1")

    code = main(["--data", str(heads), *arguments, "--json", str(file)])

    assert code == 0
    assert "heads: fetalseg-test, 2 steps each" in capsys.readouterr().out
    rows = json.loads(file.read_text())
    assert [row["name"] for row in rows] == ["masks", "boxes", "boxes, and the box taken for the mask"]
    assert all(row["steps"] == 2 and row["mask_ap50"] is not None for row in rows)


def test_a_set_without_masks_is_refused(heads: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = json.loads((heads / "instances.json").read_text())
    del content["annotations"][0]["segmentation"]
    (heads / "instances.json").write_text(json.dumps(content))

    assert main(["--data", str(heads), "--steps", "2"]) == 1
    assert "error: heads: every annotation must have a mask to compare with; 1 have none" in capsys.readouterr().err


def test_hidden_masks_leave_the_boxes_and_the_given_set_as_they_are(heads: Path) -> None:
    source = read_coco(heads)

    hidden = hide_masks(source)

    assert source.has_masks
    assert not hidden.has_masks
    assert [a.bbox for i in hidden.images for a in i.annotations] == [
        a.bbox for i in source.images for a in i.annotations
    ]


def test_a_figure_that_cannot_be_computed_is_a_dash() -> None:
    assert table([Figures("boxes", 7, 0.5, 0.25, None, None)]).splitlines()[-1] == (
        "| boxes | 7 | 0.500 | 0.250 | - | - |"
    )
