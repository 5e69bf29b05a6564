"""Reading annotated frames: what is taken, and what each mistake is called."""

import hashlib
import json

import cv2
import numpy as np
import pytest

from fetalseg.anatomy import structure_names
from fetalseg.data.coco import read_coco, write_subset
from fetalseg.errors import DataError


def test_a_set_is_read_with_what_is_known_in_each_image(write_set, content):
    folder = write_set(content)
    found = read_coco(folder)

    assert found.name == "small"
    assert found.description == "two frames, CC0"
    assert found.sha256 == hashlib.sha256((folder / "instances.json").read_bytes()).hexdigest()
    first, second = found.images
    assert first.known == {0, 5}
    assert second.known == set(range(17))  # no list: every category of the file is annotated
    assert (first.patient, first.view, second.patient, second.view) == ("p1", None, "p2", "neck")
    assert first.annotations[0].bbox == (20, 10, 20, 20)
    np.testing.assert_array_equal(first.annotations[0].box(40, 60), [20, 10, 40, 30])
    assert found.has_masks
    assert found.subset([9, 8]).images == (second,)


def test_a_folder_stands_for_the_file_inside(write_set, content):
    folder = write_set(content)
    assert read_coco(folder) == read_coco(folder / "instances.json")


def test_categories_are_told_by_name_whatever_their_ids(write_set, content):
    content["categories"] = [{"id": 70, "name": "palate"}, {"id": 10, "name": "cranium"}]
    content["images"][0]["annotated_category_ids"] = [10]
    content["annotations"] = content["annotations"][:1]
    content["annotations"][0]["category_id"] = 10

    found = read_coco(write_set(content))

    assert found.category_ids == {4: 70, 0: 10}
    assert [image.known for image in found.images] == [{0}, {0, 4}]
    assert found.images[0].annotations[0].label == 0


def test_a_file_with_other_names_brings_its_own_structures_in_the_order_of_their_ids(write_set, content, caplog):
    content["categories"] = [{"id": 70, "name": "cystic hygroma"}, {"id": 4, "name": "yolk_sac"}]
    content["images"][0]["annotated_category_ids"] = [70]
    content["annotations"] = content["annotations"][:1]
    content["annotations"][0]["category_id"] = 70

    found = read_coco(write_set(content))

    assert found.structures == ("yolk_sac", "cystic hygroma")
    assert found.category_ids == {0: 4, 1: 70}
    assert [image.known for image in found.images] == [{1}, {0, 1}]
    assert found.images[0].annotations[0].label == 1
    assert not caplog.records


def test_names_of_ours_keep_our_order_and_one_foreign_name_among_them_is_pointed_out(write_set, content, caplog):
    assert read_coco(write_set(content)).structures == structure_names()
    assert not caplog.records
    content["categories"][0]["name"] = "crannium"
    found = read_coco(write_set(content, "slip"))
    assert found.structures == ("crannium", *structure_names()[1:])
    assert "'crannium' is not among the 17 known structures, so the file's 17 categories" in caplog.text


def test_an_annotation_that_is_not_listed_is_named_as_the_file_names_it(write_set, content):
    content["categories"] = [{"id": 1, "name": "yolk sac"}, {"id": 6, "name": "cord"}, {"id": 4, "name": "cyst"}]
    content["images"][0]["annotated_category_ids"] = [6]
    with pytest.raises(DataError, match="annotation 1 is a yolk sac, which image 7 doesn't list"):
        read_coco(write_set(content))


def test_an_empty_list_means_that_nothing_is_known(write_set, content):
    content["images"][0]["annotated_category_ids"] = []
    content["annotations"] = []

    found = read_coco(write_set(content))

    assert found.images[0].known == frozenset()
    assert not found.has_masks


def test_a_crowd_may_be_of_a_structure_that_is_not_listed(write_set, content):
    content["annotations"][1] |= {"category_id": 4, "iscrowd": 1}

    image = read_coco(write_set(content)).images[0]

    assert image.known == {0, 5}
    assert [annotation.crowd for annotation in image.annotations] == [False, True]


def test_masks_come_from_runs_and_polygons_and_a_box_alone_has_none(write_set, content):
    first, second = read_coco(write_set(content)).images

    runs = first.annotations[0].mask(40, 60)
    assert runs[10:30, 20:40].all()
    assert runs.sum() == 400
    assert first.annotations[1].mask(40, 60) is None
    polygon = second.annotations[0].mask(40, 60)
    # The ring follows pixel edges: 8 x 4 pixels lie inside.
    assert polygon[10:14, 10:18].all()
    assert polygon.sum() == 32


@pytest.mark.parametrize("segmentation", [{"size": [40, 60], "counts": [2400]}, [[3, 3, 3, 3, 3, 3]]])
def test_a_mask_without_a_pixel_names_its_annotation(write_set, content, segmentation):
    content["annotations"][0]["segmentation"] = segmentation
    annotation = read_coco(write_set(content)).images[0].annotations[0]

    with pytest.raises(DataError, match="annotation 1: the segmentation covers no pixel"):
        annotation.mask(40, 60)


def test_a_box_up_to_a_pixel_outside_is_cut_at_the_edge(write_set, content):
    content["annotations"][1]["bbox"] = [-1, 5, 62, 35.5]

    annotation = read_coco(write_set(content)).images[0].annotations[1]

    np.testing.assert_array_equal(annotation.box(40, 60), [0, 5, 60, 40])


@pytest.mark.parametrize("place", ["images", "."])
def test_images_are_found_in_their_folder_or_beside_the_file(write_set, content, place):
    folder = write_set(content, images=place)
    assert [image.path for image in read_coco(folder).images] == [folder / place / name for name in ("a.png", "b.png")]


def test_images_are_found_in_a_given_folder(write_set, content):
    folder = write_set(content, images="elsewhere")

    assert read_coco(folder, images=folder / "elsewhere").images[0].path == folder / "elsewhere" / "a.png"
    with pytest.raises(DataError, match=r"image 7: can't read a\.png: no such file; looked in .*images, .*small"):
        read_coco(folder)


def test_a_limit_keeps_the_first_images_and_does_not_ask_for_the_files_of_the_others(write_set, content):
    folder = write_set(content)
    (folder / "images" / "b.png").unlink()

    assert [image.id for image in read_coco(folder, limit=1).images] == [7]


def test_pixels_are_those_of_the_file_gray_or_colour(write_set, content):
    folder = write_set(content)
    colour = np.random.default_rng(1).integers(0, 256, (40, 60, 3), np.uint8)
    cv2.imwrite(str(folder / "images" / "b.png"), colour[:, :, ::-1])

    gray, rgb = (image.pixels() for image in read_coco(folder).images)

    assert gray.shape == (40, 60)
    np.testing.assert_array_equal(rgb, colour)


def _change(content, path, value):
    *way, last = path
    for key in way:
        content = content[key]
    if value is None:
        del content[last]
    else:
        content[last] = value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("categories", 0, "name"), " skull", "name of a structure must be 1 to 64 printable characters, got ' skull'"),
        (("categories", 0, "name"), 5, "name of a structure must be 1 to 64 printable characters, got 5"),
        (("categories", 0, "id"), "1", "category id '1' is not an integer"),
        (("categories", 1, "name"), "cranium", r"category 2 \(cranium\) occurs twice"),
        (("categories", 1, "id"), 1, "category 1 .* occurs twice"),
        (("categories",), 3, "is not a COCO file: its 'categories' is a int, expected a list"),
        (("categories",), None, "is not a COCO file: it has no 'categories', expected a list; it holds 'info', 'im"),
        (("categories", 0, "name"), None, "no key 'name' in a record; `fetalseg data check` names the record"),
        (("images", 1), "b.png", "in a record; `fetalseg data check` names the record"),
        (("images", 1, "id"), 7, "image id 7 occurs twice"),
        (("images", 0, "id"), 7.0, "image id 7.0 is not an integer"),
        (("images", 0, "width"), 0, "image 7: 0x40 is not a size in pixels"),
        (("images", 0, "height"), "40", "image 7: 60x40 is not a size in pixels"),
        (("images", 1, "width"), 61, r"image 9: .*b\.png is 60x40 px; its record says 61x40"),
        (("images", 0, "height"), None, "image 7: 60xNone is not a size in pixels"),
        (("images", 0, "file_name"), None, "image 7: file_name is None, expected the name of an image file"),
        (("images", 0, "file_name"), 3, "image 7: file_name is 3, expected the name of an image file"),
        (("images", 1, "view"), ["neck"], r"image 9: view is \['neck'\], expected a text"),
        (("images", 1, "patient"), "", "image 9: patient is '', expected a text or an integer that tells patients ap"),
        (("images", 1, "spacing_mm"), [0.1, float("inf")], r"image 9: spacing_mm is \[0.1, inf\], expected \[row, col"),
        (("images", 0, "annotated_category_ids"), [1, 6, 99], "image 7: annotated_category_ids holds 99"),
        (("annotations",), None, "is not a COCO file: it has no 'annotations', expected a list"),
        (("annotations", 1, "id"), 1, "annotation id 1 occurs twice"),
        (("annotations", 1, "image_id"), 8, "annotation 2 belongs to image 8, which is not in the file"),
        (("annotations", 1, "category_id"), 18, "annotation 2: category 18 is no category of the file"),
        (("annotations", 1, "category_id"), 4, "annotation 2 is a nasal_bone, which image 7 doesn't list"),
        (("annotations", 1, "iscrowd"), "0", "annotation 2: iscrowd is '0', expected 0 or 1"),
        (("annotations", 1, "bbox"), None, "annotation 2: bbox None is not x, y, width > 0"),
        (("annotations", 1, "bbox"), [5, 5, 30], r"annotation 2: bbox \[5, 5, 30\] is not x, y, width > 0"),
        (("annotations", 1, "bbox"), [5, 5, 0, 6], "annotation 2: bbox .* width > 0"),
        (("annotations", 1, "bbox"), [5, 5, "x", 6], "annotation 2: bbox .* width > 0"),
        (("annotations", 1, "bbox"), [5, 5, float("nan"), 6], "annotation 2: bbox .* width > 0"),
        (("annotations", 1, "bbox"), [50, 5, 30, 6], "annotation 2: bbox .* outside the 60x40 image"),
        (("annotations", 1, "bbox"), [5, -1.5, 30, 6], "annotation 2: bbox .* outside the 60x40 image"),
        (
            ("annotations", 0, "segmentation", "size"),
            [60, 40],
            r"annotation 1: RLE of size \[60, 40\], expected .*\[40, ",
        ),
        (("annotations", 0, "segmentation", "size"), None, "annotation 1: RLE of size None"),
        (("annotations", 0, "segmentation", "counts"), None, "annotation 1: RLE without counts"),
        (("annotations", 0, "segmentation", "counts"), [5, 5], "annotation 1: RLE covers 10 pixels"),
        (("annotations", 0, "segmentation", "counts"), "9P", "annotation 1: compressed RLE ends inside a run"),
        (("annotations", 2, "segmentation"), "a word", "annotation 3: segmentation is a str, expected RLE or polygons"),
        (("annotations", 2, "segmentation"), [[1, 2, 3, 4]], "annotation 3: a polygon needs at least 3 points"),
        (("annotations", 2, "segmentation"), [["x"] * 6], "annotation 3: a polygon needs at least 3 points"),
    ],
)
def test_an_inconsistent_file_is_refused_with_its_name_and_the_id(write_set, content, path, value, message):
    folder = write_set(content)
    _change(content, path, value)
    (folder / "instances.json").write_text(json.dumps(content))

    with pytest.raises(DataError, match=message) as caught:
        read_coco(folder)
    assert str(folder / "instances.json") in str(caught.value)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("{", "is not JSON"),
        ("", "is not JSON"),
        ("[]", "is not a COCO file"),
        ('{"categories": [], "images": [], "annotations": []}', "no images"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path, written, message):
    (tmp_path / "instances.json").write_text(written)
    with pytest.raises(DataError, match=message):
        read_coco(tmp_path)


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"can't read .*absent: No such file"):
        read_coco(tmp_path / "absent")


def test_a_set_is_called_like_its_folder_or_like_a_file_of_another_name(write_set, content, monkeypatch):
    folder = write_set(content)
    (folder / "train.json").write_bytes((folder / "instances.json").read_bytes())

    assert read_coco(folder / "train.json").name == "train"
    monkeypatch.chdir(folder)
    assert [read_coco(path).name for path in (".", "instances.json")] == ["small", "small"]


def test_a_file_from_windows_is_read_with_its_mark_of_byte_order_and_its_backslashes(write_set, content, tmp_path):
    folder = write_set(content)
    for image in content["images"]:
        image["file_name"] = "images\\" + image["file_name"]
    (folder / "instances.json").write_text("\ufeff" + json.dumps(content), encoding="utf-8")

    source = read_coco(folder)
    write_subset(source, [9], tmp_path / "part" / "instances.json")

    assert [image.path for image in source.images] == [folder / "images" / name for name in ("a.png", "b.png")]
    assert read_coco(tmp_path / "part").images[0].path == folder / "images" / "b.png"


@pytest.mark.parametrize("data", [b"", b"no image at all", b"\xff\xd8\xff\xe0 cut"])
def test_a_damaged_image_is_named_before_anything_runs(write_set, content, data):
    folder = write_set(content)
    (folder / "images" / "b.png").write_bytes(data)

    with pytest.raises(DataError, match=r"instances\.json: image 9: .*b\.png"):
        read_coco(folder)


def test_a_written_subset_is_a_set_of_its_own_wherever_it_lies(write_set, content, tmp_path):
    source = read_coco(write_set(content))
    write_subset(source, [9], tmp_path / "elsewhere" / "instances.json")

    found = read_coco(tmp_path / "elsewhere")
    assert found.images == source.images[1:]
    assert found.images[0].path.is_file()
    assert [a["id"] for a in json.loads((tmp_path / "elsewhere" / "instances.json").read_text())["annotations"]] == [3]
