import pytest
import torch

from fetalseg.training.matching import BACKGROUND, IGNORED, Matching, match

# Four anchors of 10 x 10 px whose left edges are at 0, 4, 20 and 100.
ANCHORS = torch.tensor([[5.0, 5, 10, 10], [9, 5, 10, 10], [25, 5, 10, 10], [105, 5, 10, 10]])


def test_thresholds_decide_between_structure_background_and_neither():
    # IoU with anchor 0 is 1; with anchor 1 it is 6 / 14 = 0.43, between 0.4 and 0.5; with the others 0.
    boxes = torch.tensor([[0.0, 0, 10, 10]])

    assert match(boxes, ANCHORS, Matching()).tolist() == [0, IGNORED, BACKGROUND, BACKGROUND]


def test_a_structure_that_no_anchor_fits_gets_its_nearest_one():
    # 2 x 2 px inside anchor 2: IoU 0.04.
    boxes = torch.tensor([[22.0, 2, 24, 4]])

    assert match(boxes, ANCHORS, Matching()).tolist() == [BACKGROUND, BACKGROUND, 0, BACKGROUND]


def test_two_structures_that_want_one_anchor_get_one_each():
    # Anchor 0: IoU 1 with the first, 0.81 with the second; anchor 1 fits the second by 5.4 / 12.7.
    boxes = torch.tensor([[0.0, 0, 10, 10], [0.5, 0, 9.5, 9]])

    assert match(boxes, ANCHORS, Matching()).tolist()[:2] == [0, 1]


def test_at_least_adds_the_next_nearest_that_touch():
    boxes = torch.tensor([[0.0, 0, 10, 10]])

    # Anchors 2 and 3 don't touch the box at all, so that only two are claimed of the three asked for.
    assert match(boxes, ANCHORS, Matching(at_least=3)).tolist() == [0, 0, BACKGROUND, BACKGROUND]


def test_an_anchor_claimed_by_two_structures_goes_to_the_larger_overlap():
    # Anchor 1 spans 4..14. The first box overlaps it by 4 / 16 = 0.25, the second by 6 / 14 = 0.43; both claim it.
    boxes = torch.tensor([[-2.0, 0, 8, 10], [8.0, 0, 18, 10]])

    assert match(boxes, ANCHORS, Matching(at_least=2)).tolist()[:2] == [0, 1]


def test_at_most_leaves_the_surplus_undecided():
    anchors = torch.tensor([[5.0, 5, 10, 10], [5.5, 5, 10, 10], [6.0, 5, 10, 10], [6.5, 5, 10, 10]])
    boxes = torch.tensor([[0.0, 0, 10, 10]])

    assert match(boxes, anchors, Matching(at_most=2)).tolist() == [0, 0, IGNORED, IGNORED]


def test_without_structures_everything_is_background():
    assert match(torch.zeros(0, 4), ANCHORS, Matching()).tolist() == [BACKGROUND] * 4


def test_arguments_are_left_alone():
    boxes, anchors = torch.tensor([[0.0, 0, 10, 10]]), ANCHORS.clone()
    match(boxes, anchors, Matching(at_least=2, at_most=3))

    assert torch.equal(anchors, ANCHORS)
    assert boxes.tolist() == [[0, 0, 10, 10]]


@pytest.mark.parametrize(
    "numbers",
    [
        {"negative_iou": 0.6},
        {"negative_iou": 0.0},
        {"positive_iou": 1.1},
        {"at_least": 0},
        {"at_least": 5, "at_most": 4},
    ],
)
def test_rules_that_contradict_themselves_are_refused(numbers):
    with pytest.raises(ValueError, match="expected"):
        Matching(**numbers)
