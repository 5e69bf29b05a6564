"""The figures by which two systems are compared, each with its resamples, under names that a rule can hold.

    nasal_bone.mask.AP50            average precision, by box and by mask; "mean" for the mean over the structures
    nasal_bone.overlap.centre_hit   of the best detections, see `fetalseg.evaluation.overlap`; Dice if both have masks
    nasal_bone.centre.recall        a share of Table 3, by the match rule of this name

A requirement of one system names them in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fetalseg.anatomy import VIEWS
from fetalseg.data.records import CocoSet
from fetalseg.evaluation.best_detection import MatchRule
from fetalseg.evaluation.bootstrap import Draws, Resampled
from fetalseg.evaluation.overlap import overlap_outcomes
from fetalseg.evaluation.resampled_overlap import resampled_overlap
from fetalseg.evaluation.resampled_precision import figure_name, figure_names
from fetalseg.evaluation.resampled_shares import SHARES, resampled_shares
from fetalseg.evaluation.scored_frames import ScoredFrame
from fetalseg.evaluation.structure_tables import structure_outcomes

__all__ = ["OVERLAP", "best_detection_figures", "compared_names"]

OVERLAP = "overlap"

_RULE: MatchRule = "centre"
# By the detections of which kind: masks carry no box of their own.
_MEASURES = {"box": "centre_hit", "mask": "dice"}


def compared_names(structures: Sequence[str], kinds: Sequence[str]) -> list[str]:
    """The names of all figures that two systems share, average precision first.

    Args:
        structures: those compared.
        kinds: "box", and "mask" if both systems have masks.
    """
    tested = {name for view in VIEWS for name in view.tested}
    names = figure_names(structures, kinds)
    names += [figure_name(name, OVERLAP, _MEASURES[kind]) for kind in kinds for name in structures]
    return names + [figure_name(name, _RULE, share) for name in structures if name in tested for share in SHARES]


def best_detection_figures(
    frames: Mapping[str, Sequence[ScoredFrame]], truth: CocoSet, structures: Sequence[str], draws: Draws
) -> dict[str, Resampled]:
    """What the best detections of one system come to: centre hits, Dice and the shares of Table 3.

    Args:
        frames: those of the set with what was found in them, by kind.
        truth: the set.
        structures: those compared.
        draws: over the same frames.

    Returns:
        By name, see `compared_names`.

    Raises:
        DataError: a mask of the ground truth covers no pixel.
    """
    figures = {}
    for kind, found in frames.items():
        for one in overlap_outcomes(found, truth, {}):
            if one.structure in structures:
                name = figure_name(one.structure, OVERLAP, _MEASURES[kind])
                figures[name] = resampled_overlap(one, draws)[_MEASURES[kind]]
    for row in structure_outcomes(frames["box"], truth, _RULE):
        if row.structure in structures:
            shares = resampled_shares(row, draws)
            figures |= {figure_name(row.structure, _RULE, share): shares[share] for share in SHARES}
    return figures
