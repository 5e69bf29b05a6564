from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torchvision.ops import box_iou

from fetalseg.data.augment import plain
from fetalseg.model.anchors import encode, to_corners
from fetalseg.model.variants import variant
from fetalseg.model.yolact import RawPredictions, Yolact
from fetalseg.training.batches import Batch, collate
from fetalseg.training.criterion import Criterion, assign, loss_config, matching_rules
from fetalseg.training.losses import LossConfig, crop_region


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
    criterion = Criterion(tiny, LossConfig(classification="quality_focal", box="ciou"), rules)

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
    criterion = Criterion(tiny, LossConfig(classification="quality_focal", thin_structures=thin_structures), rules)

    losses = criterion(raw, batch, network.anchors, torch.Generator())

    # A sure logit of 20 costs 20 for each unit that the target differs; 8 x 12 cells.
    assert losses.semantic.item() == pytest.approx(cost / 96, abs=1e-6)


@pytest.mark.parametrize("score", ["sigmoid", "softmax"])
def test_every_trainable_weight_gets_a_finite_gradient(tiny, batch, score):
    chosen = replace(tiny, score=score)
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
    assert (config.dice, config.thin_structures, config.masks_per_image) == (0, False, 100)
    assert (config.projection_weight, config.pairwise_weight) == (0, 0)
    assert (rules.positive_iou, rules.negative_iou, rules.at_least, rules.at_most) == (0.5, 0.4, 1, None)


def _match_as_published(boxes, anchors):
    """Labels 1.. by ground truth, 0 background, -1 ignored; one anchor at a time."""
    overlap = box_iou(boxes, to_corners(anchors))
    result = []
    for column in overlap.T:
        best = float(column.max())
        result.append(int(column.argmax()) + 1 if best >= 0.5 else -1 if best >= 0.4 else 0)
    for _ in boxes:  # the best pair left over, then without its row and column
        truth, anchor = divmod(int(overlap.argmax()), overlap.shape[1])
        result[anchor] = truth + 1
        overlap[truth], overlap[:, anchor] = -1, -1
    return result


def _losses_as_published(raw, batch, anchors, stride):
    """The four sums of Bolya et al. by the formulas, anchor by anchor, for frames with full labels and masks."""
    terms = dict.fromkeys(("classification", "box", "mask", "semantic"), 0.0)
    positives = 0
    for index, (boxes, labels, masks) in enumerate(zip(batch.boxes, batch.labels, batch.masks, strict=True)):
        matched = _match_as_published(boxes, anchors)
        negatives, own = [], sum(m > 0 for m in matched)
        positives += own
        for anchor, owner in enumerate(matched):
            logits = raw.class_logits[index, anchor]
            if owner == 0:
                negatives.append(float(logits.logsumexp(0) - logits[0]))
            if owner <= 0:
                continue
            box, label, mask = boxes[owner - 1], int(labels[owner - 1]), masks[owner - 1].float()
            terms["classification"] += float(logits.logsumexp(0) - logits[label + 1])
            wanted = encode(box[None], anchors[anchor][None])[0]
            for d in (raw.box_deltas[index, anchor] - wanted).abs().tolist():
                terms["box"] += 1.5 * (0.5 * d * d if d < 1 else d - 0.5)
            p = torch.einsum("k,khw->hw", raw.coefficients[index, anchor], raw.prototypes[index]).sigmoid()
            x1, y1, x2, y2 = (box / stride).tolist()
            entropy = sum(
                float(F.binary_cross_entropy(p[y, x], mask[y, x]))
                for y in range(p.shape[0])
                for x in range(p.shape[1])
                if y1 - 1 <= y < y2 + 1 and x1 - 1 <= x < x2 + 1
            )
            terms["mask"] += 6.125 * entropy / (x2 - x1) / (y2 - y1)
        terms["classification"] += sum(sorted(negatives, reverse=True)[: 3 * own])
        semantic = raw.semantic_logits[index].sigmoid()
        target = torch.zeros_like(semantic)
        for label, mask in zip(labels, masks, strict=True):
            cells = F.interpolate(mask[None, None].float(), semantic.shape[1:], mode="bilinear")[0, 0] > 0.5
            target[label] = torch.maximum(target[label], cells.float())
        cells = semantic.shape[1] * semantic.shape[2]
        terms["semantic"] += float(F.binary_cross_entropy(semantic, target, reduction="sum")) / cells / len(batch.boxes)
    return {name: value if name == "semantic" else value / positives for name, value in terms.items()}


def test_with_full_labels_the_reference_has_the_losses_of_yolact(tiny):
    torch.manual_seed(0)
    reference = replace(tiny, score="softmax")
    network = Yolact(reference).train()
    masks = torch.zeros(2, 16, 24, dtype=torch.uint8)
    masks[0, 2:9, 3:12], masks[1, 9:14, 10:21] = 1, 1
    boxes = torch.tensor([[12.0, 8, 48, 36], [41.5, 35.5, 83, 57]])
    batch = Batch(
        images=torch.randint(0, 256, (2, 1, 64, 96), dtype=torch.uint8),
        boxes=[boxes, boxes[1:]],
        labels=[torch.tensor([3, 3]), torch.tensor([16])],
        masks=[masks, masks[1:]],
        has_mask=[torch.tensor([True, True]), torch.tensor([True])],
        known=torch.ones(2, 17, dtype=torch.bool),
    )
    with torch.no_grad():
        raw = network(batch.images.float())
        raw = raw._replace(class_logits=raw.class_logits + torch.randn_like(raw.class_logits))

        criterion = Criterion(reference, loss_config(reference), matching_rules(reference))
        ours = criterion(raw, batch, network.anchors, torch.Generator())

    expected = _losses_as_published(raw, batch, network.anchors, 4)
    for name, value in expected.items():
        assert getattr(ours, name).item() == pytest.approx(value, rel=1e-4), name
    assert ours.total.item() == pytest.approx(sum(expected.values()), rel=1e-4)


def test_masks_of_drawn_structures_cost_the_same_beside_structures_without(tiny, batch):
    torch.manual_seed(0)
    network, rules = Yolact(tiny).train(), matching_rules(tiny)
    raw = network(batch.images.float())
    config = loss_config(tiny)
    drawn_only = batch._replace(
        boxes=[b[h] for b, h in zip(batch.boxes, batch.has_mask, strict=True)],
        labels=[b[h] for b, h in zip(batch.labels, batch.has_mask, strict=True)],
        masks=[b[h] for b, h in zip(batch.masks, batch.has_mask, strict=True)],
        has_mask=[h[h] for h in batch.has_mask],
    )

    def losses(config, batch):
        return Criterion(tiny, config, rules)(raw, batch, network.anchors, torch.Generator().manual_seed(0))

    both, masks = losses(config, batch), losses(config, drawn_only)
    without = losses(replace(config, projection_weight=0.0, pairwise_weight=0.0), batch)

    assert without.mask.item() == both.mask.item()
    assert masks.mask.item() == pytest.approx(both.mask.item(), rel=1e-6)
    assert (masks.projection.item(), masks.pairwise.item()) == (0, 0)
    assert (without.projection.item(), without.pairwise.item()) == (0, 0)
    assert both.projection > 0
    assert both.pairwise > 0


def test_the_mask_of_a_box_follows_the_prototypes_pixels(tiny, batch):
    network, rules = Yolact(tiny), matching_rules(tiny)
    raw = _perfect(network, batch, rules)
    config = loss_config(tiny)
    boxed = [m[1:] for m in batch.has_mask]
    batch = batch._replace(
        boxes=[b[1:] for b in batch.boxes],
        labels=[b[1:] for b in batch.labels],
        masks=[b[1:] for b in batch.masks],
        has_mask=boxed,
    )
    # The first prototype is now the box of the nuchal translucency, in pixels whose centres lie in it.
    for index, boxes in enumerate(batch.boxes):
        inside = crop_region(((boxes / 4) - 0.5).ceil(), 16, 24, margin=0)[0]
        raw.prototypes[index, 0] = inside.float() * 80

    losses = Criterion(tiny, config, rules)(raw, batch, network.anchors, torch.Generator())

    assert not torch.cat(boxed).any()
    assert losses.projection.item() == pytest.approx(0, abs=1e-4)
    assert losses.mask.item() == 0


def test_the_pairwise_term_comes_in_over_the_first_tenth_of_the_run(tiny, batch):
    torch.manual_seed(0)
    network = Yolact(tiny).train()
    raw = network(batch.images.float())
    criterion = Criterion(tiny, loss_config(tiny), matching_rules(tiny))

    terms = {
        progress: criterion(raw, batch, network.anchors, torch.Generator().manual_seed(0), progress=progress)
        for progress in (0.0, 0.05, 0.1, 1.0)
    }

    full = terms[1.0].pairwise.item()
    assert [terms[p].pairwise.item() for p in (0.0, 0.05, 0.1)] == pytest.approx([0, full / 2, full])
    assert terms[0.0].projection.item() == terms[1.0].projection.item() > 0


def test_frames_weigh_by_their_matched_anchors_though_few_of_them_are_drawn(tiny, batch):
    network, rules = Yolact(tiny), matching_rules(tiny)
    raw = _perfect(network, batch, rules)
    # Every mask of the first frame is missed; the second frame has twice as many anchors with masks, all right: the
    # band's mask is empty, and the first prototype, the cranium, lies below it.
    raw.prototypes[0, 0] = 0
    batch = batch._replace(has_mask=[batch.has_mask[0], torch.tensor([True, True])])
    config = LossConfig(classification="quality_focal", box="ciou")

    def mask(at_most):
        criterion = Criterion(tiny, replace(config, masks_per_image=at_most), rules)
        return criterion(raw, batch, network.anchors, torch.Generator()).mask.item()

    assert mask(1) == pytest.approx(mask(100), rel=1e-5)
    assert mask(1) > 1
