import numpy as np
import pytest

from fetalseg.candidates import Candidates
from fetalseg.errors import EngineError
from fetalseg.export.verify import Difference, check_differences, compare, noise_frames, structured_frames
from fetalseg.model import variant


@pytest.fixture
def reference():
    """Eight anchors of one frame, three structures."""
    rng = np.random.default_rng(0)
    shapes = ((1, 8, 3), (1, 8, 4), (1, 8, 2), (1, 2, 4, 4))
    return Candidates(*(rng.random(shape).astype(np.float32) for shape in shapes))


def best(reference, count):
    """What a right export keeps of it, worst first."""
    keys = (reference.scores[0] / reference.scores[0].max(axis=0)).max(axis=1)
    rows = np.argsort(-keys)[:count][::-1]
    columns = (reference.scores, reference.boxes, reference.coefficients)
    return Candidates(*(column[:, rows].copy() for column in columns), reference.prototypes.copy())


def largest(differences):
    return {difference.output: difference.largest for difference in differences}


def test_the_order_of_candidates_is_no_difference(reference):
    assert set(largest(compare(reference, best(reference, 5), "noise")).values()) == {0.0}


def test_a_shifted_box_is_reported_in_pixels(reference):
    actual = best(reference, 5)
    actual.boxes[0, 2, 0] += 0.03125
    assert largest(compare(reference, actual, "noise"))["boxes"] == pytest.approx(0.03125, abs=1e-6)


def test_a_wrong_prototype_is_reported(reference):
    actual = best(reference, 5)
    actual.prototypes[0, 1, 2, 3] += 0.25
    assert largest(compare(reference, actual, "noise"))["prototypes"] == pytest.approx(0.25)


def test_keeping_a_candidate_of_too_low_a_rank_is_reported(reference):
    worst = best(reference, 8).scores[:, :5]
    rows = best(reference, 8)
    actual = Candidates(worst, rows.boxes[:, :5], rows.coefficients[:, :5], rows.prototypes)
    assert largest(compare(reference, actual, "noise"))["ranks"] > 0.01


def test_padding_that_is_not_0_is_reported(reference):
    actual = best(reference, 8)
    padded = Candidates(*(np.pad(c, ((0, 0), (0, 2), (0, 0))) for c in actual[:3]), actual.prototypes)
    assert largest(compare(reference, padded, "noise"))["scores"] == 0
    padded.scores[0, 9, 1] = 0.5
    assert largest(compare(reference, padded, "noise"))["scores"] == 0.5


@pytest.mark.parametrize("value", [0.06, float("nan")])
def test_a_difference_above_the_tolerance_is_an_error(value):
    with pytest.raises(
        EngineError, match=r"boxes differ from the network's by .* on noise frames; expected at most 0\.05"
    ):
        check_differences([Difference("noise", "scores", 0.0), Difference("noise", "boxes", value)])


@pytest.mark.parametrize("make", [noise_frames, structured_frames])
def test_frames_are_the_same_every_time_and_not_blank(make):
    rule = variant("fetalseg-test").input
    first, second = make(rule, 2), make(rule, 2)
    assert first.shape == (2, 64, 96, 1)
    assert np.array_equal(first, second)
    assert (first.reshape(2, -1).std(axis=1) > 5).all()
