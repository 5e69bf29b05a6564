import numpy as np
import pytest

from fetalseg.data.rle import decode_rle, decode_runs


def test_runs_go_down_the_columns_and_start_with_background():
    # 2 rows, 3 columns; three background pixels, two foreground, one background.
    mask = decode_rle([3, 2, 1], (2, 3))

    np.testing.assert_array_equal(mask, [[False, False, True], [False, True, False]])


def test_compressed_text_of_small_runs_is_one_character_each():
    # '0' is 48: the characters 3, 2, 1 are the runs themselves.
    assert decode_runs("321").tolist() == [3, 2, 1]


def test_a_run_above_fifteen_takes_two_digits_and_later_runs_are_differences():
    # 20 = 20 + 0 * 32: first digit 20 with the continuation bit 32 is chr(48 + 52) = 'd', then '0'.
    # The fourth run is coded as its difference to the second: 20 - 20 = 0.
    assert decode_runs("5d010").tolist() == [5, 20, 1, 20]


def test_a_negative_difference_is_sign_extended():
    # Second run 4, fourth run 1: difference -3 is 29 in five bits, chr(48 + 29) = 'M'.
    assert decode_runs("143M").tolist() == [1, 4, 3, 1]


def test_decoding_agrees_with_pycocotools_on_random_blobs():
    coco = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(4)
    for density in (0.02, 0.5, 0.98):
        mask = rng.random((37, 53)) < density
        text = coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]

        np.testing.assert_array_equal(decode_rle(text, (37, 53)), mask)


def test_an_empty_mask_is_one_run():
    assert not decode_rle([6], (2, 3)).any()


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([3, 2], "covers 5 pixels, expected 2 x 3 = 6"),
        ([7, -1], "negative run"),
        ("3 1", "outside"),
        ("32d", "ends inside a run"),
        ("d" * 9 + "0", "longer than any image"),
    ],
)
def test_malformed_runs_are_refused_with_the_reason(counts, message):
    with pytest.raises(ValueError, match=message):
        decode_rle(counts, (2, 3))
