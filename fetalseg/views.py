"""Which standard view a frame shows, and which one a live picture shows.

The rule for one frame makes Figure 2 of Hong et al. (Prenatal Diagnosis 2026;46(7):966-973) precise: a view is there if
one of its essential structures is found. Limbs and spine are also seen inside the other views, so they decide only when
no other view is there. Frame by frame that rule flickers, where a structure's score crosses the threshold or two views
are close; `ViewFilter` steadies it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from fetalseg.anatomy import VIEWS, View, structure
from fetalseg.instances import Instances
from fetalseg.taxonomy import is_standard

__all__ = ["MIN_VIEW_SCORE", "ViewFilter", "view_of", "view_of_scores"]

MIN_VIEW_SCORE = 0.3  # an essential structure below it doesn't make a view

_FIRST = tuple(view for view in VIEWS if view.name in ("head", "neck", "thorax", "abdomen"))
_THEN = tuple(view for view in VIEWS if view.name in ("extremity", "spine"))
_LABELS = {view.name: frozenset(structure(name).label for name in view.essential) for view in VIEWS}

# At 25 FPS these make a new view appear with its third frame, 120 ms after the old one was last there: two frames in
# a row that show something else change nothing, and an operator doesn't notice the delay.
_TIME_S = 0.08  # after which a view that is gone keeps 1/e of its share
_LEAD = 0.5  # by which the share of another view must exceed that of the view shown
_GONE = 0.1  # a view with a smaller share isn't shown any more, even if nothing else leads


def view_of(instances: Instances) -> tuple[str, float] | None:
    """The view of a frame and the score of the essential structure that makes it, or None.

    Among head, neck, thorax and abdomen the highest score wins; only without any of these, the higher of extremity
    and spine. Of equal scores the view that comes first in `fetalseg.anatomy.VIEWS` wins. A model of other structures
    than the seventeen tells no view: it can't weigh the views that it has no structures of.
    """
    return _told(_scores(instances))


def view_of_scores(labels: Sequence[int], scores: Sequence[float]) -> tuple[str, float] | None:
    """As `view_of`, from labels 0..16 of the seventeen structures and their scores alone, both [N]."""
    return _told(_scores_by_view(labels, scores))


class ViewFilter:
    """The view of a live picture: follows `view_of` frame by frame, without its flicker.

    Each of the six views, and "none", has a share of the recent frames: the frames in which it won, weighted by
    exp(-age / 80 ms); the shares add up to one. The view shown changes when another one's share exceeds its own by 0.5,
    and to none when its own falls below 0.1 with no other in the lead. Shares depend on time and not on the number of
    frames, so that skipped frames and other frame rates don't matter. The first frame is believed at once: there is
    nothing before it that it could flicker against.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forgets all frames; the next one is the first."""
        self._shares: dict[str | None, float] = {}
        self._present: dict[str, float] = {}  # as a share, whether or not the view won
        self._sums: dict[str, float] = {}  # of scores, with the same weights
        self._shown: str | None = None
        self._time_s = -math.inf

    def update(self, instances: Instances, time_s: float) -> tuple[str, float] | None:
        """Takes the next frame.

        Args:
            instances: found in it.
            time_s: when, on any clock; a frame that isn't later than the one before it changes nothing.

        Returns:
            The view shown and its score, or None where no view is convincing. The score is that of the view's
            essential structures in the frames that had them, averaged with the same weights as the shares.
        """
        if time_s > self._time_s:
            fresh = 1 - math.exp(-(time_s - self._time_s) / _TIME_S)  # 1 for the first frame
            self._time_s = time_s
            self._weigh(_scores(instances), fresh)
            self._choose()
        return None if self._shown is None else (self._shown, self._sums[self._shown] / self._present[self._shown])

    def _weigh(self, scores: dict[str, float], fresh: float) -> None:
        """Gives a frame its weight in the shares and the mean scores."""
        winner = _best(_FIRST, scores) or _best(_THEN, scores)
        name = None if winner is None else winner[0]
        for known in {*self._shares, name}:
            self._shares[known] = (1 - fresh) * self._shares.get(known, 0.0) + fresh * (known == name)
        for view in {*self._sums, *scores}:
            self._present[view] = (1 - fresh) * self._present.get(view, 0.0) + fresh * (view in scores)
            self._sums[view] = (1 - fresh) * self._sums.get(view, 0.0) + fresh * scores.get(view, 0.0)

    def _choose(self) -> None:
        own = self._shares.get(self._shown, 0.0)
        leader = max(self._shares, key=lambda name: self._shares[name])
        if self._shares[leader] - own >= _LEAD:
            self._shown = leader
        elif own < _GONE:
            self._shown = None


def _scores(instances: Instances) -> dict[str, float]:
    """The highest score of each view's essential structures, where that makes the view."""
    if not is_standard(instances.structures):
        return {}
    return _scores_by_view(instances.labels.tolist(), instances.scores.tolist())


def _scores_by_view(labels: Sequence[int], scores: Sequence[float]) -> dict[str, float]:
    pairs = list(zip(labels, scores, strict=True))
    best = {name: max((s for label, s in pairs if label in own), default=0.0) for name, own in _LABELS.items()}
    return {name: score for name, score in best.items() if score >= MIN_VIEW_SCORE}


def _told(scores: dict[str, float]) -> tuple[str, float] | None:
    return _best(_FIRST, scores) or _best(_THEN, scores)


def _best(views: tuple[View, ...], scores: dict[str, float]) -> tuple[str, float] | None:
    present = [view.name for view in views if view.name in scores]
    if not present:
        return None
    name = max(present, key=lambda name: scores[name])  # of equal ones the first
    return name, scores[name]
