import math

import numpy as np
import pytest
import torch

from fetalseg.postprocess.masks import assemble_masks
from fetalseg.preprocess import FrameGeometry, InputRule
from fetalseg.training.losses import crop_region, mask_loss


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


def test_anchors_drawn_of_many_stand_for_those_left_out():
    # Logit 0 costs log 2 a pixel; boxes of 2 x 2 and 1 x 1 px, each with its margin of 1: 16 / 4 and 9 / 1 pixels.
    boxes = torch.tensor([[4.0, 4, 6, 6], [1, 1, 2, 2]])
    logits, masks = torch.zeros(2, 10, 10), torch.zeros(2, 10, 10)

    loss = mask_loss(logits, masks, boxes, weights=torch.tensor([3.0, 1.0]))

    assert loss.item() == pytest.approx((3 * 4 + 9) / 4 * math.log(2), rel=1e-6)


def test_without_matched_anchors_the_mask_term_is_zero():
    nothing = torch.zeros(0, 4, 4)

    assert mask_loss(nothing, nothing, torch.zeros(0, 4), weights=torch.zeros(0)).item() == 0


def test_the_crop_holds_every_pixel_that_decides_about_the_mask_when_serving():
    # Frames of the network's own size, 12 x 16 prototype pixels of 4 px.
    geometry = FrameGeometry.of((48, 64), InputRule(height=48, width=64, channels=1))
    box = torch.tensor([[13.0, 9, 43, 24]])
    logits = np.random.default_rng(0).normal(size=(1, 12, 16)).astype(np.float32)

    def serve(prototypes):
        return assemble_masks(prototypes, np.ones((1, 1), np.float32), box.long().numpy(), geometry)[0]

    def matters(where):
        return (serve(np.where(where, -50 * np.sign(logits), logits).astype(np.float32)) != serve(logits)).any()

    crop = crop_region(box / 4, 12, 16)[0].numpy()
    tight = crop_region(box / 4, 12, 16, margin=0)[0].numpy()
    assert not matters(~crop)
    assert matters(crop & ~tight)
