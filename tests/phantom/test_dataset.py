import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from fetalseg.anatomy import VIEWS, coco_categories
from fetalseg.errors import DataError
from fetalseg.phantom import write_dataset
from fetalseg.phantom.dataset import FRAMES_PER_PATIENT, VIEW_SHARES, still
from fetalseg.phantom.frames import NO_VIEW

SIZE = (160, 112)


def read(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "instances.json").read_text())
    return document


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        write_dataset(tmp_path / name, frames=7, seed=seed, size=SIZE)
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert read(tmp_path / "a")["images"][0]["patient"] != read(tmp_path / "c")["images"][0]["patient"]
    assert read(tmp_path / "a")["annotations"] != read(tmp_path / "c")["annotations"]


@pytest.mark.parametrize("moving", [False, True])
def test_a_longer_data_set_begins_with_the_bytes_of_a_shorter_one(tmp_path: Path, moving: bool) -> None:
    for name, frames in (("short", 2), ("long", 8)):
        write_dataset(tmp_path / name, frames=frames, seed=5, size=SIZE, moving=moving)
    short, long = read(tmp_path / "short"), read(tmp_path / "long")
    assert long["images"][:2] == short["images"]
    assert long["annotations"][: len(short["annotations"])] == short["annotations"]
    pictures = {name: data for name, data in files(tmp_path / "short").items() if name.endswith(".png")}
    assert len(pictures) == 2
    assert pictures.items() <= files(tmp_path / "long").items()


def test_a_frame_is_the_same_in_whatever_order_frames_are_made() -> None:
    late_first = [still(index, 5, height=SIZE[1], width=SIZE[0])[0] for index in (900, 1)]
    early_first = [still(index, 5, height=SIZE[1], width=SIZE[0])[0] for index in (1, 900)]
    for one, other in zip(late_first, reversed(early_first), strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)
        np.testing.assert_array_equal(one.masks, other.masks)


def test_all_frames_of_a_patient_are_of_one_examination() -> None:
    made = [still(index, 4, height=64, width=96) for index in range(2 * FRAMES_PER_PATIENT)]
    for patient in (0, 1):
        part = made[patient * FRAMES_PER_PATIENT : (patient + 1) * FRAMES_PER_PATIENT]
        assert all(examination == part[0][1] for _, examination, _ in part)
        assert len({name for _, _, name in part}) == 1
    assert made[0][1] != made[-1][1]


def test_records_say_what_is_known_of_each_image(tmp_path: Path) -> None:
    path = write_dataset(tmp_path, frames=2 * FRAMES_PER_PATIENT, seed=1, size=SIZE)
    assert path == tmp_path / "instances.json"
    document = read(tmp_path)
    assert document["categories"] == coco_categories()
    patients = [image["patient"] for image in document["images"]]
    assert len(set(patients)) == 2
    assert patients[0] == patients[FRAMES_PER_PATIENT - 1] != patients[FRAMES_PER_PATIENT]
    for image in document["images"]:
        pixels = cv2.imread(str(tmp_path / "images" / image["file_name"]), cv2.IMREAD_UNCHANGED)
        assert pixels is not None
        assert pixels.shape == (image["height"], image["width"]) == (112, 160)
        assert image["spacing_mm"] == [image["pixel_size_mm"]] * 2
        assert 0.05 < image["pixel_size_mm"] < 1.2
        assert image["probe"] in ("transabdominal", "transvaginal")
        assert 45 <= image["crl_mm"] <= 84
        assert image["source"] == "phantom"
        assert set(image["annotated_category_ids"]) <= set(range(1, 18))
        found = {a["category_id"] for a in document["annotations"] if a["image_id"] == image["id"]}
        assert found <= set(image["visible_category_ids"]) <= set(range(1, 18))
        assert image.get("view") in {None, *(view.name for view in VIEWS)}


# pycocotools 2.0 implements `__array__` in the way of NumPy 1
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_annotations_are_read_back_by_pycocotools_as_the_masks_that_were_drawn(tmp_path: Path) -> None:
    from pycocotools import mask as coco_mask

    write_dataset(tmp_path, frames=6, seed=3, size=SIZE)
    annotations = read(tmp_path)["annotations"]
    assert [a["id"] for a in annotations] == list(range(1, len(annotations) + 1))
    at = 0
    for index in range(6):
        frame, _, _ = still(index, 3, height=SIZE[1], width=SIZE[0])
        for mask, ignored in zip(frame.masks, frame.ignored, strict=True):
            record = annotations[at]
            at += 1
            assert record["image_id"] == index + 1
            np.testing.assert_array_equal(coco_mask.decode(record["segmentation"]).astype(bool), mask)
            assert record["area"] == mask.sum()
            assert record["bbox"] == coco_mask.toBbox(record["segmentation"]).tolist()
            assert record["iscrowd"] == int(ignored)
    assert at == len(annotations)


def test_only_the_asked_views_are_drawn(tmp_path: Path) -> None:
    write_dataset(tmp_path, frames=8, seed=2, size=SIZE, views=("neck", "spine"))
    assert {image["view"] for image in read(tmp_path)["images"]} == {"neck", "spine"}


def test_a_cine_is_written_as_one_patient_and_with_the_same_bytes_each_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_dataset(tmp_path / name, frames=3, seed=2, size=SIZE, moving=True)
    assert files(tmp_path / "a") == files(tmp_path / "b")
    document = read(tmp_path / "a")
    images = document["images"]
    assert {image["patient"] for image in images} == {"phantom-2-cine"}
    assert {image["view"] for image in images} == {"head"}
    for image in images:
        tracks = [a["track_id"] for a in document["annotations"] if a["image_id"] == image["id"]]
        assert len(set(tracks)) == len(tracks) > 0


def test_stills_have_no_tracks(tmp_path: Path) -> None:
    write_dataset(tmp_path, frames=2, seed=2, size=SIZE)
    assert all("track_id" not in annotation for annotation in read(tmp_path)["annotations"])


def test_a_frame_without_a_fetus_has_no_view_and_every_structure_is_known_to_be_absent(tmp_path: Path) -> None:
    write_dataset(tmp_path, frames=3, seed=2, size=SIZE, views=("none",))
    document = read(tmp_path)
    assert document["annotations"] == []
    for image in document["images"]:
        assert "view" not in image
        assert image["annotated_category_ids"] == list(range(1, 18))
        assert image["visible_category_ids"] == []


def test_frames_without_a_fetus_are_four_in_a_hundred() -> None:
    assert VIEW_SHARES[NO_VIEW] / sum(VIEW_SHARES.values()) == pytest.approx(0.04, abs=0.002)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"frames": 0}, "at least 1, got 0"),
        ({"seed": -1}, "0 or more, got -1"),
        ({"size": (20_000, 20_000)}, "64 to 4096 px a side, got 20000x20000"),
        ({"size": (160, 1)}, "64 to 4096 px a side, got 160x1"),
        ({"views": ("kidney",)}, "unknown view 'kidney'; expected one of head, neck"),
        ({"views": ()}, "no view given; expected some of head, neck"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_written(
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    arguments: dict[str, Any] = {"frames": 1, "seed": 1, "size": SIZE, **changed}
    with pytest.raises(ValueError, match=message):
        write_dataset(tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_a_set_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    write_dataset(tmp_path, frames=1, seed=1, size=SIZE)
    before = files(tmp_path)
    for seed in (1, 2):
        with pytest.raises(DataError, match=r"holds a data set; choose another folder, or delete instances\.json"):
            write_dataset(tmp_path, frames=1, seed=seed, size=SIZE)
    assert files(tmp_path) == before


def test_images_of_an_unfinished_set_are_not_mixed_with_others(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "someone.png").write_bytes(b"theirs")
    with pytest.raises(DataError, match="holds a data set"):
        write_dataset(tmp_path, frames=1, seed=1, size=SIZE)
    assert files(tmp_path) == {"images/someone.png": b"theirs"}


def test_an_empty_folder_and_one_with_other_files_are_written_to(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    write_dataset(tmp_path, frames=1, seed=1, size=SIZE)
    assert len(files(tmp_path)) == 3


def test_a_full_disk_is_a_data_error_and_leaves_nothing_behind(
    tmp_path: Path, full_disk: Callable[[int], AbstractContextManager[None]]
) -> None:
    with full_disk(5_000), pytest.raises(DataError, match=r"can't write to .*set: File too large"):
        write_dataset(tmp_path / "set", frames=3, seed=1, size=(320, 240))
    assert files(tmp_path) == {}


def test_an_interrupted_run_takes_its_files_away(tmp_path: Path) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path, frames=3, seed=1, size=SIZE, on_frame=stop)
    assert list(tmp_path.iterdir()) == []
    write_dataset(tmp_path, frames=1, seed=1, size=SIZE)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to every folder")
def test_a_folder_without_the_right_to_write_is_a_data_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(DataError, match=r"can't write to .*set.*: Permission denied"):
        write_dataset(tmp_path / "set", frames=1, seed=1, size=SIZE)


def test_a_folder_below_a_file_is_a_data_error(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(DataError, match=r"can't write to .*: Not a directory"):
        write_dataset(tmp_path / "taken" / "set", frames=1, seed=1, size=SIZE)


def test_a_file_in_the_place_of_the_folder_is_a_data_error(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(DataError, match=r"can't write to .*taken"):
        write_dataset(tmp_path / "taken", frames=1, seed=1, size=SIZE)
