"""Geometry, for any frame and any draw: boxes follow masks, image and masks move together, boxes alone stay tight."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fetalseg.data.augment import AugmentOptions, augment
from fetalseg.data.augment_geometry import draw_geometry, rotation_limit
from fetalseg.data.frames import AnnotatedFrame, Shape
from fetalseg.data.geometry import visible_box
from fetalseg.preprocess import FrameGeometry, InputRule

RULE = InputRule(height=96, width=128, channels=1)
PROTOTYPES = (96, 128)  # the input's own size, so that masks can be compared with boxes to the pixel
GEOMETRY = AugmentOptions(degrees=180, crop_share=0.4).only("flip", "geometry", "crop")
KNOWN = np.ones(17, np.bool_)


def masked(mask, label=0):
    """A frame that shows its one mask as white on black."""
    ys, xs = np.nonzero(mask)
    top, left = ys.min(), xs.min()
    crop = mask[top : ys.max() + 1, left : xs.max() + 1]
    corners = np.concatenate([np.stack([xs + i, ys + j], 1) for i in (0, 1) for j in (0, 1)]).astype(np.float32)
    hull = np.asarray(cv2.convexHull(corners).reshape(-1, 2), np.float32)
    image = (mask * 255).astype(np.uint8)
    return AnnotatedFrame(
        image, (Shape(label, hull, crop.astype(np.uint8) * 255, (int(left), int(top))),), KNOWN, 1, mask.shape
    )


def boxed(*boxes, shape=(90, 120)):
    """A frame with boxes alone, each an ellipse."""
    angle = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    unit = np.stack([np.cos(angle), np.sin(angle)], 1)
    shapes = tuple(
        Shape(5, (np.array([x + w / 2, y + h / 2]) + unit * [w / 2, h / 2]).astype(np.float32), None, (0, 0))
        for x, y, w, h in boxes
    )
    return AnnotatedFrame(np.full(shape, 50, np.uint8), shapes, KNOWN, 1, shape)


@st.composite
def polygons(draw):
    """A frame of 40..120 px whose mask is a filled polygon, convex or not."""
    height, width = draw(st.integers(40, 120)), draw(st.integers(40, 120))
    points = draw(st.lists(st.tuples(st.integers(0, width - 1), st.integers(0, height - 1)), min_size=3, max_size=8))
    canvas = np.zeros((height, width), np.uint8)
    cv2.fillPoly(canvas, [np.array(points, np.int32)], 1)
    return canvas


@settings(max_examples=150, deadline=None)
@given(mask=polygons(), seed=st.integers(0, 10**6))
def test_the_box_of_a_masked_structure_encloses_its_moved_mask(mask, seed):
    sample = augment(masked(mask), RULE, PROTOTYPES, GEOMETRY, np.random.default_rng(seed))

    for box, moved in zip(sample.boxes, sample.masks, strict=True):
        assert box[0] >= 0
        assert box[1] >= 0
        assert box[2] <= RULE.width
        assert box[3] <= RULE.height
        ys, xs = np.nonzero(moved)
        if len(ys):
            # A pixel belongs to a mask if its centre does; corners of turned pixels reach up to 0.7 px beyond.
            assert xs.min() >= box[0] - 1.6
            assert ys.min() >= box[1] - 1.6
            assert xs.max() + 1 <= box[2] + 1.6
            assert ys.max() + 1 <= box[3] + 1.6


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    centre=st.tuples(st.integers(25, 95), st.integers(25, 65)),
    axes=st.tuples(st.integers(6, 24), st.integers(6, 24)),
)
def test_the_box_of_a_compact_structure_is_tight_on_every_side(seed, centre, axes):
    mask = np.zeros((90, 120), np.uint8)
    cv2.ellipse(mask, centre, axes, 20, 0, 360, 1, -1)
    sample = augment(masked(mask), RULE, PROTOTYPES, GEOMETRY, np.random.default_rng(seed))
    for box, moved in zip(sample.boxes, sample.masks, strict=True):
        ys, xs = np.nonzero(moved)
        np.testing.assert_allclose([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], box, atol=1.6)


@settings(max_examples=80, deadline=None)
@given(mask=polygons(), seed=st.integers(0, 10**6))
def test_the_image_moves_with_the_mask(mask, seed):
    sample = augment(masked(mask), RULE, PROTOTYPES, GEOMETRY, np.random.default_rng(seed))

    for moved in sample.masks:
        # The frame shows its mask, so the bright pixels of the sample are the mask's but for its soft edge.
        apart = cv2.erode(moved, np.ones((3, 3), np.uint8)) & (sample.image < 127)
        beyond = (1 - cv2.dilate(moved, np.ones((3, 3), np.uint8))) & (sample.image > 127)
        assert not apart.any()
        assert not beyond.any()


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    box=st.tuples(st.integers(0, 60), st.integers(0, 50), st.integers(4, 50), st.integers(4, 35)),
)
def test_a_box_alone_is_exact_under_flip_zoom_stretch_and_shift(seed, box):
    frame = boxed(box)
    options = AugmentOptions(degrees=0)
    matrix = draw_geometry(frame, RULE, options, np.random.default_rng(seed))
    placed, visible = visible_box(frame.shapes[0].outline, matrix, (1000, 1000))
    x, y, w, h = box
    corners = np.array([[x, y, 1], [x + w, y + h, 1]]) @ matrix[:2].T
    if visible == 1:
        np.testing.assert_allclose(placed, [*corners.min(0), *corners.max(0)], atol=1e-3)


@pytest.mark.parametrize("size", [(263, 34), (99, 63), (37, 12), (20, 90)])
def test_boxes_alone_turn_only_while_any_band_inside_keeps_its_box_to_the_stated_iou(size):
    width, height = size
    frame = boxed((20, 20, width, height), shape=(400, 400))
    limit = math.radians(rotation_limit(frame, AugmentOptions(degrees=45, box_iou=0.8)))
    cos, sin = math.cos(limit), math.sin(limit)
    # The box that is learnt: that of the turned ellipse.
    learnt = np.array([math.hypot(width * cos, height * sin), math.hypot(width * sin, height * cos)])
    for true in (
        np.array([width * cos - height * sin, width * sin + height * cos]),  # a line along one diagonal
        np.array([width * cos + height * sin, abs(height * cos - width * sin)]),  # along the other
    ):
        # Both boxes have the same centre.
        inner = float(np.prod(np.minimum(learnt, true)))
        iou = inner / (float(np.prod(learnt)) + float(np.prod(true)) - inner)
        assert iou >= 0.795  # 0.8, and the ratio of the sides is rounded
    assert limit > math.radians(1)


def test_the_narrowest_box_of_a_frame_sets_its_limit_and_masks_set_none():
    options = AugmentOptions(degrees=20, box_iou=0.8)
    # A square of side 1 and a turn by 6.68 degrees: the ellipse's box stays, a diagonal's is 0.9932 - 0.1163 = 0.8769
    # by 0.9932 + 0.1163 = 1.1095. IoU 0.8769 / (1 + 0.8769 * 1.1095 - 0.8769) = 0.80.
    assert rotation_limit(boxed((0, 0, 40, 40)), options) == pytest.approx(6.68, abs=0.05)
    assert rotation_limit(boxed((0, 0, 40, 40), (0, 0, 80, 8)), options) < 1.1
    mask = np.zeros((90, 120), np.uint8)
    mask[40:44, 10:110] = 1
    assert rotation_limit(masked(mask), options) == 20
    assert rotation_limit(boxed(), options) == 20
    assert rotation_limit(boxed((0, 0, 40, 40)), AugmentOptions(box_iou=1)) == pytest.approx(0, abs=1e-3)


def test_frames_turn_as_far_as_their_limit_either_way():
    def angles(frame):
        options = AugmentOptions(degrees=30, stretch=0).only("geometry")
        maps = [draw_geometry(frame, RULE, options, np.random.default_rng(seed)) for seed in range(60)]
        return [math.degrees(math.atan2(m[1, 0], m[0, 0])) for m in maps]

    narrow = angles(boxed((0, 0, 80, 8)))
    assert 0.5 < max(narrow) < 1.2
    assert -1.2 < min(narrow) < -0.5
    mask = np.zeros((90, 120), np.uint8)
    mask[40:50, 10:110] = 1
    wide = angles(masked(mask))
    assert max(wide) > 25
    assert min(wide) < -25


def test_a_crop_enlarges_and_shows_nothing_but_the_frame():
    frame = boxed(shape=(90, 120))
    options = AugmentOptions(crop_share=1, crop_zoom=2).only("crop")
    scale = FrameGeometry.of((90, 120), RULE).scale
    for seed in range(40):
        matrix = draw_geometry(frame, RULE, options, np.random.default_rng(seed))
        assert 1.2 <= matrix[0, 0] / scale[1] <= 2
        corners = np.array([[0, 0, 1], [120, 90, 1]]) @ matrix[:2].T
        assert (corners[0] <= 1e-9).all()
        assert (corners[1] >= np.array([128, 96]) - 1e-9).all()


def test_crops_cut_some_structures_and_what_is_cut_too_far_is_not_known():
    mask = np.zeros((90, 120), np.uint8)
    mask[20:70, 30:90] = 1
    frame, options = masked(mask), AugmentOptions(crop_share=1).only("crop")
    samples = [augment(frame, RULE, PROTOTYPES, options, np.random.default_rng(seed)) for seed in range(60)]

    cut = [s for s in samples if len(s.boxes) and (s.boxes[0, :2] == 0).any()]
    assert cut
    # Wherever it isn't learnt, something of it is still in the picture, so it isn't a negative either.
    assert all(not s.known[0] for s in samples if len(s.boxes) == 0)
    assert all(s.known[1:].all() for s in samples)


def test_the_probability_of_each_flip_is_kept():
    frame, options = boxed(), AugmentOptions(flip_horizontal=0.5, flip_vertical=0.25).only("flip")
    maps = [draw_geometry(frame, RULE, options, np.random.default_rng(seed)) for seed in range(2000)]
    # Three standard deviations of a share are 0.034 and 0.029.
    assert np.mean([m[0, 0] < 0 for m in maps]) == pytest.approx(0.5, abs=0.034)
    assert np.mean([m[1, 1] < 0 for m in maps]) == pytest.approx(0.25, abs=0.029)


def test_switching_a_group_off_leaves_the_draws_of_the_others():
    mask = np.zeros((90, 120), np.uint8)
    mask[20:70, 30:90] = 1
    frame, options = masked(mask), AugmentOptions(flip_horizontal=0, flip_vertical=0, crop_share=0)
    for seed in range(10):
        both = draw_geometry(frame, RULE, options, np.random.default_rng(seed))
        alone = draw_geometry(frame, RULE, options.without("flip", "crop", "speckle"), np.random.default_rng(seed))
        np.testing.assert_array_equal(both, alone)
