"""Which images are taken for one and the same."""

import cv2
import numpy as np
import pytest

from fetalseg.data.fingerprints import TURNS, fingerprint, likenesses


def picture(seed, shape=(216, 320)):
    """Smooth random clouds, as different from each other as frames of different fetuses."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (9, 13)).astype(np.uint8)
    return np.asarray(cv2.resize(small, shape[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


def found(first, second):
    return list(likenesses([fingerprint(image) for image in first], [fingerprint(image) for image in second]))


def test_the_same_pixels_are_identical_and_other_pictures_are_not_alike():
    (one,) = found([picture(0)], [picture(1), picture(0), picture(2)])

    assert (one.first, one.second, one.turn, one.identical) == (0, 1, "as it is", True)
    assert one.correlation == pytest.approx(1)


def jpeg(image):
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 30])[1], cv2.IMREAD_GRAYSCALE)


@pytest.mark.parametrize(
    "change",
    [
        jpeg,
        lambda image: cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
        lambda image: np.clip(image * 1.2 + 10.0, 0, 255).astype(np.uint8),
        lambda image: (255 * (image / 255) ** 0.8).astype(np.uint8),
        lambda image: np.repeat(image[:, :, None], 3, axis=2),
    ],
    ids=["compressed", "halved", "brighter", "gamma", "in colour"],
)
def test_another_version_of_a_picture_is_alike_and_not_identical(change):
    (one,) = found([picture(0)], [change(picture(0))])

    assert one.turn == "as it is"
    assert one.correlation > 0.95
    assert not one.identical


@pytest.mark.parametrize(
    ("turn", "turned"),
    [
        ("mirrored", lambda image: image[:, ::-1]),
        ("upside down", lambda image: image[::-1]),
        ("turned by 180 degrees", lambda image: image[::-1, ::-1]),
    ],
)
def test_a_flipped_picture_is_found_with_its_turn(turn, turned):
    (one,) = found([picture(3)], [turned(picture(3))])

    assert one.turn == turn
    assert one.correlation == pytest.approx(1, abs=1e-3)
    assert not one.identical


def test_no_pair_of_many_different_pictures_is_alike():
    prints = [fingerprint(picture(seed)) for seed in range(100)]

    assert list(likenesses(prints)) == []


def test_within_one_list_each_pair_is_told_once():
    prints = [fingerprint(picture(seed)) for seed in (0, 1, 0, 0)]

    assert [(one.first, one.second) for one in likenesses(prints)] == [(0, 2), (0, 3), (2, 3)]


def test_black_frames_are_alike_only_if_they_are_identical():
    small, large = np.zeros((40, 60), np.uint8), np.zeros((80, 120), np.uint8)

    assert [one.identical for one in found([small], [large, small])] == [True]


def test_no_images_have_no_likeness():
    assert found([], [picture(0)]) == []
    assert found([picture(0)], []) == []
    assert list(likenesses([])) == []


def test_pairs_come_by_the_first_image_also_across_blocks(monkeypatch):
    monkeypatch.setattr("fetalseg.data.fingerprints._BLOCK", 2)
    images = [picture(seed) for seed in range(5)]

    assert [(one.first, one.second) for one in found(images, images[::-1])] == [(i, 4 - i) for i in range(5)]


def test_the_image_is_left_as_it_is():
    image = picture(0)
    before = image.copy()

    assert len(fingerprint(image).hashes) == len(TURNS)
    np.testing.assert_array_equal(image, before)
