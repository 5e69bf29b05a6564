"""Suppression: worked out by hand, against plain loops, and at its edges."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from fetalseg.postprocess import NMS_KINDS, NmsKind, NmsResult, nms
from fetalseg.postprocess.nms import pairwise_iou

# Three boxes of 10x10 in a row, each 2 to the right of the one before: neighbours overlap by 8/12 = 2/3, the outer two
# by 6/14 = 3/7.
CHAIN = np.array([[0, 0, 10, 10], [2, 0, 12, 10], [4, 0, 14, 10]], np.float32)
CHAIN_SCORES = np.array([0.9, 0.8, 0.7], np.float32)
ONE_CLASS = np.zeros(3, np.int64)


def rows(result: NmsResult) -> list[tuple[int, int, float]]:
    columns = zip(result.indices.tolist(), result.labels.tolist(), result.scores.tolist(), strict=True)
    return [(index, label, round(score, 4)) for index, label, score in columns]


def test_fast_lets_a_suppressed_box_suppress() -> None:
    assert rows(nms(CHAIN, CHAIN_SCORES, ONE_CLASS, kind="fast")) == [(0, 0, 0.9)]


def test_greedy_lets_only_boxes_that_stay_suppress() -> None:
    assert rows(nms(CHAIN, CHAIN_SCORES, ONE_CLASS, kind="greedy")) == [(0, 0, 0.9), (2, 0, 0.7)]


def test_linear_soft_nms_decays_by_one_minus_the_overlap_above_the_threshold() -> None:
    # B by A: 0.8 * (1 - 2/3); C isn't touched by A (3/7 < 0.5), comes second and decays B once more.
    expected = [(0, 0, 0.9), (2, 0, 0.7), (1, 0, round(0.8 / 9, 4))]
    assert rows(nms(CHAIN, CHAIN_SCORES, ONE_CLASS, kind="soft_linear")) == expected


def test_gaussian_soft_nms_decays_by_every_better_box() -> None:
    near, far = math.exp(-((2 / 3) ** 2) / 0.5), math.exp(-((3 / 7) ** 2) / 0.5)
    expected = [(0, 0, 0.9), (2, 0, round(0.7 * far, 4)), (1, 0, round(0.8 * near * near, 4))]
    assert rows(nms(CHAIN, CHAIN_SCORES, ONE_CLASS, kind="soft_gaussian")) == expected


def test_matrix_nms_compensates_for_how_far_the_decaying_box_is_overlapped() -> None:
    near, far = math.exp(-((2 / 3) ** 2) / 0.5), math.exp(-((3 / 7) ** 2) / 0.5)
    # C by A: far / 1; C by B: near / near = 1, because B is overlapped by A as much. The smaller one holds.
    expected = [(0, 0, 0.9), (2, 0, round(0.7 * far, 4)), (1, 0, round(0.8 * near, 4))]
    assert rows(nms(CHAIN, CHAIN_SCORES, ONE_CLASS, kind="matrix")) == expected


def test_sigma_is_the_width_of_the_decay() -> None:
    result = nms(CHAIN[:2], CHAIN_SCORES[:2], ONE_CLASS[:2], kind="soft_gaussian", sigma=2.0)
    assert result.scores[1] == pytest.approx(0.8 * math.exp(-(4 / 9) / 2))


@pytest.mark.parametrize("kind", ["fast", "greedy"])
def test_classes_do_not_suppress_each_other(kind: NmsKind) -> None:
    result = nms(CHAIN, CHAIN_SCORES, np.array([4, 1, 4]), kind=kind)
    assert rows(result) == [(0, 4, 0.9), (1, 1, 0.8), (2, 4, 0.7)]


def test_cross_class_kinds_suppress_over_classes_and_keep_the_labels() -> None:
    labels = np.array([4, 1, 2])
    assert rows(nms(CHAIN, CHAIN_SCORES, labels, kind="fast_cross_class")) == [(0, 4, 0.9)]
    assert rows(nms(CHAIN, CHAIN_SCORES, labels, kind="greedy_cross_class")) == [(0, 4, 0.9), (2, 2, 0.7)]


def test_a_table_of_scores_is_multi_label_within_classes_and_best_class_across_them() -> None:
    scores = np.array([[0.6, 0.5], [0.02, 0.9]])
    apart = np.array([[0, 0, 1, 1], [5, 5, 6, 6]])
    assert rows(nms(apart, scores, kind="fast")) == [(1, 1, 0.9), (0, 0, 0.6), (0, 1, 0.5)]
    assert rows(nms(apart, scores, kind="fast_cross_class")) == [(1, 1, 0.9), (0, 0, 0.6)]


def test_an_overlap_equal_to_the_threshold_is_harmless() -> None:
    # 9 wide, 3 apart: 6 / 12 = 0.5 exactly.
    boxes = np.array([[0, 0, 9, 4], [3, 0, 12, 4]])
    for kind in ("fast", "greedy", "soft_linear"):
        assert rows(nms(boxes, [0.9, 0.8], [0, 0], kind=kind, iou_threshold=0.5)) == [(0, 0, 0.9), (1, 0, 0.8)]


def test_overlap_is_of_continuous_boxes_without_an_extra_pixel() -> None:
    boxes = np.array([[0, 0, 2, 2], [1, 0, 3, 2], [7, 7, 7, 9], [7, 7, 7, 9]], np.float32)
    iou = pairwise_iou(boxes)
    assert iou[0, 1] == pytest.approx(1 / 3)
    # A box without area overlaps nothing, not even itself.
    assert iou[2].tolist() == [0, 0, 0, 0]


def test_the_score_threshold_is_met_by_equality_and_holds_after_decay() -> None:
    apart = np.array([[0, 0, 1, 1], [5, 5, 6, 6]])
    assert rows(nms(apart, [0.5, 0.49], [0, 0], kind="fast", score_threshold=0.5)) == [(0, 0, 0.5)]
    decayed = nms(CHAIN, CHAIN_SCORES, ONE_CLASS, kind="soft_linear", score_threshold=0.1)
    assert decayed.indices.tolist() == [0, 2]


@pytest.mark.parametrize("kind", NMS_KINDS)
def test_padding_never_comes_back(kind: NmsKind) -> None:
    scores = np.zeros((3, 2), np.float32)
    scores[1, 0] = 0.7
    assert rows(nms(CHAIN, scores, kind=kind, score_threshold=0.0)) == [(1, 0, 0.7)]


@pytest.mark.parametrize("kind", NMS_KINDS)
def test_equal_scores_keep_the_order_of_the_input(kind: NmsKind) -> None:
    boxes = np.array([[20 * i, 0, 20 * i + 10, 10] for i in range(12)])
    result = nms(boxes, np.full(12, 0.5), np.arange(12)[::-1] % 3, kind=kind)
    assert result.indices.tolist() == list(range(12))


def test_top_k_counts_within_each_class_and_max_detections_over_all() -> None:
    boxes = np.array([[20 * i, 0, 20 * i + 10, 10] for i in range(6)])
    scores, labels = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4], [0, 0, 0, 1, 1, 1]
    assert nms(boxes, scores, labels, kind="fast", top_k=2).indices.tolist() == [0, 1, 3, 4]
    assert nms(boxes, scores, labels, kind="fast_cross_class", top_k=2).indices.tolist() == [0, 1]
    assert nms(boxes, scores, labels, kind="greedy", max_detections=4).indices.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", NMS_KINDS)
def test_no_boxes_give_an_empty_result(kind: NmsKind) -> None:
    for scores, labels in ((np.empty(0), np.empty(0, np.int64)), (np.empty((0, 17)), None)):
        result = nms(np.empty((0, 4)), scores, labels, kind=kind)
        assert [column.shape for column in result] == [(0,), (0,), (0,)]
        assert [column.dtype for column in result] == [np.int64, np.float32, np.int64]


@pytest.mark.parametrize("kind", NMS_KINDS)
def test_arguments_are_left_alone(kind: NmsKind) -> None:
    boxes, scores, labels = CHAIN.copy(), CHAIN_SCORES.copy(), np.array([0, 1, 0])
    for column in (boxes, scores, labels):
        column.setflags(write=False)
    nms(boxes, scores, labels, kind=kind)
    assert boxes.tolist() == CHAIN.tolist()
    assert scores.tolist() == CHAIN_SCORES.tolist()
    assert labels.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"kind": "best"}, r"unknown kind of NMS 'best'; expected one of fast, fast_cross_class, greedy"),
        ({"boxes": CHAIN[0]}, r"boxes must have shape \[n, 4\], got \[4\]"),
        ({"boxes": CHAIN[:, :3]}, r"boxes must have shape \[n, 4\], got \[3, 3\]"),
        ({"boxes": np.where(CHAIN == 4, np.nan, CHAIN)}, r"boxes must be finite, got NaN or infinity in 1 of"),
        ({"scores": np.array([0.1, np.inf, 0.3])}, r"scores must be finite"),
        ({"scores": CHAIN_SCORES[:2]}, r"must have shape \[3\], got \[2\] and \[3\]"),
        ({"labels": np.zeros(2, np.int64)}, r"must have shape \[3\], got \[3\] and \[2\]"),
        ({"labels": np.zeros(3)}, r"labels must be integers, got float64"),
        ({"labels": None}, r"scores without labels must have shape \[3, C\], got \[3\]"),
        ({"labels": None, "scores": np.ones((2, 5))}, r"must have shape \[3, C\], got \[2, 5\]"),
        ({"iou_threshold": 1.5}, r"iou_threshold must be within 0..1, got 1.5"),
        ({"score_threshold": float("nan")}, r"score_threshold must be within 0..1, got nan"),
        ({"top_k": 0}, r"top_k must be at least 1, got 0"),
        ({"max_detections": -1}, r"max_detections must be at least 1, got -1"),
        ({"sigma": 0.0}, r"sigma must be above 0, got 0.0"),
    ],
)
def test_bad_arguments_are_named(changed: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"boxes": CHAIN, "scores": CHAIN_SCORES, "labels": ONE_CLASS, "kind": "fast"}
    arguments.update(changed)
    with pytest.raises(ValueError, match=message):
        nms(arguments.pop("boxes"), arguments.pop("scores"), arguments.pop("labels"), **arguments)


# The publications once more, as plain loops over one class. Each takes boxes and scores, best first, and returns the
# new scores, 0 for what goes.
Loop = Callable[[list[list[float]], list[float], float, float], list[float]]


def overlap(a: list[float], b: list[float]) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(width, 0.0) * max(height, 0.0)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def fast_loop(boxes: list[list[float]], scores: list[float], threshold: float, sigma: float) -> list[float]:
    return [
        0.0 if any(overlap(boxes[i], boxes[j]) > threshold for i in range(j)) else score
        for j, score in enumerate(scores)
    ]


def greedy_loop(boxes: list[list[float]], scores: list[float], threshold: float, sigma: float) -> list[float]:
    kept: list[int] = []
    for j in range(len(boxes)):
        if all(overlap(boxes[i], boxes[j]) <= threshold for i in kept):
            kept.append(j)
    return [score if j in kept else 0.0 for j, score in enumerate(scores)]


def soft_loop(decay: Callable[[float, float, float], float]) -> Loop:
    def loop(boxes: list[list[float]], scores: list[float], threshold: float, sigma: float) -> list[float]:
        current, waiting = list(scores), set(range(len(boxes)))
        while waiting:
            best = max(waiting, key=lambda j: (current[j], -j))
            waiting.remove(best)
            for j in waiting:
                current[j] *= decay(overlap(boxes[best], boxes[j]), threshold, sigma)
        return current

    return loop


def matrix_loop(boxes: list[list[float]], scores: list[float], threshold: float, sigma: float) -> list[float]:
    def f(iou: float) -> float:
        return math.exp(-iou * iou / sigma)

    largest = [max((overlap(boxes[k], boxes[i]) for k in range(i)), default=0.0) for i in range(len(boxes))]
    return [
        score * min((f(overlap(boxes[i], boxes[j])) / f(largest[i]) for i in range(j)), default=1.0)
        for j, score in enumerate(scores)
    ]


LOOPS: dict[NmsKind, Loop] = {
    "fast": fast_loop,
    "fast_cross_class": fast_loop,
    "greedy": greedy_loop,
    "greedy_cross_class": greedy_loop,
    "soft_linear": soft_loop(lambda iou, threshold, sigma: 1 - iou if iou > threshold else 1.0),
    "soft_gaussian": soft_loop(lambda iou, threshold, sigma: math.exp(-iou * iou / sigma)),
    "matrix": matrix_loop,
}


def by_loops(
    boxes: npt.NDArray[np.float32], scores: npt.NDArray[np.float32], kind: NmsKind, top_k: int, cut: int
) -> list[tuple[int, int, float]]:
    if kind.endswith("cross_class"):
        groups = [[(float(row.max()), i, int(row.argmax())) for i, row in enumerate(scores)]]
    else:
        groups = [[(float(s), i, label) for i, s in enumerate(column)] for label, column in enumerate(scores.T)]
    found = []
    for group in groups:
        best = sorted((g for g in group if g[0] >= 0.05), key=lambda g: -g[0])[:top_k]
        new = LOOPS[kind]([boxes[i].tolist() for _, i, _ in best], [s for s, _, _ in best], 0.4, 0.7)
        found += [(i, label, s) for s, (_, i, label) in zip(new, best, strict=True) if s >= 0.05]
    return sorted(found, key=lambda f: -f[2])[:cut]


@pytest.mark.parametrize("kind", NMS_KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_every_kind_equals_plain_loops_on_crowded_boxes(kind: NmsKind, seed: int) -> None:
    random = np.random.default_rng(seed)
    centre = random.choice(np.array([[50, 50], [80, 60], [120, 100]]), 90) + random.normal(0, 8, (90, 2))
    half = random.uniform(10, 30, (90, 2))
    boxes = np.concatenate([centre - half, centre + half], axis=1).astype(np.float32)
    scores = random.uniform(0, 1, (90, 3)).astype(np.float32)
    expected = by_loops(boxes, scores, kind, top_k=40, cut=60)
    result = nms(boxes, scores, kind=kind, iou_threshold=0.4, sigma=0.7, top_k=40, max_detections=60)
    assert list(zip(result.indices.tolist(), result.labels.tolist(), strict=True)) == [(i, c) for i, c, _ in expected]
    assert result.scores.tolist() == pytest.approx([s for _, _, s in expected], rel=1e-4)
