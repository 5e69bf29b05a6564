import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from fetalseg.training.losses import (
    hard_negative_cross_entropy,
    partial_cross_entropy,
    quality_focal_loss,
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


def test_background_answers_for_what_is_known_and_matched_anchors_for_everything():
    logits = torch.zeros(1, 3, 2, requires_grad=True)
    known = torch.tensor([[True, False]])
    ignored = torch.tensor([[False, False, True]])
    where = _at((0, 0, 0))

    quality_focal_loss(logits, known, where, torch.tensor([0.9]), ignored).backward()

    expected = torch.tensor([[[True, True], [True, False], [False, False]]])
    assert torch.equal(logits.grad != 0, expected)


def test_the_gradient_of_a_background_anchor_moves_weight_to_whatever_is_not_denied():
    logits = LOGITS.clone().requires_grad_()

    partial_cross_entropy(logits, torch.tensor([0]), torch.tensor([[True, False, True]])).sum().backward()

    # p - p / 0.4 for background and the unlabelled structure (their sum is 0.1 + 0.3), p for the labelled ones.
    torch.testing.assert_close(logits.grad, torch.tensor([[0.1 - 0.25, 0.2, 0.3 - 0.75, 0.4]]))


def test_hard_negatives_of_full_labels_are_those_of_the_plain_cross_entropy():
    torch.manual_seed(1)
    logits, targets = torch.randn(2, 40, 4), torch.zeros(2, 40, dtype=torch.int64)
    targets[0, :3], targets[1, 7], targets[1, 20:30] = 2, 3, -1

    ours = hard_negative_cross_entropy(logits, targets, torch.ones(2, 3, dtype=torch.bool))

    # Each image by itself: its matched anchors, and the worst of its background ones, three for each.
    total = torch.zeros(())
    for frame, target in zip(logits, targets, strict=True):
        matched = frame[target > 0]
        total += F.cross_entropy(matched, target[target > 0], reduction="sum")
        background = F.cross_entropy(frame[target == 0], target[target == 0], reduction="none")
        total += background.sort(descending=True).values[: 3 * len(matched)].sum()
    torch.testing.assert_close(ours, total / 4)


def test_without_matched_anchors_the_focal_term_is_finite_and_differentiable():
    logits = torch.zeros(1, 2, 3, requires_grad=True)
    known, ignored = torch.ones(1, 3, dtype=torch.bool), torch.zeros(1, 2, dtype=torch.bool)

    loss = quality_focal_loss(logits, known, NO_ANCHORS, torch.zeros(0), ignored)
    loss.backward()

    # Six scores of 0.5, each -log(0.5) times 0.5^2.
    assert loss.item() == pytest.approx(6 * math.log(2) * 0.25, rel=1e-6)
    assert torch.isfinite(logits.grad).all()
