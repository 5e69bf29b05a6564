import math

import pytest
import torch

from fetalseg.training.losses import semantic_loss, semantic_target


def test_the_semantic_loss_counts_known_structures_only():
    logits = torch.zeros(1, 2, 3, 4)
    logits[:, 1] = 50  # badly wrong about a structure that is not known here
    counted = torch.tensor([[True, False]])

    assert semantic_loss(logits, torch.zeros(1, 2, 3, 4), counted).item() == pytest.approx(math.log(2), rel=1e-6)


def test_a_cell_learns_the_share_that_is_covered_or_whether_it_is_more_than_half():
    masks = torch.zeros(2, 4, 4, dtype=torch.uint8)
    masks[0, 0, 0], masks[0, 1, 1] = 1, 1  # 3 of the 4 pixels of the first cell ...
    masks[0, 0, 1] = 1
    masks[1, 0, 0], masks[1, 3, 2:] = 1, 1  # ... and of another of the kind 1 pixel there, and 2 of the last cell
    labels = torch.tensor([1, 1])

    shares = semantic_target(masks, labels, 3, (2, 2))
    binary = semantic_target(masks, labels, 3, (2, 2), binary=True)

    assert shares[1].tolist() == [[0.75, 0], [0, 0.5]]
    assert binary[1].tolist() == [[1, 0], [0, 0]]
    assert not shares[[0, 2]].any()


def test_a_frame_without_structures_has_an_empty_map():
    empty = semantic_target(torch.zeros(0, 4, 4), torch.zeros(0, dtype=torch.int64), 3, (2, 2))

    assert empty.shape == (3, 2, 2)
    assert not empty.any()
