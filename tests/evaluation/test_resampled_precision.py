"""The recount in many resamples is that of one at a time, and that of a set which holds its frames so many times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from fetalseg.data.records import ImageRecord
from fetalseg.evaluation.bootstrap import Draws, draw_resamples
from fetalseg.evaluation.matches import Matches
from fetalseg.evaluation.precision import average_precision, precision_recall
from fetalseg.evaluation.resampled_precision import (
    precision_figures,
    resampled_precision,
    weighted_average_precision,
)


def matches(
    scores: list[float],
    frames: list[int],
    matched: list[bool],
    positives: list[int],
    ignored: list[bool] | None = None,
) -> Matches:
    """The same at all IoU thresholds, one area range."""
    width = len(scores)
    return Matches(
        scores=np.array(scores, np.float64),
        frames=np.array(frames, np.int64),
        matched=np.broadcast_to(np.array(matched, np.bool_), (1, 10, width)).copy(),
        ignored=np.broadcast_to(np.array(ignored or [False] * width, np.bool_), (1, 10, width)).copy(),
        positives=np.array([positives], np.int64),
    )


def random_matches(seed: int, *, ignored_share: float) -> Matches:
    """40 frames with 0 to 2 ground truths and some detections; what matches is a matter of chance."""
    generator = np.random.default_rng(seed)
    positives = generator.integers(0, 3, 40)
    frames, scores, matched = [], [], []
    for frame, count in enumerate(positives):
        rows = np.sort(generator.random(generator.integers(0, 5)).round(2))[::-1]
        limits = generator.random(len(rows)) if count else np.zeros(len(rows))
        hits = limits[:, None] > np.linspace(0.3, 0.9, 10)
        hits &= np.cumsum(hits, axis=0) <= count
        frames += [frame] * len(rows)
        scores += rows.tolist()
        matched += hits.tolist()
    true = np.array(matched, np.bool_).reshape(-1, 10).T[None]
    ignored = ~true & (generator.random(true.shape) < ignored_share)
    return Matches(np.array(scores), np.array(frames, np.int64), true, ignored, positives[None])


def draws(weights: npt.NDArray[np.int64]) -> Draws:
    return Draws(weights, "by image, optimistic", weights.shape[1], 0)


@pytest.mark.parametrize("ignored_share", [0, 0.3])
def test_many_resamples_at_once_are_as_one_after_another(ignored_share: float) -> None:
    rows = random_matches(1, ignored_share=ignored_share)
    # More than fit into one part.
    weights = np.random.default_rng(2).integers(0, 3, (150, 40))
    at_once = weighted_average_precision(rows, weights)
    assert at_once.shape == (150, 10)
    for row, found in zip(weights, at_once, strict=True):
        assert found == pytest.approx(precision_recall(rows, weights=row).precision.mean(axis=1), abs=1e-12)
    assert at_once.std(axis=0).min() > 0.01


def test_a_weight_of_two_is_a_frame_that_the_set_holds_twice() -> None:
    # The truth of frame 0 is found at 0.9, that of frame 1 missed, and there is a false detection at 0.95 in frame 1.
    once = matches([0.9, 0.95], [0, 1], [True, False], [1, 1])
    twice = matches([0.9, 0.9, 0.95], [0, 1, 2], [True, True, False], [1, 1, 1])
    weighted = weighted_average_precision(once, np.array([[2, 1]]))[0, 0]
    # Precision 2/3 up to recall 2/3, which is 67 of the 101 points.
    assert weighted == pytest.approx(2 / 3 * 67 / 101)
    assert weighted == pytest.approx(average_precision(twice).ap50)


def test_what_is_ignored_counts_neither_way() -> None:
    rows = matches([0.9, 0.8], [0, 0], [False, True], [1], ignored=[True, False])
    assert weighted_average_precision(rows, np.array([[1], [4]]))[:, 0] == pytest.approx([1, 1])


def test_a_resample_without_ground_truth_has_no_figure() -> None:
    rows = matches([0.9, 0.8], [0, 1], [True, False], [1, 0])
    found = weighted_average_precision(rows, np.array([[1, 1], [0, 2]]))
    assert found[0] == pytest.approx(np.ones(10))
    assert np.isnan(found[1]).all()


def test_nothing_found_scores_zero_and_no_ground_truth_scores_nothing() -> None:
    missed = resampled_precision(matches([], [], [], [1, 2]), draws(np.array([[1, 1]])))
    assert (missed["AP50"].value, missed["AP50"].values.tolist()) == (0, [0])
    nothing = resampled_precision(matches([0.9], [0], [False], [0, 0]), draws(np.array([[1, 1]])))
    assert (nothing["AP"].value, nothing["AP"].interval) == (None, None)


def test_each_measure_has_its_thresholds() -> None:
    rows = matches([0.9], [0], [True], [1])
    rows.matched[0, 4:] = False  # found at IoU 0.5, 0.55, 0.6, 0.65
    figures = resampled_precision(rows, draws(np.array([[1], [3]])))
    assert {measure: figure.value for measure, figure in figures.items()} == pytest.approx(
        {"AP": 0.4, "AP50": 1, "AP75": 0}
    )
    assert figures["AP"].values == pytest.approx([0.4, 0.4])


def test_the_mean_is_over_the_structures_with_ground_truth() -> None:
    by_label = {
        0: matches([0.9], [0], [True], [1, 0]),
        1: matches([0.9], [1], [False], [1, 0]),
        2: matches([], [], [], [0, 0]),
    }
    figures = precision_figures({"box": by_label}, ("cranium", "heart", "cord"), draws(np.array([[1, 1], [0, 2]])))
    assert list(figures)[:3] == ["mean.box.AP", "cranium.box.AP", "heart.box.AP"]
    mean = figures["mean.box.AP50"]
    assert mean.value == pytest.approx(0.5)
    assert mean.interval is not None
    assert mean.interval.dropped == 1
    assert figures["cord.box.AP50"].value is None


def test_weights_of_other_frames_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected weights of 2 frames, got an array of shape \(1, 3\)"):
        weighted_average_precision(matches([], [], [], [1, 1]), np.ones((1, 3), np.int64))


def test_the_interval_covers_the_figure_of_the_population_about_as_often_as_it_says() -> None:
    # 300 sets of 60 patients with one frame each, whose structure is found with chance 0.7 and nothing false: AP50 is
    # the recall, by the 101 points. Of 300 intervals of 95 %, 285 are expected to hold it; the percentile interval
    # of a share is known to hold a little less.
    generator = np.random.default_rng(3)
    patients = [ImageRecord(n, Path("x"), 10, 10, frozenset(), (), patient=str(n)) for n in range(60)]
    shared = draw_resamples(patients, resamples=400)
    covered = 0
    for _ in range(300):
        hits = np.flatnonzero(generator.random(60) < 0.7)
        one = matches([0.9] * len(hits), hits.tolist(), [True] * len(hits), [1] * 60)
        interval = resampled_precision(one, shared)["AP50"].interval
        assert interval is not None
        covered += interval.low <= 0.7 <= interval.high
    assert 270 <= covered <= 294
