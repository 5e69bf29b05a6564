import pytest
import torch

from fetalseg.training.losses import complete_iou_loss, paired_iou, smooth_l1_loss


def test_paired_overlaps_of_hand_made_boxes():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10]])
    truths = torch.tensor([[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 0, 30, 10]])

    # 50 / 150 for the half overlap.
    torch.testing.assert_close(paired_iou(boxes, truths), torch.tensor([1.0, 1 / 3, 0.0]))


def test_smooth_l1_is_quadratic_below_one_and_linear_above():
    offsets = torch.tensor([[0.5, 0, 0, 0], [0, 3, 0, 0]])

    # (0.5 * 0.25 + (3 - 0.5)) / 2 anchors
    assert smooth_l1_loss(offsets, torch.zeros(2, 4)).item() == pytest.approx((0.125 + 2.5) / 2)


def test_ciou_of_boxes_of_one_shape_is_their_iou_and_the_distance_of_their_centres():
    boxes, truths = torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([[20.0, 0, 30, 10]])

    # IoU 0; centres 20 px apart, the hull's diagonal squared 30^2 + 10^2.
    assert complete_iou_loss(boxes, truths).item() == pytest.approx(1 + 400 / 1000, rel=1e-5)


def test_ciou_of_concentric_boxes_of_different_shapes():
    boxes, truths = torch.tensor([[-1.0, -1, 1, 1]]), torch.tensor([[-(3**0.5), -1, 3**0.5, 1]])

    # IoU 1 / sqrt(3). Angles of 45 and 60 degrees: v = 4 / pi^2 (pi / 12)^2 = 1 / 36; its weight is v / (1 - IoU + v).
    iou, v = 3**-0.5, 1 / 36
    assert complete_iou_loss(boxes, truths).item() == pytest.approx(1 - iou + v * v / (1 - iou + v), rel=1e-5)


def test_a_perfect_box_costs_nothing():
    boxes = torch.tensor([[3.0, 4, 180, 22]])

    assert complete_iou_loss(boxes, boxes).item() == pytest.approx(0, abs=1e-5)


def test_without_matched_anchors_the_box_terms_are_zero():
    assert smooth_l1_loss(torch.zeros(0, 4), torch.zeros(0, 4)).item() == 0
    assert complete_iou_loss(torch.zeros(0, 4), torch.zeros(0, 4)).item() == 0
