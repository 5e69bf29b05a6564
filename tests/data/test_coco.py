import json

import numpy as np
import pytest

from fetalseg.data.coco import read_coco, write_subset
from fetalseg.errors import DataError


def test_a_set_is_read_with_what_is_known_in_each_image(write_set, content):
    found = read_coco(write_set(content))

    assert found.name == "small"
    assert found.description == "two frames, CC0"
    first, second = found.images
    assert np.flatnonzero(first.known).tolist() == [0, 5]
    assert second.known.all()  # no list: every category of the file is annotated
    assert (first.patient, second.view) == ("p1", "neck")
    np.testing.assert_array_equal(first.annotations[0].box, [20, 10, 40, 30])


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
        (("annotations", 1, "bbox"), [50, 5, 30, 6], "annotation 2: bbox .* outside the 60x40 image"),
        (("annotations", 1, "bbox"), [5, 5, 0, 6], "annotation 2: bbox .* width > 0"),
        (("annotations", 1, "category_id"), 18, "annotation 2: category 18, expected 1..17"),
        (("annotations", 1, "category_id"), 4, "image 7: annotation 2 is a nasal_bone, not in annotated_category_ids"),
        (("annotations", 1, "image_id"), 8, "annotation 2 belongs to image 8, which is not in the file"),
        (("annotations", 1, "id"), 1, "annotation 1 occurs twice"),
        (("annotations", 0, "segmentation", "size"), [60, 40], r"annotation 1: RLE of size \[60, 40\]"),
        (("annotations", 2, "segmentation"), [[1, 2, 3, 4]], "annotation 3: a polygon needs at least 3 points"),
        (("images", 1, "id"), 7, "two images share an id"),
        (("images", 0, "width"), 0, "image 7: size 0x40"),
        (("images", 0, "annotated_category_ids"), [1, 6, 99], "image 7: annotated_category_ids holds 99"),
        (("categories", 0, "name"), "skull", "category 1 is called 'skull', expected cranium"),
        (("images", 0, "file_name"), None, "not a COCO file: KeyError 'file_name'"),
        (("annotations",), None, "not a COCO file"),
    ],
)
def test_an_inconsistent_file_is_refused_with_its_name_and_the_id(write_set, content, path, value, message):
    _change(content, path, value)
    folder = write_set(content)

    with pytest.raises(DataError, match=message) as caught:
        read_coco(folder)
    assert str(folder / "instances.json") in str(caught.value)


def test_a_malformed_mask_names_its_annotation(write_set, content):
    content["annotations"][0]["segmentation"]["counts"] = [5, 5]
    found = read_coco(write_set(content))

    with pytest.raises(DataError, match="annotation 1: RLE covers 10 pixels"):
        found.images[0].annotations[0].mask(40, 60)


def test_a_missing_or_broken_file_is_a_clear_error(tmp_path):
    with pytest.raises(DataError, match=r"can't read .*No such file"):
        read_coco(tmp_path / "absent")
    (tmp_path / "instances.json").write_text("{")
    with pytest.raises(DataError, match="is not JSON"):
        read_coco(tmp_path)


def test_a_written_subset_is_a_set_of_its_own_wherever_it_lies(write_set, content, tmp_path):
    source = read_coco(write_set(content))
    write_subset(source, [9], tmp_path / "elsewhere" / "instances.json")

    found = read_coco(tmp_path / "elsewhere")
    assert [image.id for image in found.images] == [9]
    assert found.images[0].path.is_file()
    assert [a["id"] for a in json.loads((tmp_path / "elsewhere" / "instances.json").read_text())["annotations"]] == [3]
