"""What a caller may choose for tracking."""

from __future__ import annotations

from dataclasses import dataclass, fields

__all__ = ["TrackerOptions"]


@dataclass(frozen=True)
class TrackerOptions:
    """How structures come, stay and go; the defaults are tuned on synthetic cines, see benchmarks/README.md.

    Attributes:
        min_score: 0..1, a detection at or above it begins a structure.
        low_share: 0..1, of `min_score`; a detection between that and `min_score` continues a structure that is shown.
        evidence_weight: 0..1, of the newest frame in the evidence for a structure, an average of its scores.
        show_share: of `min_score`; a structure is shown once its evidence is as high.
        hide_share: of `min_score`; and until its evidence is lower.
        duplicate_share: 0..1; if more of the smaller of two boxes of one kind lies in the larger one, and more of the
            smaller mask in the larger one, both are taken for one structure.
        hold_frames: missed frames over which a structure stays shown at the most.
        hold_s: seconds over which it stays shown at the most.
        lost_s: seconds after which a structure that comes back is another one, unless a fetus has it once; a pause
            between frames that is longer starts all afresh.
        jitter: standard deviation of a detected box's sides, as a share of its size.
        restlessness: how soon a side changes its speed: the spectral density of its acceleration, sizes^2 / s^3.
        mask_weight: 0..1, of the newest frame in a pixel's average. From 1 - sqrt(1/2) = 0.293 on, a pixel that is in
            two masks in a row is shown, whatever came before: masks change one frame late at the most. From 0.5 on the
            newest frame alone decides.
    """

    min_score: float = 0.3
    low_share: float = 0.5
    evidence_weight: float = 0.5
    show_share: float = 0.9
    hide_share: float = 0.65
    duplicate_share: float = 0.6
    hold_frames: int = 3
    hold_s: float = 0.25
    lost_s: float = 2.0
    jitter: float = 0.02
    restlessness: float = 0.3
    mask_weight: float = 0.3

    def __post_init__(self) -> None:
        for name in ("min_score", "low_share", "evidence_weight", "duplicate_share", "mask_weight"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must be within 0..1, got {value}")
        if self.hold_frames < 0:
            raise ValueError(f"hold_frames must be at least 0, got {self.hold_frames}")
        for field in fields(self):
            if field.name in ("hold_s", "lost_s", "jitter", "restlessness") and not getattr(self, field.name) > 0:
                raise ValueError(f"{field.name} must be above 0, got {getattr(self, field.name)}")

    @property
    def low_score(self) -> float:
        """The lowest score that says anything; post-processing has to return detections down to it."""
        return self.low_share * self.min_score
