"""Which frames come onto a contact sheet, and what is drawn."""

import numpy as np
import pytest

from fetalseg.data.coco import read_coco
from fetalseg.data.contact_sheet import choose_frames, contact_sheet, truth_instances
from fetalseg.errors import DataError


@pytest.fixture
def source(write_set, content):
    return read_coco(write_set(content))


@pytest.fixture
def many(write_set, content):
    content["annotations"] = []
    content["images"] = [{"id": i, "file_name": f"{i}.png", "height": 40, "width": 60} for i in range(40)]
    return read_coco(write_set(content, "many"))


def test_frames_are_chosen_by_seed_and_kept_in_the_order_of_the_file(many):
    ids = [image.id for image in choose_frames(many, 10, seed=1)]

    assert len(ids) == 10
    assert ids == sorted(ids)
    assert ids == [image.id for image in choose_frames(many, 10, seed=1)]
    assert ids != [image.id for image in choose_frames(many, 10, seed=2)]
    assert len(choose_frames(many, 100)) == 40


def test_frames_are_chosen_by_structure_and_view(source):
    assert [image.id for image in choose_frames(source, 9, structure="nasal_bone")] == [9]
    assert [image.id for image in choose_frames(source, 9, structure="cranium")] == [7]
    assert [image.id for image in choose_frames(source, 9, view="neck")] == [9]


def test_a_choice_without_frames_says_what_there_is(source):
    with pytest.raises(DataError, match="no image with spine; there are 2, of the views: neck, none"):
        choose_frames(source, 9, structure="spine")
    with pytest.raises(DataError, match="no image with cranium and of view neck"):
        choose_frames(source, 9, structure="cranium", view="neck")
    with pytest.raises(ValueError, match="unknown structure 'skull'; the set has cranium, "):
        choose_frames(source, 9, structure="skull")
    with pytest.raises(ValueError, match="must be 1 to 500, got 0"):
        choose_frames(source, 0)


def test_annotations_become_instances_with_their_masks(source):
    instances = truth_instances(source.images[0], source.structures)

    assert instances.names == ["cranium", "nuchal_translucency"]
    assert instances.masks.sum(axis=(1, 2)).tolist() == [400, 0]  # 20 x 20 px; a box alone has no mask
    np.testing.assert_array_equal(instances.boxes, [[20, 10, 40, 30], [5, 5, 35, 11]])


def test_a_mask_beyond_its_box_is_shown_whole(write_set, content):
    content["annotations"][0]["bbox"] = [25, 15, 5, 5]
    source = read_coco(write_set(content))

    assert truth_instances(source.images[0], source.structures).masks[0].sum() == 400


def test_the_sheet_shows_annotations_in_their_colours_and_plain_frames_without(source):
    sheet = contact_sheet(source, source.images)
    plain = contact_sheet(source, source.images, overlays=False)

    def colourful(picture):
        return np.ptp(picture[:260].astype(int), axis=2) > 60  # above captions and key

    assert colourful(sheet).sum() > 1000
    assert colourful(plain).sum() == 0
    assert sheet.dtype == np.uint8
    assert sheet.shape[1] == plain.shape[1] == 6 + 2 * 406  # two frames side by side
    assert sheet.shape[0] == plain.shape[0] + 22  # the key of the colours


def test_a_single_frame_without_annotations_makes_a_sheet(many):
    assert contact_sheet(many, many.images[:1]).shape[1] == 6 + 406


def test_an_unreadable_image_names_the_set_and_the_file(source):
    source.images[0].path.write_bytes(b"")

    with pytest.raises(DataError, match=r"instances\.json: image 7: .*a\.png"):
        contact_sheet(source, source.images)
