import pytest
import torch

from fetalseg.training.matching import BACKGROUND
from fetalseg.training.task_alignment import TaskAlignment, align

# Anchors of 20 x 10 px at x = 0, 4, 10 and 100; one structure of the first one's place and size.
ANCHORS = torch.tensor([[10.0, 5, 20, 10], [14, 5, 20, 10], [20, 5, 20, 10], [110, 5, 20, 10]])
BOX = torch.tensor([[0.0, 0, 20, 10]])
EXACT, SHIFTED, FAR = [0.0, 0, 20, 10], [5.0, 0, 25, 10], [100.0, 0, 120, 10]
EVEN = torch.full((4, 2), 0.5)


def _align(predicted, scores=EVEN, *, boxes=BOX, labels=(0,), anchors=ANCHORS, **numbers):
    return align(boxes, torch.tensor(labels), anchors, scores, torch.tensor(predicted), TaskAlignment(**numbers))


def test_the_anchor_whose_predicted_box_fits_best_learns_the_structure():
    # By their own overlap the order would be 0, 1, 2; the third predicts the box exactly.
    aligned = _align([SHIFTED, SHIFTED, EXACT, FAR], top=1)

    assert aligned.assigned.tolist() == [BACKGROUND, BACKGROUND, 0, BACKGROUND]


def test_of_equal_boxes_the_one_with_the_higher_score_of_that_structure_learns():
    scores = torch.tensor([[0.2, 0.9], [0.3, 0.0], [0.1, 0.9], [0.9, 0.9]])

    aligned = _align([EXACT, EXACT, EXACT, EXACT], scores, top=2)

    assert aligned.assigned.tolist() == [0, 0, BACKGROUND, BACKGROUND]


def test_an_anchor_far_from_the_structure_takes_no_part_whatever_it_predicts():
    aligned = _align([FAR, FAR, SHIFTED, EXACT], top=4)

    assert aligned.assigned.tolist() == [BACKGROUND, BACKGROUND, 0, BACKGROUND]


def test_the_score_to_reach_is_the_alignment_scaled_to_the_best_overlap():
    # IoU of the shifted box: 150 / 250 = 0.6. Alignments 0.5 * 1, 0.25 * 0.6^2 and 0.5 * 0.6^2.
    scores = torch.tensor([[0.5, 0], [0.25, 0], [0.5, 0], [0.5, 0]])

    aligned = _align([EXACT, SHIFTED, SHIFTED, FAR], scores, iou_power=2.0)

    assert aligned.assigned.tolist() == [0, 0, 0, BACKGROUND]
    assert aligned.quality.tolist() == pytest.approx([1.0, 0.18, 0.36, 0])


def test_the_score_to_reach_is_no_higher_than_the_best_overlap_though_alignment_is_relative():
    aligned = _align([SHIFTED, FAR, FAR, FAR])

    assert aligned.quality.tolist() == pytest.approx([0.6, 0, 0, 0])


def test_an_anchor_among_the_best_of_two_structures_goes_to_the_larger_overlap():
    boxes = torch.tensor([[0.0, 0, 20, 10], [8, 0, 28, 10]])  # the shifted box overlaps them by 0.6 and 17 / 23

    aligned = _align([EXACT, SHIFTED, [8.0, 0, 28, 10], FAR], boxes=boxes, labels=(0, 1))

    assert aligned.assigned.tolist() == [0, 1, 1, BACKGROUND]


def test_a_structure_that_no_prediction_reaches_gets_its_nearest_anchor():
    aligned = _align([FAR, FAR, FAR, FAR])

    assert aligned.assigned.tolist() == [0, BACKGROUND, BACKGROUND, BACKGROUND]
    assert aligned.quality.tolist() == [0, 0, 0, 0]


def test_a_small_structure_that_overlaps_no_anchor_enough_gets_its_nearest_one():
    # 4 x 2 px in 20 x 10: IoU 0.04, below what a candidate needs; the prediction overlaps it by 8 / 16.
    boxes = torch.tensor([[2.0, 2, 6, 4]])

    aligned = _align([[2.0, 2, 6, 6], FAR, FAR, FAR], boxes=boxes)

    assert aligned.assigned.tolist() == [0, BACKGROUND, BACKGROUND, BACKGROUND]
    assert aligned.quality.tolist() == pytest.approx([0.5, 0, 0, 0])


def test_untrained_predictions_give_the_anchors_of_largest_overlap():
    # Predicted boxes are the anchors: IoU 1, 160 / 240 and 100 / 300.
    aligned = _align([EXACT, [4.0, 0, 24, 10], [10.0, 0, 30, 10], FAR], torch.full((4, 2), 0.01), top=2)

    assert aligned.assigned.tolist() == [0, 0, BACKGROUND, BACKGROUND]


def test_without_structures_everything_is_background():
    aligned = _align([EXACT] * 4, boxes=torch.zeros(0, 4), labels=())

    assert aligned.assigned.tolist() == [BACKGROUND] * 4
    assert not aligned.quality.any()


@pytest.mark.parametrize(
    "numbers", [{"top": 0}, {"candidate_iou": 0.0}, {"candidate_iou": 1.0}, {"score_power": -1.0}, {"iou_power": 0.0}]
)
def test_rules_out_of_range_are_refused(numbers):
    with pytest.raises(ValueError, match="expected"):
        TaskAlignment(**numbers)
