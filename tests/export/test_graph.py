from dataclasses import replace

import pytest
import torch

from fetalseg.candidates import Candidates
from fetalseg.export.graph import CandidateGraph, ranking_key
from fetalseg.export.verify import compare, structured_frames
from fetalseg.model import Yolact
from fetalseg.model.anchors import decode


def run(network, candidates, batch=2):
    frames = torch.from_numpy(structured_frames(network.variant.input, batch))
    with torch.inference_mode():
        raw = network(frames.permute(0, 3, 1, 2).float())
        return raw, CandidateGraph(network, candidates)(frames)


def every_anchor(network, raw, scores):
    """Candidates without a cut, in the order of the anchors."""
    boxes = decode(raw.box_deltas, network.anchors)
    return Candidates(*(t.numpy() for t in (scores, boxes, raw.coefficients, raw.prototypes)))


def check_same_rows(expected, tensors):
    differences = compare(expected, Candidates(*(tensor.numpy() for tensor in tensors)), "structured")
    assert max(difference.largest for difference in differences) < 1e-4


def test_the_best_anchor_of_a_faint_structure_ranks_beside_that_of_a_clear_one():
    scores = torch.tensor([[[0.9, 0.0], [0.45, 0.01], [0.09, 0.2]]])
    # best scores 0.9 and 0.2: keys max(1, 0), max(0.5, 0.05), max(0.1, 1)
    torch.testing.assert_close(ranking_key(scores), torch.tensor([[1.0, 0.5, 1.0]]))


def test_scores_below_the_floor_are_no_reason_to_keep_an_anchor():
    scores = torch.tensor([[[0.9, 0.0], [0.0, 0.01], [0.45, 0.005]]])
    # the second structure's best, 0.01, counts as a fifth of 0.05
    torch.testing.assert_close(ranking_key(scores), torch.tensor([[1.0, 0.2, 0.5]]))


def test_with_room_for_all_anchors_nothing_is_lost(network):
    raw, candidates = run(network, len(network.anchors))
    check_same_rows(every_anchor(network, raw, raw.class_logits.sigmoid()), candidates)


def test_the_cut_keeps_the_anchors_of_highest_rank(network):
    raw, candidates = run(network, 40)
    assert candidates.scores.shape == (2, 40, 17)
    scores = raw.class_logits.sigmoid()
    check_same_rows(every_anchor(network, raw, scores), candidates)
    best = scores.amax(dim=1)
    found = best >= 0.05
    assert found.any()
    torch.testing.assert_close(candidates.scores.amax(dim=1)[found], best[found])


def test_missing_anchors_are_padded_with_score_0(network):
    count = len(network.anchors)
    _, candidates = run(network, count + 5)
    assert candidates.scores.shape == (2, count + 5, 17)
    assert not candidates.scores[:, count:].any()
    assert not candidates.boxes[:, count:].any()
    assert not candidates.coefficients[:, count:].any()


def test_a_softmax_variant_loses_its_background(network):
    torch.manual_seed(0)
    softmax = Yolact(replace(network.variant, score="softmax")).eval()
    raw, candidates = run(softmax, len(softmax.anchors), batch=1)
    assert raw.class_logits.shape[-1] == 18
    probabilities = torch.softmax(raw.class_logits, dim=-1)[..., 1:]
    check_same_rows(every_anchor(softmax, raw, probabilities), candidates)


def test_at_least_one_candidate_is_kept(network):
    with pytest.raises(ValueError, match="at least 1, got 0"):
        CandidateGraph(network, 0)
