"""Appearance: what each group does to grey levels, and what it leaves alone."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fetalseg.data.augment import AUGMENTATIONS, AugmentOptions, augment, plain
from fetalseg.data.augment_appearance import vary_grey, vary_resolution, vary_tissue
from fetalseg.data.augment_overlays import MAX_HIDDEN, draw_overlays, save_as_jpeg
from fetalseg.data.frames import AnnotatedFrame, Shape
from fetalseg.data.speckle import GRAIN, draw_speckle
from fetalseg.preprocess import InputRule

RULE = InputRule(height=96, width=128, channels=1)
PROTOTYPES = (24, 32)
EVERYTHING = AugmentOptions(
    **{name: 1.0 for name in vars(AugmentOptions()) if name.endswith("_share") and name != "mosaic_share"}
)


def scan(shape=(90, 120), seed=0):
    """Grey noise with one masked ellipse and one box alone."""
    rng = np.random.default_rng(seed)
    crop = np.zeros((30, 40), np.uint8)
    cv2.ellipse(crop, (20, 15), (19, 14), 0, 0, 360, 255, -1)
    hull = np.array([[20, 20], [60, 20], [60, 50], [20, 50]], np.float32)
    box = np.array([[70, 60], [110, 60], [110, 70], [70, 70]], np.float32)
    shapes = (Shape(0, hull, crop, (20, 20)), Shape(5, box, None, (0, 0)))
    return AnnotatedFrame(rng.integers(0, 256, shape, np.uint8), shapes, np.ones(17, bool), 1, shape)


def flat(level, shape=(96, 128)):
    return np.full(shape, level, np.uint8)


def generator(seed=0):
    return np.random.default_rng(seed)


def test_without_any_group_a_sample_is_what_serving_sees():
    for shape in ((90, 120), (90, 60), (300, 200)):
        frame = (
            scan((90, 120))
            if shape == (90, 120)
            else AnnotatedFrame(generator().integers(0, 256, shape, np.uint8), (), np.ones(17, bool), 1, shape)
        )
        expected = plain(frame, RULE, PROTOTYPES)
        found = augment(frame, RULE, PROTOTYPES, AugmentOptions().only(), generator())
        np.testing.assert_array_equal(found.image, expected.image)
        np.testing.assert_array_equal(found.boxes, expected.boxes)
        np.testing.assert_array_equal(found.masks, expected.masks)


@pytest.mark.parametrize("group", ["grey", "speckle", "shading", "blur", "overlays"])
def test_a_group_of_appearance_changes_the_image_and_nothing_else(group):
    frame = scan()
    before = frame.image.copy()
    expected = plain(frame, RULE, PROTOTYPES)
    samples = [augment(frame, RULE, PROTOTYPES, EVERYTHING.only(group), generator(seed)) for seed in range(6)]
    assert sum(not np.array_equal(s.image, expected.image) for s in samples) >= 5
    for sample in samples:
        np.testing.assert_array_equal(sample.boxes, expected.boxes)
        np.testing.assert_array_equal(sample.masks, expected.masks)
        np.testing.assert_array_equal(sample.known, expected.known)
    np.testing.assert_array_equal(frame.image, before)


def test_every_group_does_something_on_its_own():
    frame = scan()
    expected = plain(frame, RULE, PROTOTYPES).image
    for group in AUGMENTATIONS[:-1]:
        images = [augment(frame, RULE, PROTOTYPES, EVERYTHING.only(group), generator(seed)).image for seed in range(8)]
        assert any(not np.array_equal(image, expected) for image in images), group


def test_a_sample_depends_on_frame_options_and_seed_alone():
    one, two, other = (augment(scan(), RULE, PROTOTYPES, EVERYTHING, generator(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.image, two.image)
    np.testing.assert_array_equal(one.boxes, two.boxes)
    assert not np.array_equal(one.image, other.image)


@settings(max_examples=40, deadline=None)
@given(
    level=st.sampled_from([0, 1, 128, 255]),
    shape=st.tuples(st.integers(16, 200), st.integers(16, 200)),
    seed=st.integers(0, 10**6),
)
def test_any_frame_keeps_type_and_size(level, shape, seed):
    frame = AnnotatedFrame(flat(level, shape), (), np.ones(17, bool), 1, shape)
    sample = augment(frame, RULE, PROTOTYPES, EVERYTHING, generator(seed))
    assert (sample.image.dtype, sample.image.shape) == (np.uint8, (96, 128))
    assert (sample.boxes.shape, sample.masks.shape) == ((0, 4), (0, *PROTOTYPES))


def test_nothing_is_added_to_the_padding():
    rule = InputRule(height=96, width=128, channels=1, pad_value=7)
    frame = AnnotatedFrame(flat(90, (100, 40)), (), np.ones(17, bool), 1, (100, 40))
    options = EVERYTHING.only("speckle", "shading", "grey", "blur", "overlays")
    for seed in range(10):
        image = augment(frame, rule, PROTOTYPES, options, generator(seed)).image
        # 100 x 40 becomes 96 x 38 in the middle: columns 45 to 82; a pixel of play for the drawn edge.
        assert (image[:, :44] == 7).all()
        assert (image[:, 84:] == 7).all()


def test_speckle_has_the_grain_of_real_frames_and_no_mean():
    # Scales lie between 0.6 and 1.5; of many pieces the middle one has about the grain at scale 1.
    def width(row):
        spectrum = np.abs(np.fft.rfft(row - row.mean(axis=-1, keepdims=True), 2 * row.shape[-1])) ** 2
        acf = np.fft.irfft(spectrum.mean(axis=0))
        acf = acf / acf[0]
        lag = int(np.argmax(acf < 0.5))
        return 2 * (lag - 1 + (acf[lag - 1] - 0.5) / (acf[lag - 1] - acf[lag]))

    pieces = [draw_speckle((288, 416), generator(seed)) for seed in range(21)]
    assert np.median([width(piece) for piece in pieces]) == pytest.approx(GRAIN[1], rel=0.15)
    assert np.median([width(piece.T) for piece in pieces]) == pytest.approx(GRAIN[0], rel=0.15)
    assert np.mean([piece.mean() for piece in pieces]) == pytest.approx(0, abs=0.02)
    # Drawn between the pixels of a field, a piece is a little smoother than the field.
    assert np.mean([piece.std() for piece in pieces]) == pytest.approx(1, abs=0.06)


def test_speckle_is_as_strong_on_bright_as_on_dim_tissue_and_absent_where_nothing_was_received():
    options = AugmentOptions(speckle_share=1, speckle=10).only("speckle")

    def spread(level):
        return [float(vary_tissue(flat(level), options, generator(seed)).std()) for seed in range(10)]

    np.testing.assert_allclose(spread(80), spread(160), rtol=0.02)
    assert max(spread(80)) <= 10.5
    assert max(spread(0)) == 0
    assert np.mean(spread(10)) < 0.5 * np.mean(spread(80))


def test_shadows_fall_away_from_the_probe_and_turn_round_with_it():
    options = AugmentOptions(depth_share=0, haze_share=0, shadow_share=1).only("shading")
    down = up = 0.0
    for seed in range(60):
        below = vary_tissue(flat(150), options, generator(seed)).astype(float) - 150
        above = vary_tissue(flat(150), options, generator(seed), upside_down=True).astype(float) - 150
        np.testing.assert_allclose(above[::-1], below, atol=12)  # the field's own resolution is 8 px
        down, up = down + below[48:].sum(), up + below[:48].sum()
    assert down < 1.3 * up < 0


def test_haze_lifts_black_fluid_and_depth_gains_do_not():
    hazy = AugmentOptions(haze_share=1, depth_share=0, shadow_share=0).only("shading")
    deep = AugmentOptions(haze_share=0, depth_share=1, shadow_share=0).only("shading")
    assert all(vary_tissue(flat(0), hazy, generator(seed)).max() >= 2 for seed in range(10))
    assert all(vary_tissue(flat(0), deep, generator(seed)).max() == 0 for seed in range(10))
    rows = [np.ptp(vary_tissue(flat(120), deep, generator(seed)).mean(1)) for seed in range(10)]
    columns = [np.ptp(vary_tissue(flat(120), deep, generator(seed)).mean(0)) for seed in range(10)]
    assert min(rows) > 3
    assert max(columns) == 0


def test_grey_maps_rise_and_keep_black_black():
    ramp = np.arange(256, dtype=np.uint8)[None].repeat(16, 0)
    for seed in range(50):
        found = vary_grey(ramp, AugmentOptions(), generator(seed))[0].astype(int)
        assert (np.diff(found) >= 0).all()
        assert found[0] == 0


def test_gain_alone_is_a_sum_and_dynamic_range_alone_pivots_at_white():
    off = vars(AugmentOptions().only())
    gained = vary_grey(flat(100), AugmentOptions(**{**off, "gain": 20.0}), generator(1))
    lifted = vary_grey(flat(150), AugmentOptions(**{**off, "gain": 20.0}), generator(1))
    assert int(gained[0, 0]) - 100 == int(lifted[0, 0]) - 150 != 0
    wider = AugmentOptions(**{**off, "dynamic_range": 0.5})
    assert (vary_grey(flat(255), wider, generator(2)) == 255).all()
    # 255 - 105 and 255 - 205: distances from white keep their ratio of 3.
    far, near = (255 - int(vary_grey(flat(level), wider, generator(2))[0, 0]) for level in (105, 205))
    assert far == pytest.approx(3 * near, abs=3)
    assert far != 150


def test_resolution_blur_and_smoothing_take_detail_away_and_sharpening_adds_it():
    noise = generator(9).integers(60, 180, (96, 128)).astype(np.uint8)

    def detail(**share):
        options = AugmentOptions(**{**vars(AugmentOptions().only()), **share})
        return [float(cv2.Laplacian(vary_resolution(noise, options, generator(s)), cv2.CV_32F).std()) for s in range(6)]

    (before,) = set(detail())
    assert max(detail(resolution_share=1.0)) < before
    assert max(detail(blur_share=1.0)) < before
    assert max(detail(smoothing_share=1.0)) < before
    assert min(detail(sharpen_share=1.0)) > before


def test_jpeg_changes_a_little_everywhere_and_keeps_the_picture():
    smooth = np.asarray(cv2.GaussianBlur(generator(1).integers(0, 256, (96, 128), np.uint8), (0, 0), 3), np.uint8)
    found = save_as_jpeg(smooth, EVERYTHING, generator())
    assert not np.array_equal(found, smooth)
    assert np.abs(found.astype(int) - smooth).mean() < 4
    assert save_as_jpeg(smooth, AugmentOptions().only(), generator()) is smooth


def test_overlays_leave_the_given_image_alone_and_hide_little_of_a_structure():
    image = flat(100)
    boxes = np.array([[20, 20, 60, 40], [80, 60, 120, 66]], np.float32)
    options = AugmentOptions(**{**vars(AugmentOptions().only()), "erase_share": 1.0, "overview_share": 1.0})
    changed = 0
    for seed in range(60):
        found = draw_overlays(image, boxes, options, generator(seed))
        changed += not np.array_equal(found, image)
        hidden = found != 100
        for x1, y1, x2, y2 in boxes.astype(int):
            # The empty box and the small picture may each take their share.
            assert hidden[y1:y2, x1:x2].mean() <= 2 * MAX_HIDDEN
    assert changed > 50
    assert (image == 100).all()


def test_calipers_stand_on_structures_and_elsewhere():
    boxes = np.array([[40, 40, 80, 60]], np.float32)
    options = AugmentOptions(**{**vars(AugmentOptions().only()), "calipers_share": 1.0})
    marks = [draw_overlays(flat(0), boxes, options, generator(seed)) > 0 for seed in range(40)]
    edges = [mark[38:42, 38:82].any() or mark[58:62, 38:82].any() for mark in marks]
    assert 5 < sum(edges) < 40
    assert all(mark.any() for mark in marks)
