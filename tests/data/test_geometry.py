import cv2
import numpy as np
import pytest

from fetalseg.data.augment import AugmentOptions, augment, draw_geometry, plain
from fetalseg.data.coco import read_coco
from fetalseg.data.frames import AnnotatedFrame, load_frames
from fetalseg.data.geometry import around, compose, letterbox, place_shapes, visible_box, warp
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


def test_the_box_of_a_masked_structure_encloses_its_moved_mask_tightly(frames):
    options = AugmentOptions(degrees=40)
    for seed in range(40):
        sample = augment(frames[0], RULE, PROTOTYPES, options, np.random.default_rng(seed))
        for box, mask, has_mask in zip(sample.boxes, sample.masks, sample.has_mask, strict=True):
            if not has_mask:
                assert not mask.any()
                continue
            ys, xs = np.nonzero(mask)
            extent = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
            # A pixel belongs to a mask if its centre does: half a pixel of play, and the corners of a turned square.
            np.testing.assert_allclose(extent, box, atol=1.6)


def test_a_box_without_mask_is_exact_under_flip_zoom_and_shift(frames):
    options = AugmentOptions(degrees=0, degrees_boxes_only=0)
    frame = frames[0]
    for seed in range(20):
        matrix = draw_geometry(frame, RULE, options, np.random.default_rng(seed))
        box, visible = visible_box(frame.shapes[1].outline, matrix, (1000, 1000))
        corners = np.array([[5, 5, 1], [35, 11, 1]]) @ matrix[:2].T
        if visible == 1:
            np.testing.assert_allclose(box, [*corners.min(0), *corners.max(0)], atol=1e-3)


def test_frames_with_boxes_alone_turn_by_a_few_degrees_only(frames):
    options = AugmentOptions(degrees=30, degrees_boxes_only=3, flip_horizontal=0, flip_vertical=0, stretch=0)

    def largest_angle(frame: AnnotatedFrame) -> float:
        maps = [draw_geometry(frame, RULE, options, np.random.default_rng(seed)) for seed in range(50)]
        return float(max(abs(np.rad2deg(np.arctan2(m[1, 0], m[0, 0]))) for m in maps))

    assert frames[0].boxes_only
    assert largest_angle(frames[0]) <= 3
    assert not frames[1].boxes_only
    assert largest_angle(frames[1]) > 20


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


def test_augmentation_is_a_pure_function_of_frame_and_generator(frames):
    before = frames[0].image.copy()
    one, two = (augment(frames[0], RULE, PROTOTYPES, AugmentOptions(), np.random.default_rng(3)) for _ in range(2))

    np.testing.assert_array_equal(one.image, two.image)
    np.testing.assert_array_equal(one.boxes, two.boxes)
    np.testing.assert_array_equal(frames[0].image, before)


def test_appearance_never_leaves_the_type_or_the_size():
    everything = AugmentOptions(speckle_share=1, blur_share=1, shading_share=1, calipers_share=1)
    for level in (0, 255):
        frame = AnnotatedFrame(np.full((40, 60), level, np.uint8), (), np.ones(17, bool), 1, (40, 60))
        for seed in range(10):
            sample = augment(frame, RULE, PROTOTYPES, everything, np.random.default_rng(seed))
            assert sample.image.dtype == np.uint8
            assert sample.image.shape == (96, 128)
            assert sample.boxes.shape == (0, 4)
            assert sample.masks.shape == (0, *PROTOTYPES)


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
