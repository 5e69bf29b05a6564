import cv2
import numpy as np
import pytest

from fetalseg.data.augment import plain
from fetalseg.data.coco import read_coco
from fetalseg.data.frames import load_frames
from fetalseg.data.geometry import around, compose, letterbox, place_shapes, warp
from fetalseg.errors import DataError
from fetalseg.preprocess import FrameGeometry, InputRule, prepare

RULE = InputRule(height=96, width=128, channels=1)
PROTOTYPES = (96, 128)  # at the input's own size, so that masks can be compared with boxes to the pixel


@pytest.fixture
def frames(write_set, content):
    return load_frames(read_coco(write_set(content)), RULE)


def test_two_flips_are_the_identity():
    flip = around((64, 48), scale=(-1, 1))

    np.testing.assert_allclose(compose(flip, flip), np.eye(3), atol=1e-12)
    image = np.random.default_rng(0).integers(0, 256, (96, 128), np.uint8)
    np.testing.assert_array_equal(warp(warp(image, flip, (96, 128)), flip, (96, 128)), image)
    np.testing.assert_array_equal(warp(image, flip, (96, 128)), image[:, ::-1])


def test_a_quarter_turn_takes_right_to_down_on_the_screen():
    turn = around((10, 10), degrees=90)

    np.testing.assert_allclose(turn @ [13, 10, 1], [10, 13, 1], atol=1e-12)


def test_the_plain_map_is_that_of_serving(frames):
    frame = frames[0]
    expected, geometry = prepare(frame.image, RULE)

    sample = plain(frame, RULE, PROTOTYPES)

    boxes = np.array([[20, 10, 40, 30], [5, 5, 35, 11]], np.float32)
    np.testing.assert_allclose(sample.boxes, geometry.boxes_to_input(boxes), rtol=1e-6)
    # Enlarging is bilinear in both; they differ by rounding only.
    difference = np.abs(sample.image.astype(int) - expected[:, :, 0])
    assert np.median(difference) <= 1


def test_letterbox_agrees_with_frame_geometry_for_either_resize_rule():
    for resize in ("letterbox", "stretch"):
        rule = InputRule(height=96, width=128, channels=1, resize=resize)
        boxes = np.array([[3, 4, 50, 20]], np.float32)
        matrix = letterbox((40, 60), rule)
        corners = boxes.reshape(2, 2) @ matrix[:2, :2].T + matrix[:2, 2]

        np.testing.assert_allclose(
            corners.ravel(), FrameGeometry.of((40, 60), rule).boxes_to_input(boxes)[0], rtol=1e-6
        )


def test_a_structure_cut_to_less_than_half_is_no_longer_known(frames):
    frame = frames[0]
    canvas = np.zeros((40, 60), np.uint8)

    # The cranium's columns 20..39 move to -15..4: a quarter stays.
    cut = place_shapes(frame, around((0, 0), shift=(-35, 0)), canvas, (40, 60))
    assert 0 not in cut.labels
    assert not cut.known[0]
    # At -40..-21 nothing of it is in the frame: it is absent, and that is known.
    gone = place_shapes(frame, around((0, 0), shift=(-60, 0)), canvas, (40, 60))
    assert 0 not in gone.labels
    assert gone.known[0]
    # At -5..14 three quarters stay, and the box ends at the frame's edge.
    kept = place_shapes(frame, around((0, 0), shift=(-25, 0)), canvas, (40, 60))
    np.testing.assert_array_equal(kept.boxes[kept.labels == 0], [[0, 10, 15, 30]])


def test_a_box_alone_is_learnt_only_while_most_of_it_is_visible(frames):
    canvas = np.zeros((40, 60), np.uint8)
    # The translucency's ellipse of 30 px from column 5 on: cut at 30 %, 0.75 of its area stay; at 20 %, 0.86.
    cut = place_shapes(frames[0], around((0, 0), shift=(-14, 0)), canvas, (40, 60))
    assert 5 not in cut.labels
    assert not cut.known[5]
    kept = place_shapes(frames[0], around((0, 0), shift=(-11, 0)), canvas, (40, 60))
    np.testing.assert_allclose(kept.boxes[kept.labels == 5], [[0, 5, 24, 11]], atol=1e-5)
    assert kept.known[5]


def test_the_box_of_a_cut_structure_is_that_of_its_visible_mask_not_of_its_hull(write_set, content):
    # An L: columns 10..13 of rows 10..29, and columns 10..39 of rows 26..29. From column 15 on, 100 of 184 px are left.
    ring = [10, 10, 14, 10, 14, 26, 40, 26, 40, 30, 10, 30]
    content["annotations"] = [content["annotations"][2] | {"bbox": [10, 10, 30, 20], "segmentation": [ring]}]
    frame = load_frames(read_coco(write_set(content)), RULE)[1]

    # The upper arm is out of sight: the hull would still reach above the lower one.
    sample = place_shapes(frame, around((0, 0), shift=(-15, 0)), np.zeros((40, 60), np.uint8), (40, 60))

    np.testing.assert_array_equal(sample.boxes, [[0, 26, 25, 30]])


def test_a_large_frame_is_kept_at_one_and_a_half_times_the_network(write_set, content):
    small = InputRule(height=10, width=15, channels=1)

    frame = load_frames(read_coco(write_set(content)), small)[0]

    # 60 x 40 shrinks to 22 x 15 (1.5 times 15 x 10); the cranium keeps its third of the width.
    assert frame.image.shape == (15, 22)
    low, high = frame.shapes[0].outline.min(0), frame.shapes[0].outline.max(0)
    np.testing.assert_allclose([*low, *high], [20 * 22 / 60, 10 * 15 / 40, 40 * 22 / 60, 30 * 15 / 40], rtol=1e-6)
    assert frame.source_shape == (40, 60)


@pytest.mark.parametrize("listed", [[1, 6], [6]])
def test_a_crowd_region_makes_its_structure_unknown(write_set, content, listed):
    content["annotations"][0]["iscrowd"] = 1
    content["images"][0]["annotated_category_ids"] = listed

    frame = load_frames(read_coco(write_set(content)), RULE)[0]

    assert not frame.known[0]
    assert [shape.label for shape in frame.shapes] == [5]


def test_image_files_that_change_after_the_set_was_read_are_named(write_set, content):
    folder = write_set(content)
    path = folder / "images" / "b.png"
    source = read_coco(folder)
    path.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"instances.json: image 9: .*b.png: not a JPEG, PNG or BMP image"):
        load_frames(source, RULE)
    path.unlink()
    with pytest.raises(DataError, match=r"image 9: can't read .*b.png: No such file"):
        load_frames(source, RULE)
    cv2.imwrite(str(path), np.zeros((41, 60), np.uint8))
    with pytest.raises(DataError, match=r"image 9: .*b.png is 60x41 px; its record says 60x40"):
        load_frames(source, RULE)


def test_a_colour_image_becomes_gray_as_serving_makes_it(write_set, content):
    folder = write_set(content)
    colour = np.random.default_rng(1).integers(0, 256, (40, 60, 3), np.uint8)
    cv2.imwrite(str(folder / "images" / "a.png"), colour[:, :, ::-1])

    frame = load_frames(read_coco(folder), RULE)[0]

    expected, _ = prepare(colour, InputRule(height=40, width=60, channels=1))
    np.testing.assert_array_equal(frame.image, expected[:, :, 0])
