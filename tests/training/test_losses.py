import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from fetalseg.training.losses import (
    box_overlap_loss,
    crop_region,
    focal_loss,
    hard_negative_cross_entropy,
    mask_loss,
    paired_iou,
    partial_cross_entropy,
    quality_focal_loss,
    semantic_loss,
    smooth_l1_loss,
)

NO_ANCHORS = tuple(torch.zeros(0, dtype=torch.int64) for _ in range(3))


def _at(*places):
    """Index arrays (image, anchor, structure) of matched anchors."""
    return tuple(torch.tensor(column) for column in zip(*places, strict=True))


# Probabilities 0.1 background, 0.2, 0.3, 0.4.
LOGITS = torch.tensor([[0.1, 0.2, 0.3, 0.4]]).log()


def test_a_background_anchor_pays_for_the_known_structures_only():
    known = torch.tensor([[True, False, True]])  # the second structure, p = 0.3, is not labelled in this frame

    loss = partial_cross_entropy(LOGITS, torch.tensor([0]), known)

    assert loss.item() == pytest.approx(-math.log(0.1 + 0.3))


def test_a_matched_anchor_pays_the_full_softmax_whatever_is_known():
    known = torch.tensor([[True, False, True]])

    assert partial_cross_entropy(LOGITS, torch.tensor([3]), known).item() == pytest.approx(-math.log(0.4))


def test_with_full_labels_the_loss_is_the_plain_cross_entropy():
    torch.manual_seed(0)
    logits, targets = torch.randn(50, 18), torch.randint(0, 18, (50,))

    ours = partial_cross_entropy(logits, targets, torch.ones(50, 17, dtype=torch.bool))

    torch.testing.assert_close(ours, F.cross_entropy(logits, targets, reduction="none"))


def test_with_nothing_known_background_is_free_and_the_gradient_is_finite():
    logits = torch.randn(4, 18, requires_grad=True)

    loss = partial_cross_entropy(logits, torch.zeros(4, dtype=torch.int64), torch.zeros(4, 17, dtype=torch.bool))
    loss.sum().backward()

    torch.testing.assert_close(loss, torch.zeros(4), atol=1e-6, rtol=0)
    assert torch.isfinite(logits.grad).all()


def test_three_worst_background_anchors_stand_beside_each_matched_one():
    # One structure. Background losses are -log(p0) of p0 = 0.9, 0.8, 0.7, 0.6, 0.5; the matched anchor has p1 = 0.25.
    p0 = torch.tensor([0.75, 0.9, 0.8, 0.7, 0.6, 0.5, 0.01])
    logits = torch.stack([p0, 1 - p0], dim=1).log()[None]
    targets = torch.tensor([[1, 0, 0, 0, 0, 0, -1]])  # the last one is worst of all, but ignored

    loss = hard_negative_cross_entropy(logits, targets, torch.ones(1, 1, dtype=torch.bool))

    assert loss.item() == pytest.approx(-math.log(0.25) - math.log(0.5) - math.log(0.6) - math.log(0.7), rel=1e-6)


def test_hard_negatives_are_mined_by_the_partial_loss():
    # Anchor 1 is sure of an unlabelled structure: no loss. Anchor 2 is a little wrong about a labelled one: chosen.
    p = torch.tensor([[0.2, 0.6, 0.2], [0.01, 0.0099, 0.9801], [0.7, 0.2, 0.1]])
    known = torch.tensor([[True, False]])

    loss = hard_negative_cross_entropy(p.log()[None], torch.tensor([[1, 0, 0]]), known, ratio=1)

    assert loss.item() == pytest.approx(-math.log(0.6) - math.log(0.8), rel=1e-5)


def test_quality_focal_loss_of_three_hand_made_scores():
    # One image, two anchors, two structures; anchor 0 is matched to structure 0 with an overlap of 0.8.
    p = torch.tensor([[[0.5, 0.2], [0.1, 0.3]]])
    known = torch.tensor([[True, True]])

    loss = quality_focal_loss(
        p.logit(), known, _at((0, 0, 0)), torch.tensor([0.8]), torch.zeros(1, 2, dtype=torch.bool)
    )

    matched = (0.8 - 0.5) ** 2 * -(0.8 * math.log(0.5) + 0.2 * math.log(0.5))
    background = sum(q * q * -math.log(1 - q) for q in (0.2, 0.1, 0.3))
    assert loss.item() == pytest.approx(matched + background, rel=1e-5)


@pytest.mark.parametrize("kind", ["quality", "plain"])
def test_background_answers_for_what_is_known_and_matched_anchors_for_everything(kind):
    logits = torch.zeros(1, 3, 2, requires_grad=True)
    known = torch.tensor([[True, False]])
    ignored = torch.tensor([[False, False, True]])
    where = _at((0, 0, 0))

    if kind == "quality":
        quality_focal_loss(logits, known, where, torch.tensor([0.9]), ignored).backward()
    else:
        focal_loss(logits, known, where, ignored).backward()

    expected = torch.tensor([[[True, True], [True, False], [False, False]]])
    assert torch.equal(logits.grad != 0, expected)


def test_focal_loss_of_a_hand_made_score():
    p = torch.tensor([[[0.7], [0.4]]])

    loss = focal_loss(
        p.logit(), torch.ones(1, 1, dtype=torch.bool), _at((0, 0, 0)), torch.zeros(1, 2, dtype=torch.bool)
    )

    expected = 0.25 * 0.3**2 * -math.log(0.7) + 0.75 * 0.4**2 * -math.log(0.6)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


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


def test_the_crop_is_one_pixel_wider_than_the_box():
    inside = crop_region(torch.tensor([[2.0, 1, 4, 3]]), 6, 8)

    assert inside[0].nonzero().tolist() == [[y, x] for y in range(4) for x in range(1, 5)]


def test_the_published_crop_has_one_pixel_fewer_at_a_left_or_upper_edge_between_two_pixels():
    boxes = torch.tensor([[2.3, 1, 4.6, 3]])  # touches columns 2, 3, 4 and rows 1, 2

    whole, published = crop_region(boxes, 6, 8), crop_region(boxes, 6, 8, whole_pixels=False)

    assert whole[0].nonzero().tolist() == [[y, x] for y in range(4) for x in range(1, 6)]
    # 2.3 - 1 <= x < 4.6 + 1
    assert published[0].nonzero().tolist() == [[y, x] for y in range(4) for x in range(2, 6)]
    # Logit 0 costs log 2 a pixel; the box is 2.3 x 2.
    loss = mask_loss(torch.zeros(1, 6, 8), torch.zeros(1, 6, 8), boxes, whole_pixels=False)
    assert loss.item() == pytest.approx(16 * math.log(2) / 4.6, rel=1e-6)


def test_the_mask_loss_is_normalised_by_the_area_of_the_box():
    # Logit 0 costs log 2 a pixel. A 2 x 2 box cropped with its margin has 16 pixels: 16 log 2 / 4.
    logits, masks = torch.zeros(1, 10, 10), torch.zeros(1, 10, 10)

    loss = mask_loss(logits, masks, torch.tensor([[4.0, 4, 6, 6]]))

    assert loss.item() == pytest.approx(16 * math.log(2) / 4, rel=1e-6)


def test_a_side_thinner_than_a_pixel_counts_as_one_in_the_area():
    loss = mask_loss(torch.zeros(1, 6, 8), torch.zeros(1, 6, 8), torch.tensor([[2.0, 3, 6, 3.25]]))

    # Columns 1 to 6, rows 2 to 4: 18 log 2 by 4 x 1.
    assert loss.item() == pytest.approx(18 * math.log(2) / 4, rel=1e-6)


def test_the_mask_loss_does_not_look_outside_the_crop():
    logits = torch.full((1, 10, 10), 9.0)
    logits[:, 3:7, 3:7] = -20
    masks = torch.zeros(1, 10, 10)

    assert mask_loss(logits, masks, torch.tensor([[4.0, 4, 6, 6]]), dice=0.0).item() == pytest.approx(0, abs=1e-6)


def test_dice_of_a_half_right_mask():
    # In the 4 x 4 crop 2 pixels are the structure; the prediction is sure of 4, of which 2 are right.
    logits, masks = torch.full((1, 10, 10), -40.0), torch.zeros(1, 10, 10)
    logits[0, 4, 3:7] = 40.0
    masks[0, 4, 4:6] = 1
    box = torch.tensor([[4.0, 4, 6, 6]])

    difference = mask_loss(logits, masks, box, dice=1.0) - mask_loss(logits, masks, box)

    # 1 - (2 * 2 + 1) / (4 + 2 + 1)
    assert difference.item() == pytest.approx(1 - 5 / 7, rel=1e-5)


def test_the_semantic_loss_counts_known_structures_only():
    logits = torch.zeros(1, 2, 3, 4)
    logits[:, 1] = 50  # badly wrong about a structure that is not known here
    counted = torch.tensor([[True, False]])

    assert semantic_loss(logits, torch.zeros(1, 2, 3, 4), counted).item() == pytest.approx(math.log(2), rel=1e-6)


def test_without_matched_anchors_the_terms_are_zero_and_differentiable():
    logits = torch.zeros(1, 2, 3, requires_grad=True)
    known, ignored = torch.ones(1, 3, dtype=torch.bool), torch.zeros(1, 2, dtype=torch.bool)

    assert smooth_l1_loss(torch.zeros(0, 4), torch.zeros(0, 4)).item() == 0
    assert box_overlap_loss(torch.zeros(0, 4), torch.zeros(0, 4), "ciou").item() == 0
    assert mask_loss(torch.zeros(0, 4, 4), torch.zeros(0, 4, 4), torch.zeros(0, 4)).item() == 0
    quality_focal_loss(logits, known, NO_ANCHORS, torch.zeros(0), ignored).backward()
    assert torch.isfinite(logits.grad).all()
