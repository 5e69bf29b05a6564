"""Which standard view a frame shows.

The rule makes Figure 2 of Hong et al. (Prenatal Diagnosis 2026;46(7):966-973) precise: a view is there if one of its
essential structures is found. Limbs and spine are also seen inside the other views, so they decide only when
no other view is there.
"""

from __future__ import annotations

from fetalseg.anatomy import VIEWS, View, structure
from fetalseg.instances import Instances
from fetalseg.taxonomy import is_standard

__all__ = ["MIN_VIEW_SCORE", "view_of"]

MIN_VIEW_SCORE = 0.3  # an essential structure below it doesn't make a view

_FIRST = tuple(view for view in VIEWS if view.name in ("head", "neck", "thorax", "abdomen"))
_THEN = tuple(view for view in VIEWS if view.name in ("extremity", "spine"))
_LABELS = {view.name: frozenset(structure(name).label for name in view.essential) for view in VIEWS}


def view_of(instances: Instances) -> tuple[str, float] | None:
    """The view of a frame and the score of the essential structure that makes it, or None.

    Among head, neck, thorax and abdomen the highest score wins; only without any of these, the higher of extremity
    and spine. Of equal scores the view that comes first in `fetalseg.anatomy.VIEWS` wins. A model of other structures
    than the seventeen tells no view: it can't weigh the views that it has no structures of.
    """
    if not is_standard(instances.structures):
        return None
    return _best(_FIRST, instances) or _best(_THEN, instances)


def _best(views: tuple[View, ...], instances: Instances) -> tuple[str, float] | None:
    best: tuple[str, float] | None = None
    for view in views:
        labels = _LABELS[view.name]
        found = [
            float(score) for label, score in zip(instances.labels, instances.scores, strict=True) if label in labels
        ]
        score = max(found, default=0.0)
        if score >= MIN_VIEW_SCORE and (best is None or score > best[1]):
            best = view.name, score
    return best
