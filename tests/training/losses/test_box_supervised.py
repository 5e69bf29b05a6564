import math

import pytest
import torch

from fetalseg.training.losses import lightness, pairwise_loss, projection_loss


def _sure(mask):
    """Logits [1, Hp, Wp] that are sure of a mask given as rows of 0 and 1."""
    return torch.tensor(mask, dtype=torch.float32)[None] * 80 - 40


def test_brightness_is_averaged_over_the_pixels_of_the_prototypes():
    images = torch.zeros(1, 1, 4, 8, dtype=torch.uint8)
    images[0, 0, :2, :4] = 255  # half of the left one of two pixels of 4 x 4

    assert lightness(images, (1, 2)).tolist() == [[[50.0, 0.0]]]
    torch.testing.assert_close(lightness(images.expand(-1, 3, -1, -1), (1, 2)), lightness(images, (1, 2)))


def test_projections_of_an_undecided_mask():
    # Six columns at 0.5, three of them the box's: 2 * 1.5 / (6 * 0.25 + 3) = 2/3. Four rows, two: 2 * 1 / (1 + 2).
    loss = projection_loss(torch.zeros(1, 4, 6), torch.tensor([[1.0, 1, 4, 3]]))

    assert loss.item() == pytest.approx(1 / 3 + 1 / 3, rel=1e-6)


def test_a_mask_that_leaves_its_box_sideways_pays_for_the_columns_outside():
    logits = _sure([[0, 0, 0, 0, 0, 0], [0, 1, 1, 1, 1, 0], [0, 1, 1, 1, 0, 0], [0, 0, 0, 0, 0, 0]])

    # Columns: 2 * 3 / (4 + 3); rows are right.
    assert projection_loss(logits, torch.tensor([[1.0, 1, 4, 3]])).item() == pytest.approx(1 / 7, rel=1e-6)


def test_a_pixel_above_the_box_does_not_stand_for_its_column():
    logits = _sure([[0, 1, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0], [0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 0, 0]])

    # Columns: two of three, 2 * 2 / (2 + 3). Rows: the two of the box and one above, 2 * 2 / (3 + 2).
    assert projection_loss(logits, torch.tensor([[1.0, 1, 4, 3]])).item() == pytest.approx(0.2 + 0.2, rel=1e-6)


def test_a_slanted_band_and_a_full_box_have_the_same_projections():
    box = torch.tensor([[1.0, 1, 4, 4]])
    band = _sure([[0, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 0]])
    full = _sure([[0, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 1, 1, 1, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]])

    assert projection_loss(band, box).item() == pytest.approx(0, abs=1e-6)
    assert projection_loss(full, box).item() == pytest.approx(0, abs=1e-6)


def test_a_projection_pulls_at_the_largest_value_of_each_column_only():
    logits = torch.tensor([[[0.0, 1.0], [2.0, 0.5], [-1.0, -1.0]]], requires_grad=True)

    # The box is the first two rows of both columns, so rows pull at their largest values too.
    projection_loss(logits, torch.tensor([[0.0, 0, 2, 2]])).backward()

    pulled = (logits.grad[0] != 0).tolist()
    # Largest of the columns: 2.0 and 1.0; of the rows: 1.0, 2.0 and both of the last one.
    assert pulled == [[False, True], [True, False], [True, True]]
    assert logits.grad[0, 0, 1] < 0
    assert logits.grad[0, 2, 0] > 0


def test_a_box_without_a_pixel_centre_keeps_the_pixel_in_its_middle():
    # Between rows 1.6 and 1.9: no centre, the middle lies in row 1. Columns 0 and 1.
    logits = _sure([[0, 0, 0], [1, 1, 0], [0, 0, 0]])

    assert projection_loss(logits, torch.tensor([[0.0, 1.6, 2, 1.9]])).item() == pytest.approx(0, abs=1e-6)


# Probabilities of four pixels; the edges' chances that both ends agree are p q + (1 - p) (1 - q).
FOUR = torch.tensor([[[0.9, 0.8], [0.1, 0.4]]]).logit()
AGREE = {"ab": 0.74, "cd": 0.58, "ac": 0.18, "bd": 0.44, "ad": 0.42, "bc": 0.26}
WHOLE = torch.tensor([[0.0, 0, 2, 2]])


def test_every_pair_of_like_neighbours_is_asked_to_agree():
    loss = pairwise_loss(FOUR, torch.zeros(1, 2, 2), WHOLE)

    assert loss.item() == pytest.approx(sum(-math.log(p) for p in AGREE.values()) / 6, rel=1e-5)


def test_neighbours_that_look_different_are_not_asked():
    shades = torch.tensor([[[10.0, 0], [0, 0]]])

    loss = pairwise_loss(FOUR, shades, WHOLE)

    assert loss.item() == pytest.approx(sum(-math.log(AGREE[e]) for e in ("cd", "bd", "bc")) / 3, rel=1e-5)


@pytest.mark.parametrize(("difference", "counts"), [(2.40, True), (2.42, False)])
def test_alike_means_a_similarity_of_three_tenths(difference, counts):
    # exp(-d / 2) >= 0.3 up to d = 2 ln(1 / 0.3) = 2.408.
    loss = pairwise_loss(torch.zeros(1, 1, 2), torch.tensor([[[0, difference]]]), torch.tensor([[0.0, 0, 2, 1]]))

    # Logits of 0 agree by chance: one half.
    assert loss.item() == pytest.approx(math.log(2) if counts else 0, rel=1e-6)


def test_an_edge_counts_with_one_end_in_the_box():
    logits = torch.tensor([[[0.9, 0.8, 0.1]]]).logit()
    shades = torch.zeros(1, 1, 3)

    # The box holds the first pixel: its edge to the second counts, the one from there to the third doesn't.
    loss = pairwise_loss(logits, shades, torch.tensor([[0.0, 0, 1, 1]]))

    assert loss.item() == pytest.approx(-math.log(0.74), rel=1e-5)


def test_a_sure_mask_costs_nothing_inside_and_stays_finite_at_a_border_through_like_pixels():
    logits = _sure([[1, 1, 0, 0]]).requires_grad_()

    inside = pairwise_loss(logits[:, :, :2], torch.zeros(1, 1, 2), torch.tensor([[0.0, 0, 2, 1]]))
    border = pairwise_loss(logits, torch.zeros(1, 1, 4), torch.tensor([[0.0, 0, 2, 1]]))
    border.backward()

    assert inside.item() == pytest.approx(0, abs=1e-6)
    # Of two edges that touch the box one crosses the border: 40 = -log of the chance of either end to change sides.
    assert border.item() == pytest.approx((40 - math.log(2)) / 2, rel=1e-4)
    assert torch.isfinite(logits.grad).all()


def _learn(logits, shades, box, steps):
    """The mask after gradient descent on both terms, the pixels themselves being the weights."""
    logits = logits.clone().requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        (projection_loss(logits, box) + pairwise_loss(logits, shades, box)).backward()
        optimizer.step()
    return logits[0] > 0


def _iou(a, b):
    return float((a & b).sum() / (a | b).sum())


def test_a_blob_is_pulled_into_its_box_and_fills_the_object():
    thing = torch.zeros(12, 16, dtype=torch.bool)
    thing[3:9, 5:13] = True
    shades = torch.where(thing, 60.0, 20.0)[None]
    start = torch.zeros(1, 12, 16)
    start[0, 1:6, 2:8] = 1  # a blob that reaches over the upper left corner of the box
    box = torch.tensor([[5.0, 3, 13, 9]])

    learnt = _learn(start, shades, box, 100)

    assert _iou(start[0] > 0, thing) < 0.2
    assert _iou(learnt, thing) == 1


def test_from_an_even_mask_every_pixel_of_the_box_is_raised_and_every_other_one_lowered():
    logits = torch.full((1, 12, 16), -1.0, requires_grad=True)
    inside = torch.zeros(12, 16, dtype=torch.bool)
    inside[3:9, 5:13] = True

    projection_loss(logits, torch.tensor([[5.0, 3, 13, 9]])).backward()

    assert (logits.grad[0][inside] < 0).all()
    assert (logits.grad[0][~inside] > 0).all()


def test_a_faint_slanted_band_becomes_the_dark_fluid_and_not_the_box():
    y, x = torch.meshgrid(torch.arange(16.0), torch.arange(32.0), indexing="ij")
    across = (y - 3) - (x - 3) * 8 / 25
    fluid = (across >= 0) & (across < 3) & (x >= 3) & (x < 29)
    shades = torch.where(fluid, 10.0, torch.where((across >= -2) & (across < 5), 70.0, 35.0))[None]
    rows, columns = fluid.any(1).nonzero(), fluid.any(0).nonzero()
    box = torch.tensor([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], dtype=torch.float32)
    torch.manual_seed(0)
    start = torch.where(fluid, 0.2, -0.2)[None] + 0.1 * torch.randn(1, 16, 32)

    learnt = _learn(start, shades, box, 150)

    filled = torch.zeros_like(fluid)
    filled[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = True
    assert _iou(filled, fluid) < 0.35
    assert _iou(learnt, fluid) > 0.9


def test_without_instances_both_terms_are_zero_and_differentiable():
    logits = torch.zeros(0, 4, 6, requires_grad=True)

    total = projection_loss(logits, torch.zeros(0, 4)) + pairwise_loss(logits, torch.zeros(0, 4, 6), torch.zeros(0, 4))
    total.backward()

    assert total.item() == 0
