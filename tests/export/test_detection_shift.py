import numpy as np
import pytest

from fetalseg.candidates import Candidates
from fetalseg.errors import EngineError
from fetalseg.export.detection_shift import Shift, check_shifts, detection_shifts

INPUT = (16, 16)


@pytest.fixture
def reference():
    """One frame, two structures: one at a clear anchor, the other not found. Prototypes of 8x8 px."""
    scores = np.array([[[0.9, 0.1], [0.2, 0.0], [0.1, 0.2]]], np.float32)
    boxes = np.array([[[2, 2, 10, 10], [0, 0, 4, 4], [8, 8, 16, 16]]], np.float32)
    coefficients = np.array([[[1.0], [-1.0], [1.0]]], np.float32)
    return Candidates(scores, boxes, coefficients, np.ones((1, 1, 8, 8), np.float32))


def changed(reference, **values):
    return Candidates(*(values.get(name, value.copy()) for name, value in reference._asdict().items()))


def means(shifts):
    return {shift.output: shift.mean for shift in shifts}


def test_the_same_detections_have_not_moved(reference):
    shifts = detection_shifts(reference, reference, INPUT)
    assert [shift.detections for shift in shifts] == [1, 1, 1]
    assert list(means(shifts).values()) == [0, 0, 0]


def test_the_order_of_the_rows_is_no_shift(reference):
    turned = Candidates(*(column[:, ::-1].copy() for column in reference[:3]), reference.prototypes)
    assert set(means(detection_shifts(reference, turned, INPUT)).values()) == {0}


def test_scores_shift_by_their_difference(reference):
    actual = changed(reference, scores=reference.scores - np.float32(0.05))
    assert means(detection_shifts(reference, actual, INPUT))["scores"] == pytest.approx(0.05)


def test_boxes_and_masks_shift_by_what_they_lack_of_an_iou_of_1(reference):
    boxes = reference.boxes.copy()
    boxes[0, 0, 2] = 6  # half of the box, and half of the mask, which is 4 prototype px wide
    shifts = means(detection_shifts(reference, changed(reference, boxes=boxes), INPUT))
    assert shifts["boxes"] == pytest.approx(0.5)
    assert shifts["masks"] == pytest.approx(0.5)


def test_a_mask_that_vanishes_has_shifted_by_1(reference):
    shifts = means(detection_shifts(reference, changed(reference, coefficients=-reference.coefficients), INPUT))
    assert (shifts["boxes"], shifts["masks"]) == (0, 1)


def test_a_structure_that_is_lost_has_shifted_by_its_score(reference):
    actual = changed(reference, scores=np.zeros_like(reference.scores))
    assert means(detection_shifts(reference, actual, INPUT))["scores"] == pytest.approx(0.9)


def test_frames_without_a_detection_tell_nothing(reference):
    faint = changed(reference, scores=reference.scores / 10)
    with pytest.raises(EngineError, match=r"finds nothing with a score of 0\.3 or more in the 1 frames"):
        detection_shifts(faint, faint, INPUT)


@pytest.mark.parametrize("value", [0.02, float("nan")])
def test_a_shift_above_the_tolerance_of_the_precision_is_an_error(value):
    shifts = [Shift("scores", 4, 0.0, 0.0), Shift("boxes", 4, value, value)]
    with pytest.raises(EngineError, match=r"the boxes of 4 detections in fp16 .* in the mean; expected at most 0\.01"):
        check_shifts(shifts, "fp16")


def test_int8_may_shift_by_more_than_fp16():
    check_shifts([Shift("boxes", 4, 0.02, 0.5)], "int8")
