"""How far the answers of two engines to the same frames are apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from fetalseg.instances import Instances
from fetalseg.verification.answers import FrameAnswer
from fetalseg.verification.counterparts import Counterparts, counterparts, mask_iou
from fetalseg.verification.decisions import Decisions
from fetalseg.verification.tolerances import Limits

__all__ = ["Differences", "compare"]

COMPARED_FROM = 0.1  # score of candidates


@dataclass
class Differences:
    """Sums over all frames.

    An instance that one side shows is held against its counterpart among all that the other side considered, so that
    the same anchor is compared even where two of nearly the same score swap places. What post-processing makes of
    almost equal scores is no difference between networks: it is counted as near a threshold, or as a tie.

    Attributes:
        instances: shown by the reference, and by the other.
        compared: instances with a counterpart.
        score: largest difference of their scores.
        box_px: largest difference of a coordinate of their boxes, in px of the frame.
        mask_ious: of their masks.
        off: instances of which one of these is beyond its tolerance.
        missing: shown by the reference and not found by the other, with a score that is safely above its threshold.
        extra: the reverse.
        near_threshold: shown by one side alone, with a score that is within tolerance of the threshold or of the cut.
        ties: shown by one side alone because suppression, or the choice of the best, fell out otherwise.
        candidates: from `COMPARED_FROM` on, of both sides.
        unusual: of these, how many differ by more than is usual in this precision, or are absent.
    """

    instances: tuple[int, int] = (0, 0)
    compared: int = 0
    score: float = 0.0
    box_px: float = 0.0
    mask_ious: list[float] = field(default_factory=list)
    off: int = 0
    missing: int = 0
    extra: int = 0
    near_threshold: int = 0
    ties: int = 0
    candidates: int = 0
    unusual: int = 0

    @property
    def smallest_mask_iou(self) -> float | None:
        """None where no instance was compared."""
        return min(self.mask_ious, default=None)

    @property
    def mean_mask_iou(self) -> float | None:
        """None where no instance was compared."""
        return float(np.mean(self.mask_ious)) if self.mask_ious else None

    @property
    def off_share(self) -> float:
        """0..1 of the instances compared."""
        return self.off / self.compared if self.compared else 0.0

    @property
    def unusual_share(self) -> float:
        """0..1 of the candidates."""
        return self.unusual / self.candidates if self.candidates else 0.0

    def faults(self, limits: Limits) -> list[str]:
        """What is beyond the tolerance, in words; empty: passed."""
        found = []
        if self.off > math.ceil(limits.off * self.compared):
            found.append(
                f"{self.off} of {self.compared} instances differ beyond the tolerance, allowed {limits.off:.0%}: "
                f"the score by up to {self.score:.2g}, the box by {self.box_px:.2g} px, "
                f"mask IoU {self.smallest_mask_iou:.4f}"
            )
        if self.mean_mask_iou is not None and self.mean_mask_iou < limits.mean_mask_iou:
            found.append(f"the mean mask IoU is {self.mean_mask_iou:.4f}, tolerance {limits.mean_mask_iou:g}")
        if self.missing or self.extra:
            found.append(f"{self.missing} instances of the reference are missing, {self.extra} are found beyond it")
        if self.unusual_share > limits.unusual:
            found.append(
                f"{100 * self.unusual_share:.1f} % of {self.candidates} candidates differ by more than "
                f"{limits.usual_score:g} or {limits.usual_box_px:.2g} px or are absent, tolerance "
                f"{100 * limits.unusual:g} %"
            )
        return found


def compare(
    reference: Sequence[FrameAnswer], found: Sequence[FrameAnswer], limits: Limits, decisions: Decisions
) -> Differences:
    """Holds the answers of an engine against those of the reference, both ways.

    Args:
        reference: of each frame, with all that was considered.
        found: of the same frames.
        limits: tolerance.
        decisions: of the post-processing behind both.
    """
    sums = Differences()
    for wanted, got in zip(reference, found, strict=True):
        assert wanted.considered is not None  # a reference runs here
        sums.instances = (sums.instances[0] + len(wanted.shown), sums.instances[1] + len(got.shown))
        sums.extra += _hold(sums, got.shown, wanted, limits, decisions)
        if got.considered is None:
            sums.missing += _hold_against_shown(sums, wanted, got.shown, limits, decisions)
            continue
        sums.missing += _hold(sums, wanted.shown, got, limits, decisions)
        for one, other in ((wanted.considered, got.considered), (got.considered, wanted.considered)):
            _count_unusual(sums, one, other, limits)
    return sums


def _hold(sums: Differences, shown: Instances, other: FrameAnswer, limits: Limits, decisions: Decisions) -> int:
    """Compares what one side shows with what the other considered; how many have no excuse for being absent there."""
    assert other.considered is not None
    pairs, seen = counterparts(shown, other.considered), counterparts(shown, other.shown)
    _measure(sums, shown, other.considered, pairs, limits)
    near = decisions.near_threshold(shown, limits.score) | decisions.near_cut(shown, other.shown, limits.score)
    absent = pairs.rows < 0
    decided_otherwise = ~absent & (seen.rows < 0)
    sums.near_threshold += int(np.count_nonzero((absent | decided_otherwise) & near))
    sums.ties += int(np.count_nonzero(decided_otherwise & ~near))
    return int(np.count_nonzero(absent & ~near))


def _hold_against_shown(
    sums: Differences, reference: FrameAnswer, shown: Instances, limits: Limits, decisions: Decisions
) -> int:
    """The same where the other side tells nothing but what it shows; those were measured the other way round."""
    assert reference.considered is not None
    absent = counterparts(reference.shown, shown).rows < 0
    lost = reference.shown[absent]
    near = decisions.near_threshold(lost, limits.score) | decisions.near_cut(lost, shown, limits.score)
    tied = ~near & decisions.displaced(lost, shown, reference.considered, limits.score)
    sums.near_threshold += int(np.count_nonzero(near))
    sums.ties += int(np.count_nonzero(tied))
    return int(np.count_nonzero(~near & ~tied))


def _measure(sums: Differences, found: Instances, among: Instances, pairs: Counterparts, limits: Limits) -> None:
    for i in np.flatnonzero(pairs.rows >= 0).tolist():
        j, score, box_px = int(pairs.rows[i]), float(pairs.scores[i]), float(pairs.boxes[i])
        iou = mask_iou(found.crops[i], found.crop_boxes[i], among.crops[j], among.crop_boxes[j])
        sums.compared += 1
        sums.score = max(sums.score, score)
        sums.box_px = max(sums.box_px, box_px)
        sums.mask_ious.append(iou)
        sums.off += score > limits.score or box_px > limits.box_px or iou < limits.mask_iou


def _count_unusual(sums: Differences, one: Instances, other: Instances, limits: Limits) -> None:
    found = one[one.scores >= COMPARED_FROM]
    pairs = counterparts(found, other)
    usual = (pairs.rows >= 0) & (pairs.scores <= limits.usual_score) & (pairs.boxes <= limits.usual_box_px)
    sums.candidates += len(found)
    sums.unusual += int(np.count_nonzero(~usual))
