import pytest

from fetalseg.training.progress import Progress, mean_score
from fetalseg.training.validation import Score


def _score(name, *, box, mask=None, mask75=None):
    return Score(name, support=5, box=box, mask=mask, mask75=mask75, dice=None, centre=1.0)


def test_sets_weigh_the_same_in_the_mean_however_many_structures_they_have():
    real = [_score("cranium", box=1.0, mask=0.8, mask75=0.6)]
    drawn = [_score(name, box=0.2) for name in ("hand", "foot", "thigh")]

    assert mean_score({"real": real, "drawn": drawn}) == pytest.approx((0.8 + 0.2) / 2)


def test_structures_weigh_the_same_whether_they_have_masks_or_not():
    rows = [_score("cranium", box=1.0, mask=1.0, mask75=1.0), _score("palate", box=0.0)]

    assert mean_score({"real": rows}) == 0.5


def test_without_held_out_frames_there_is_no_score():
    assert mean_score({}) is None
    assert mean_score({"real": []}) is None


def test_only_a_better_score_ends_a_streak():
    progress = Progress(step=10)

    assert progress.judge(0.5)
    progress.step = 20
    assert not progress.judge(0.5)
    assert not progress.judge(0.4)
    assert (progress.best, progress.best_step, progress.stale) == (0.5, 10, 2)
    assert progress.judge(0.6)
    assert (progress.best, progress.best_step, progress.stale) == (0.6, 20, 0)


def test_a_network_that_finds_nothing_yet_is_not_at_the_end_of_its_progress():
    progress = Progress()

    assert all(progress.judge(0.0) for _ in range(5))
    assert progress.stale == 0


def test_without_a_score_the_newest_weights_are_the_best():
    progress = Progress(step=3)

    assert progress.judge(None)
    progress.step = 4
    assert progress.judge(None)
    assert (progress.best, progress.best_step, progress.stale) == (-1, 4, 0)
