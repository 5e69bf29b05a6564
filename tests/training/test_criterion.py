import pytest
import torch

from fetalseg.data.augment import plain
from fetalseg.model.anchors import encode
from fetalseg.model.variants import variant
from fetalseg.model.yolact import RawPredictions, Yolact
from fetalseg.training.batches import Batch, collate
from fetalseg.training.criterion import Criterion, assign, loss_config, matching_rules
from fetalseg.training.losses import LossConfig


@pytest.fixture
def batch(tiny, frames):
    return collate([plain(f, tiny.input, tiny.prototype_shape) for f in frames[:2]], 1)


def _perfect(network, batch, rules):
    """Predictions that say exactly what the ground truth is; the first prototypes are the masks."""
    anchors, tiny = network.anchors, network.variant
    assigned = assign(batch, anchors, rules)
    size = (len(batch.boxes), len(anchors))
    logits = torch.full((*size, 17), -20.0)
    logits[assigned.image, assigned.anchor, assigned.label] = 20
    deltas = torch.zeros(*size, 4)
    deltas[assigned.image, assigned.anchor] = encode(assigned.box, anchors[assigned.anchor])
    prototypes = torch.zeros(size[0], tiny.prototypes, *tiny.prototype_shape)
    prototypes[:, 0] = torch.stack([m[0].float() for m in batch.masks]) * 80
    prototypes[:, 1] = 40
    coefficients = torch.zeros(*size, tiny.prototypes)
    coefficients[..., 0], coefficients[..., 1] = 1, -1
    semantic = torch.full((size[0], 17, *tiny.level_shapes[0]), -20.0)
    return RawPredictions(logits, deltas, coefficients, prototypes, semantic)


def test_perfect_predictions_cost_nothing(tiny, batch):
    network, rules = Yolact(tiny), matching_rules(tiny)
    raw = _perfect(network, batch, rules)

    losses = Criterion(tiny, loss_config(tiny), rules)(raw, batch, network.anchors, torch.Generator())

    assert losses.classification.item() == pytest.approx(0, abs=1e-4)
    assert losses.box.item() == pytest.approx(0, abs=1e-4)
    assert losses.mask.item() == pytest.approx(0, abs=1e-2)


def test_boxes_without_masks_are_left_out_of_the_mask_and_semantic_terms(tiny, batch):
    network, rules = Yolact(tiny), matching_rules(tiny)
    raw = _perfect(network, batch, rules)
    wrong = raw.semantic_logits.clone()
    wrong[:, 5] = 20  # the nuchal translucency has a box only
    wrong[:, 16] = 20  # the spine is not known
    criterion = Criterion(tiny, LossConfig(classification="focal", box="giou"), rules)

    right = criterion(raw, batch, network.anchors, torch.Generator())
    other = criterion(raw._replace(semantic_logits=wrong), batch, network.anchors, torch.Generator())

    assert other.semantic.item() == pytest.approx(right.semantic.item())
    wrong[:, 1] = 20  # the choroid plexus is known to be absent
    assert criterion(raw._replace(semantic_logits=wrong), batch, network.anchors, torch.Generator()).semantic > 10


@pytest.mark.parametrize(("thin_structures", "cost"), [(False, 0), (True, 0.25 * 20 + 0.5 * 20)])
def test_the_reference_learns_semantic_cells_that_are_covered_by_more_than_half(tiny, thin_structures, cost):
    masks = torch.zeros(1, 16, 24, dtype=torch.uint8)
    masks[0, 0, 0], masks[0, 1, :4] = 1, 1  # 3 of the 4 pixels of the first cell, 2 of the second
    batch = Batch(
        images=torch.zeros(1, 1, 64, 96, dtype=torch.uint8),
        boxes=[torch.tensor([[0.0, 0, 16, 8]])],
        labels=[torch.tensor([0])],
        masks=[masks],
        has_mask=[torch.tensor([True])],
        known=torch.ones(1, 17, dtype=torch.bool),
    )
    network, rules = Yolact(tiny), matching_rules(tiny)
    raw = _perfect(network, batch, rules)
    raw.semantic_logits[0, 0, 0, 0] = 20  # sure of the first cell and of no other
    criterion = Criterion(tiny, LossConfig(classification="focal", thin_structures=thin_structures), rules)

    losses = criterion(raw, batch, network.anchors, torch.Generator())

    # A sure logit of 20 costs 20 for each unit that the target differs; 8 x 12 cells.
    assert losses.semantic.item() == pytest.approx(cost / 96, abs=1e-6)


@pytest.mark.parametrize("name", ["fetalseg-test", "softmax"])
def test_every_trainable_weight_gets_a_finite_gradient(tiny, batch, name):
    from dataclasses import replace

    chosen = tiny if name == "fetalseg-test" else replace(tiny, score="softmax")
    torch.manual_seed(0)
    network = Yolact(chosen).train()
    criterion = Criterion(chosen, loss_config(chosen), matching_rules(chosen))

    criterion(network(batch.images.float()), batch, network.anchors, torch.Generator()).total.backward()

    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert torch.isfinite(parameter.grad).all(), parameter_name


def test_a_batch_without_any_structure_is_a_normal_case(tiny, batch):
    empty = batch._replace(
        boxes=[b[:0] for b in batch.boxes],
        labels=[b[:0] for b in batch.labels],
        masks=[b[:0] for b in batch.masks],
        has_mask=[b[:0] for b in batch.has_mask],
    )
    network = Yolact(tiny).train()
    criterion = Criterion(tiny, loss_config(tiny), matching_rules(tiny))

    losses = criterion(network(batch.images.float()), empty, network.anchors, torch.Generator())

    losses.total.backward()
    assert losses.box.item() == 0
    assert losses.mask.item() == 0
    assert losses.classification > 0


def test_the_reference_keeps_the_published_weights_and_thresholds():
    reference = variant("yolact-r50")

    config, rules = loss_config(reference), matching_rules(reference)

    weights = (config.class_weight, config.box_weight, config.mask_weight, config.semantic_weight)
    assert weights == (1, 1.5, 6.125, 1)
    assert (config.classification, config.box, config.hard_negatives) == ("cross_entropy", "smooth_l1", 3)
    assert (config.dice, config.thin_structures) == (0, False)
    assert (rules.positive_iou, rules.negative_iou, rules.at_least, rules.at_most) == (0.5, 0.4, 1, None)
