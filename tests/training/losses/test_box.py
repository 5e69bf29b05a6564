import pytest
import torch

from fetalseg.training.losses import box_overlap_loss, paired_iou, smooth_l1_loss


def test_paired_overlaps_of_hand_made_boxes():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10]])
    truths = torch.tensor([[0.0, 0, 10, 10], [5, 0, 15, 10], [20, 0, 30, 10]])

    # 50 / 150 for the half overlap.
    torch.testing.assert_close(paired_iou(boxes, truths), torch.tensor([1.0, 1 / 3, 0.0]))


def test_smooth_l1_is_quadratic_below_one_and_linear_above():
    offsets = torch.tensor([[0.5, 0, 0, 0], [0, 3, 0, 0]])

    # (0.5 * 0.25 + (3 - 0.5)) / 2 anchors
    assert smooth_l1_loss(offsets, torch.zeros(2, 4)).item() == pytest.approx((0.125 + 2.5) / 2)


def test_giou_of_boxes_side_by_side():
    boxes, truths = torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([[20.0, 0, 30, 10]])

    # IoU 0, hull 300, union 200: GIoU = -100 / 300.
    assert box_overlap_loss(boxes, truths, "giou").item() == pytest.approx(1 + 1 / 3, rel=1e-5)
    # Centres 20 px apart, diagonal of the hull squared 30^2 + 10^2.
    assert box_overlap_loss(boxes, truths, "diou").item() == pytest.approx(1 + 400 / 1000, rel=1e-5)


def test_an_overlap_loss_on_offsets_is_refused():
    with pytest.raises(ValueError, match="'smooth_l1' is no overlap loss; expected one of giou, diou, ciou"):
        box_overlap_loss(torch.zeros(1, 4), torch.zeros(1, 4), "smooth_l1")


def test_eiou_of_hand_made_boxes():
    boxes, truths = torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([[0.0, 0, 20, 5]])

    # IoU 50 / 150; centres (5, 5) and (10, 2.5) in a hull of 20 x 10; width off by 10 / 20, height by 5 / 10.
    expected = 1 - 1 / 3 + (25 + 6.25) / (400 + 100) + 0.25 + 0.25
    assert box_overlap_loss(boxes, truths, "eiou").item() == pytest.approx(expected, rel=1e-5)


def test_a_flat_box_of_half_the_height_is_told_by_eiou_and_not_by_ciou():
    boxes, truths = torch.tensor([[0.0, 0, 180, 11]]), torch.tensor([[0.0, 0, 180, 22]])

    # IoU is 0.5. The centres are 5.5 px apart, the diagonal squared 32884: 0.0009 for either.
    assert box_overlap_loss(boxes, truths, "ciou").item() == pytest.approx(0.5 + 0.0009, abs=1e-4)
    assert box_overlap_loss(boxes, truths, "eiou").item() == pytest.approx(0.5 + 0.0009 + 0.25, abs=1e-4)


@pytest.mark.parametrize("kind", ["giou", "diou", "ciou", "eiou"])
def test_a_perfect_box_costs_nothing(kind):
    boxes = torch.tensor([[3.0, 4, 180, 22]])

    assert box_overlap_loss(boxes, boxes, kind).item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("kind", ["giou", "diou", "ciou", "eiou"])
def test_without_matched_anchors_the_box_terms_are_zero(kind):
    assert smooth_l1_loss(torch.zeros(0, 4), torch.zeros(0, 4)).item() == 0
    assert box_overlap_loss(torch.zeros(0, 4), torch.zeros(0, 4), kind).item() == 0
