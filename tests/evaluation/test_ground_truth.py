"""Reading annotated frames: what is taken, and what each mistake is called."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from fetalseg.errors import DataError
from fetalseg.evaluation.ground_truth import read_ground_truth

Content = dict[str, Any]


def content() -> Content:
    """Two frames of 64 x 48; the category ids are not ours, on purpose."""
    return {
        "categories": [{"id": 70, "name": "palate"}, {"id": 10, "name": "cranium"}],
        "images": [
            {"id": 1, "file_name": "a.png", "height": 48, "width": 64},
            {"id": 2, "file_name": "b.png", "height": 48, "width": 64, "annotated_category_ids": [10]},
        ],
        "annotations": [
            {"id": 0, "image_id": 1, "category_id": 70, "bbox": [1.5, 2, 10, 20.25], "area": 202.5, "iscrowd": 0},
            {
                "id": 1,
                "image_id": 2,
                "category_id": 10,
                "bbox": [0, 0, 8, 8],
                "segmentation": [[0, 0, 8, 0, 8, 8, 0, 8]],
            },
        ],
    }


def write(folder: Path, written: object, *, images: str = "images") -> Path:
    (folder / images).mkdir(parents=True, exist_ok=True)
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(folder / images / name), np.zeros((48, 64), np.uint8))
    path = folder / "instances.json"
    path.write_text(written if isinstance(written, str) else json.dumps(written))
    return path


def test_categories_are_told_by_name_whatever_their_ids(tmp_path: Path) -> None:
    truth = read_ground_truth(write(tmp_path, content()))
    assert truth.category_ids == {4: 70, 0: 10}
    (palate,), (cranium,) = (image.annotations for image in truth.images)
    assert (palate.label, palate.bbox, palate.segmentation, palate.crowd) == (4, (1.5, 2, 10, 20.25), None, False)
    assert (cranium.label, cranium.segmentation) == (0, [[0, 0, 8, 0, 8, 8, 0, 8]])
    assert truth.has_masks


def test_what_is_known_in_a_frame_is_listed_or_everything(tmp_path: Path) -> None:
    truth = read_ground_truth(write(tmp_path, content()))
    assert [image.known for image in truth.images] == [{0, 4}, {0}]


def test_a_crowd_may_be_of_a_structure_that_is_not_listed(tmp_path: Path) -> None:
    written = content()
    written["annotations"][1] |= {"category_id": 70, "iscrowd": 1}
    image = read_ground_truth(write(tmp_path, written)).images[1]
    assert image.known == {0}
    assert [annotation.crowd for annotation in image.annotations] == [True]


def test_an_empty_list_means_that_nothing_is_known(tmp_path: Path) -> None:
    written = content()
    written["images"][0]["annotated_category_ids"] = []
    written["annotations"] = []
    truth = read_ground_truth(write(tmp_path, written))
    assert truth.images[0].known == frozenset()
    assert not truth.has_masks


@pytest.mark.parametrize("images", ["images", "."])
def test_images_are_found_in_their_folder_or_beside_the_file(images: str, tmp_path: Path) -> None:
    truth = read_ground_truth(write(tmp_path, content(), images=images))
    assert [image.path.resolve() for image in truth.images] == [
        (tmp_path / images / n).resolve() for n in ("a.png", "b.png")
    ]


def test_images_are_found_in_a_given_folder(tmp_path: Path) -> None:
    path = write(tmp_path, content(), images="elsewhere")
    assert read_ground_truth(path, images=tmp_path / "elsewhere").images[0].path == tmp_path / "elsewhere" / "a.png"
    with pytest.raises(DataError, match=r"image 1 \(a\.png\) can't be read: .*looked in .*images"):
        read_ground_truth(path)


def test_a_folder_stands_for_the_file_inside(tmp_path: Path) -> None:
    path = write(tmp_path, content())
    assert read_ground_truth(tmp_path) == read_ground_truth(path)


def test_a_limit_keeps_the_first_frames(tmp_path: Path) -> None:
    truth = read_ground_truth(write(tmp_path, content()), limit=1)
    assert [image.id for image in truth.images] == [1]
    assert not truth.has_masks


def change(**changes: object) -> Callable[[Content], None]:
    """Sets fields: `images_0_height=3` is content["images"][0]["height"] = 3; None removes."""

    def apply(written: Content) -> None:
        for place, value in changes.items():
            table, row, key = place.split("_", 2)
            record = written[table][int(row)]
            record[key] = value
            if value is None:
                del record[key]

    return apply


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (change(categories_0_name="tail"), "category 70 is called 'tail'; known structures are cranium, "),
        (change(categories_0_name="cranium"), r"category 10 \(cranium\) occurs twice"),
        (change(categories_0_id=10), r"category 10 \(cranium\) occurs twice"),
        (change(images_1_id=1), "image id 1 occurs twice"),
        (change(images_1_id="x"), "image id 'x' is not an integer"),
        (change(images_0_height=0), "image 1: 64x0 is not a size in pixels"),
        (change(images_0_height="48"), "image 1: 64x48 is not a size in pixels"),
        (change(images_0_file_name=None), "is not a COCO file: KeyError 'file_name'"),
        (change(images_1_annotated_category_ids=[3]), "image 2: annotated_category_ids holds 3"),
        (change(images_1_annotated_category_ids=[70]), "annotation 1 is a cranium, which image 2 doesn't list"),
        (change(annotations_1_id=0), "annotation id 0 occurs twice"),
        (change(annotations_1_image_id=9), "annotation 1 belongs to image 9, which is not in the file"),
        (change(annotations_1_category_id=3), "annotation 1: category 3 is no category of the file"),
        (change(annotations_0_bbox=[1, 2, 3]), r"annotation 0: bbox \[1, 2, 3\] is not x, y, width, height"),
        (change(annotations_0_bbox=[1, 2, -3, 4]), r"annotation 0: bbox \[1, 2, -3, 4\] is not"),
        (change(annotations_0_bbox=[1, 2, float("nan"), 4]), "annotation 0: bbox"),
        (change(annotations_0_bbox=None), "is not a COCO file: KeyError 'bbox'"),
        (
            change(annotations_1_segmentation={"size": [64, 48], "counts": [3072]}),
            r"annotation 1: mask of size \[64, 48\]; expected that of its image, \[48, 64\]",
        ),
        (change(images_0_width=65), r"image 1 \(a\.png\) has 64x48 px; its record says 65x48"),
        (change(images_0_file_name="c.png"), r"image 1 \(c\.png\) can't be read: No such file"),
    ],
)
def test_a_mistake_is_named_with_file_and_id(mistake: Callable[[Content], None], message: str, tmp_path: Path) -> None:
    written = content()
    mistake(written)
    path = write(tmp_path, written)
    with pytest.raises(DataError, match=message) as caught:
        read_ground_truth(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("{", "is not JSON"),
        ("", "is not JSON"),
        ([], "is not a COCO file"),
        ({"images": []}, "is not a COCO file: KeyError 'categories'"),
        ({"categories": [], "images": [], "annotations": []}, "no images"),
        ({"categories": 3, "images": [], "annotations": []}, "is not a COCO file"),
    ],
)
def test_a_file_of_another_kind_is_refused(written: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read_ground_truth(write(tmp_path, written))


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"can't read .*instances\.json: No such file"):
        read_ground_truth(tmp_path / "instances.json")


@pytest.mark.parametrize("data", [b"", b"no image at all", b"\xff\xd8\xff\xe0 cut"])
def test_a_damaged_image_is_named_before_anything_runs(data: bytes, tmp_path: Path) -> None:
    path = write(tmp_path, content())
    (tmp_path / "images" / "b.png").write_bytes(data)
    with pytest.raises(DataError, match=r"image 2 \(b\.png\)"):
        read_ground_truth(path)
