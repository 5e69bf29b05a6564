import numpy as np
import pytest
import torch

from fetalseg.data.frames import AnnotatedFrame
from fetalseg.model.anchors import encode
from fetalseg.model.yolact import RawPredictions, Yolact
from fetalseg.training.validation import average_precision, detect, validate


def test_average_precision_of_three_detections_for_two_truths():
    # Best first: hit, miss, hit. Precision 1 up to recall 0.5 (51 of 101 points), 2/3 up to recall 1 (50 points).
    assert average_precision([(0.5, False), (0.9, True), (0.1, True)], 2) == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_average_precision_without_detections_or_hits_is_zero():
    assert average_precision([], 3) == 0
    assert average_precision([(0.9, False)], 3) == 0


def test_truths_that_are_never_found_lower_the_average_precision():
    # Recall stops at 1/4: points 0, 0.01 .. 0.25.
    assert average_precision([(0.9, True)], 4) == pytest.approx(26 / 101)


class _Fixed(Yolact):
    """A network that says the same of every image: that the boxes given are there."""

    def says(self, boxes, labels, scores):
        anchors = len(self.anchors)
        logits = torch.full((1, anchors, 17), -20.0)
        deltas = torch.zeros(1, anchors, 4)
        for index, (box, label, score) in enumerate(zip(boxes, labels, scores, strict=True)):
            logits[0, index, label] = torch.tensor(score).logit()
            deltas[0, index] = encode(torch.tensor([box]), self.anchors[index : index + 1])[0]
        coefficients = torch.full((1, anchors, self.variant.prototypes), 1.0)
        prototypes = torch.full((1, self.variant.prototypes, *self.variant.prototype_shape), 1.0)
        self.answer = RawPredictions(logits, deltas, coefficients, prototypes, None)
        return self.eval()

    def forward(self, images):
        return RawPredictions(*(None if t is None else t.expand(len(images), *t.shape[1:]) for t in self.answer))


def test_duplicates_are_suppressed_and_boxes_cut_the_masks(tiny):
    network = _Fixed(tiny).says([[8.0, 8, 40, 40], [9.0, 8, 41, 40], [60.0, 8, 80, 24]], [0, 0, 5], [0.9, 0.8, 0.7])

    found = detect(network, torch.zeros(2, 1, 64, 96, dtype=torch.uint8))

    assert len(found) == 2
    assert found[0].labels.tolist() == [0, 5]
    torch.testing.assert_close(found[0].boxes, torch.tensor([[8.0, 8, 40, 40], [60, 8, 80, 24]]), atol=1e-3, rtol=0)
    # At a quarter of the size the first box covers 8 x 8 prototype pixels, the second 5 x 4.
    assert found[0].masks.sum(dim=(1, 2)).tolist() == [64, 20]


def test_scores_count_only_what_is_known(tiny, frames):
    truth = frames[0]
    box = truth.shapes[0].outline.min(0).tolist() + truth.shapes[0].outline.max(0).tolist()
    network = _Fixed(tiny).says([box, [0.0, 0, 20, 20]], [0, 16], [0.9, 0.9])

    scores = {s.structure: s for s in validate(network, [truth])}

    assert scores["cranium"].box == 1
    assert scores["cranium"].centre == 1
    # In cells of 4 px the ellipse fills 68 of the 96 that its box touches: IoU 0.708, found at 0.5 and not at 0.75.
    assert scores["cranium"].mask == 1
    assert scores["cranium"].mask75 == 0
    assert scores["cranium"].dice == pytest.approx(2 * 68 / (68 + 96))
    assert scores["nuchal_translucency"].box == 0
    assert scores["nuchal_translucency"].mask is None  # its truth has no mask
    assert scores["nuchal_translucency"].dice is None
    assert "spine" not in scores


def test_a_frame_where_nothing_is_found_has_a_dice_of_zero(tiny, frames):
    found = frames[0].shapes[0].outline
    network = _Fixed(tiny).says([found.min(0).tolist() + found.max(0).tolist()], [0], [0.9])
    elsewhere = next(f for f in frames[1:] if abs(f.shapes[0].outline.min(0) - found.min(0)).max() > 4)

    both = validate(network, [frames[0], elsewhere])[0]
    nothing = validate(_Fixed(tiny).says([], [], []), frames[:2])[0]

    assert both.dice < validate(network, frames[:1])[0].dice
    assert (nothing.box, nothing.mask, nothing.mask75, nothing.dice) == (0, 0, 0, 0)


def test_structures_are_called_by_the_names_of_their_taxonomy(tiny, frames):
    names = [f"part {number}" for number in range(17)]

    scores = validate(_Fixed(tiny).says([], [], []), frames[:1], structures=names)

    assert [score.structure for score in scores] == ["part 0", "part 5"]


def test_a_frame_where_a_structure_is_not_known_is_left_out(tiny, frames):
    hidden = AnnotatedFrame(frames[1].image, (), np.zeros(17, bool), 1, (64, 96))
    box = frames[0].shapes[0].outline.min(0).tolist() + frames[0].shapes[0].outline.max(0).tolist()
    network = _Fixed(tiny).says([box], [0], [0.9])

    scores = {s.structure: s for s in validate(network, [hidden, frames[0]])}

    # The same detection in the other frame would be a false positive of equal score.
    assert scores["cranium"].box == 1
    assert scores["cranium"].support == 1


def test_nothing_to_validate_on_gives_no_scores(tiny):
    assert validate(_Fixed(tiny).says([], [], []), []) == []
