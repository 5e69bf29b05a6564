"""The check list of an examination: which structures and views have been seen, and the frame that shows each best.

It takes what was found, frame by frame, and keeps numbers only. Frames stay with the caller, who is asked whether
there is room for one before it becomes a best frame, and can ask at any time which frames are still needed.

**Seen.** Over half an hour almost any structure is found somewhere by mistake for a frame or two. So findings are
counted by appearance, a series without a gap of more than 0.5 s, and an entry is `seen` once an appearance has had
five frames, or at once with a score of 0.8. A view is `complete` once it is seen, and so is each of its essential
structures (`fetalseg.anatomy.View.essential`) in frames of that view: a hand beside the head is a hand that was seen,
but does not belong to an enlarged limb.

**Best.** The quality of a structure in a frame is its score squared times its sharpness: the square, so that a doubtful
finding in a sharp frame does not displace a certain one. The quality of a view is the sum over the structures that are
tested in it, so that the head with midline and plexus beats a bare cranium. A frame becomes the best one only with a
quality 10 % above the best so far: a picture that creeps from quality 1 to 100 replaces its best frame 48 times at most
(ln 100 / ln 1.1), not in each of thousands of frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from fetalseg.anatomy import STRUCTURES, VIEWS
from fetalseg.views import MIN_VIEW_SCORE

__all__ = ["Appearances", "BestFrame", "Changes", "CheckList", "FrameId", "Status", "StructureEntry", "ViewEntry"]

Status = Literal["not_yet", "seen", "complete"]

_MIN_SCORE = MIN_VIEW_SCORE  # a finding below it doesn't count
_STRONG_SCORE = 0.8  # of a finding that needs no other
_ENOUGH_FRAMES = 5  # of an appearance
_GAP_US = 500_000  # after which an appearance is over
_GAIN = 1.1  # by which a better frame must be better

_TESTED = {view.name: view.tested for view in VIEWS}


class FrameId(NamedTuple):
    """Which frame of a session.

    Attributes:
        sequence: as its sender numbered it; unique within a connection.
        time_us: a clock that never goes back; unique within a session.
    """

    sequence: int
    time_us: int


@dataclass(frozen=True)
class BestFrame:
    """The frame that shows a structure or a view best so far.

    Attributes:
        frame: which one.
        score: 0..1 of the structure or view in it.
        sharpness: of the structure, see `fetalseg.sharpness`; the mean of a view's structures.
        quality: what frames are compared by.
    """

    frame: FrameId
    score: float
    sharpness: float
    quality: float

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "sequence": self.frame.sequence,
            "time_us": self.frame.time_us,
            "score": round(self.score, 4),
            "sharpness": round(self.sharpness, 2),
        }


@dataclass(eq=False)
class Appearances:
    """When something was there.

    Attributes:
        frames: in which it was.
        times: number of appearances.
        first_us: time of the first frame; None before it.
        last_us: time of the latest.
        seen: for long enough, or clearly enough.
    """

    frames: int = 0
    times: int = 0
    first_us: int | None = None
    last_us: int | None = None
    seen: bool = False
    _run: int = 0  # frames of the latest appearance

    def note(self, score: float, time_us: int) -> None:
        """It is there."""
        if self.last_us is None or time_us - self.last_us > _GAP_US:
            self.times += 1
            self._run = 0
        self.first_us = time_us if self.first_us is None else self.first_us
        self.last_us = time_us
        self.frames += 1
        self._run += 1
        self.seen = self.seen or self._run >= _ENOUGH_FRAMES or score >= _STRONG_SCORE


@dataclass(eq=False)
class StructureEntry:
    """What is known of a structure.

    Attributes:
        appearances: when it was found.
        best: None before the first frame that could be kept.
    """

    appearances: Appearances = field(default_factory=Appearances)
    best: BestFrame | None = None

    @property
    def status(self) -> Status:
        """See the rules at the top of this file."""
        return "seen" if self.appearances.seen else "not_yet"

    @property
    def notable(self) -> tuple[object, ...]:
        """What a person who watches the list notices when it changes."""
        return self.status, self.best

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "status": self.status,
            "frames": self.appearances.frames,
            "times": self.appearances.times,
            "first_us": self.appearances.first_us,
            "last_us": self.appearances.last_us,
            "best": None if self.best is None else self.best.to_json(),
        }


@dataclass(eq=False)
class ViewEntry(StructureEntry):
    """What is known of a view.

    Attributes:
        essential: when each of its essential structures was found in frames of this view, by name.
    """

    essential: dict[str, Appearances] = field(default_factory=dict)

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the essential structures not seen in this view yet."""
        return tuple(name for name, appearances in self.essential.items() if not appearances.seen)

    @property
    def status(self) -> Status:
        """See the rules at the top of this file."""
        if not self.appearances.seen:
            return "not_yet"
        return "seen" if self.missing else "complete"

    @property
    def notable(self) -> tuple[object, ...]:
        """What a person who watches the list notices when it changes."""
        return self.status, self.best, self.missing

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {**super().to_json(), "missing": list(self.missing)}


class Changes(NamedTuple):
    """Names of the entries that have another status or best frame than before, or fewer structures missing."""

    structures: tuple[str, ...] = ()
    views: tuple[str, ...] = ()


class _Found(NamedTuple):
    """A structure in the frame at hand."""

    score: float
    sharpness: float

    @property
    def quality(self) -> float:
        return self.score**2 * self.sharpness


class CheckList:
    """The seventeen structures and six views of one examination.

    Attributes:
        structures: an entry for each structure, by name, in the order of `fetalseg.anatomy.STRUCTURES`.
        views: an entry for each view, by name, in the order of `fetalseg.anatomy.VIEWS`.
    """

    def __init__(self) -> None:
        self.structures = {entry.name: StructureEntry() for entry in STRUCTURES}
        self.views = {
            view.name: ViewEntry(essential={name: Appearances() for name in view.essential}) for view in VIEWS
        }
        self._frozen = False

    def update(
        self,
        frame: FrameId,
        findings: Iterable[tuple[int, float, float]],
        view: tuple[str, float] | None,
        *,
        frozen: bool = False,
        may_keep: Callable[[frozenset[FrameId]], bool] = lambda frames: True,
    ) -> Changes:
        """Takes the next frame.

        Args:
            frame: which one.
            findings: (label, score, sharpness) of each instance; labels are those of the seventeen structures.
            view: (name, score) that the picture shows, or None.
            frozen: a standing picture; only the first frame of a freeze counts, the others show nothing new.
            may_keep: asked with all frames that would be best frames of something from now on, this one among them;
                where it says no, the best frames stay as they are.

        Returns:
            What a person who watches the list notices.
        """
        repeated = frozen and self._frozen
        self._frozen = frozen
        if repeated:
            return Changes()
        found = _best_of_each(findings)
        touched: list[StructureEntry] = [self.structures[name] for name in found]
        if view is not None:
            touched.append(self.views[view[0]])
        before = [entry.notable for entry in touched]
        self._count(frame, found, view)
        self._keep_best(self._better(frame, found, view), may_keep)
        changed = {id(entry) for entry, was in zip(touched, before, strict=True) if entry.notable != was}
        return Changes(
            tuple(name for name in found if id(self.structures[name]) in changed),
            () if view is None or id(self.views[view[0]]) not in changed else (view[0],),
        )

    @property
    def frames(self) -> frozenset[FrameId]:
        """The best frames: what is worth keeping."""
        return frozenset(entry.best.frame for entry in self._entries() if entry.best is not None)

    def to_json(self) -> dict[str, dict[str, Any]]:
        """All entries by name, ready for JSON."""
        return self.part(Changes(tuple(self.structures), tuple(self.views)))

    def part(self, names: Changes) -> dict[str, dict[str, Any]]:
        """Some entries by name, ready for JSON."""
        return {
            "structures": {name: self.structures[name].to_json() for name in names.structures},
            "views": {name: self.views[name].to_json() for name in names.views},
        }

    def _entries(self) -> Sequence[StructureEntry]:
        return [*self.structures.values(), *self.views.values()]

    def _count(self, frame: FrameId, found: dict[str, _Found], view: tuple[str, float] | None) -> None:
        for name, finding in found.items():
            self.structures[name].appearances.note(finding.score, frame.time_us)
        if view is not None:
            entry = self.views[view[0]]
            entry.appearances.note(view[1], frame.time_us)
            for name in entry.essential.keys() & found.keys():
                entry.essential[name].note(found[name].score, frame.time_us)

    def _better(
        self, frame: FrameId, found: dict[str, _Found], view: tuple[str, float] | None
    ) -> dict[StructureEntry, BestFrame]:
        """The entries that this frame shows better than any before."""
        shown = {
            self.structures[name]: BestFrame(frame, finding.score, finding.sharpness, finding.quality)
            for name, finding in found.items()
        }
        if view is not None and (parts := [found[name] for name in _TESTED[view[0]] if name in found]):
            sharpness = sum(part.sharpness for part in parts) / len(parts)
            quality = sum(part.quality for part in parts)
            shown[self.views[view[0]]] = BestFrame(frame, view[1], sharpness, quality)
        return {
            entry: best
            for entry, best in shown.items()
            if entry.best is None or best.quality > _GAIN * entry.best.quality
        }

    def _keep_best(
        self, better: dict[StructureEntry, BestFrame], may_keep: Callable[[frozenset[FrameId]], bool]
    ) -> None:
        bests = (better.get(entry, entry.best) for entry in self._entries())
        if better and may_keep(frozenset(best.frame for best in bests if best is not None)):
            for entry, best in better.items():
                entry.best = best


def _best_of_each(findings: Iterable[tuple[int, float, float]]) -> dict[str, _Found]:
    """Of several instances of one structure, the one with the highest quality; by name."""
    found: dict[str, _Found] = {}
    for label, score, sharpness in findings:
        candidate = _Found(score, sharpness)
        name = STRUCTURES[label].name
        if score >= _MIN_SCORE and (name not in found or candidate.quality > found[name].quality):
            found[name] = candidate
    return found
