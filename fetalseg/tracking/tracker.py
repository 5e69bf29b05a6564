"""Identities and steadiness over time, after ByteTrack (Zhang et al., ECCV 2022).

Detections that are sure enough are matched with the structures known first, then those with low scores with
structures that are still without one: a structure that is hard to see for a moment is mostly found, with a low score.
Only structures of one kind are matched. How a structure comes and goes has hysteresis, so that it doesn't flicker;
its box is filtered and its mask averaged, so that they don't tremble.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from fetalseg.anatomy import STRUCTURES
from fetalseg.instances import Instances
from fetalseg.tracking.assignment import best_pairs
from fetalseg.tracking.box_filter import BoxFilter
from fetalseg.tracking.options import TrackerOptions
from fetalseg.tracking.steady_mask import PixelBox, SteadyMask

__all__ = ["Tracker"]

_SINGLE = frozenset(s.name for s in STRUCTURES if s.single)
_MARGIN = 0.25  # of a box's size, by which boxes are widened before they are compared: thin ones miss each other easily
_MIN_SIMILARITY = 0.1
_LOWEST_SCORE = 0.001  # what doesn't overlap at all is never similar, even if every score is welcome
# By how much a second place of a single structure must score better to replace the one shown, in that one's score, and
# how much less that is for each frame in which it is missed.
_FIRST_CHOICE = 0.15
_NEW_SCORE = 0.3  # weight of the newest score in what is told
# Tracks at a time: with a least score near 0 each frame brings dozens of new ones, and what is lost is remembered.
_MOST_TRACKS = 64

Box = tuple[float, float, float, float]


class _Track:
    """One structure.

    Attributes:
        label: of the structure.
        box: its filter.
        mask: its average, while it is on the screen; else the latest one, as long as it is shown.
        score: average of the scores that would begin a structure.
        identity: None as long as it has not been shown.
        evidence: for it to be there: average of all scores, 0 where it was missed.
        missed: frames since it was last found.
        seen_s: when it was last found.
        shown: whether there is enough evidence to show it.
        on_screen: whether it was shown in the latest frame; a second place of a single structure is not.
    """

    def __init__(self, detections: Instances, row: int, options: TrackerOptions, time_s: float) -> None:
        self.label = int(detections.labels[row])
        self.box = BoxFilter(detections.boxes[row].tolist(), options)
        self.mask = SteadyMask(options.mask_weight)
        self.score = float(detections.scores[row])
        self.identity: int | None = None
        self.evidence = self.score * options.evidence_weight
        self.missed = 0
        self.seen_s = time_s
        self.shown = False
        self.on_screen = False
        self._moved = (0.0, 0.0)
        self._row = row  # that it was last found in
        self._jumped = False

    def predict(self, seconds: float) -> None:
        """Time goes on."""
        before = self.box.centre
        self.box.predict(seconds)
        now = self.box.centre
        self._moved = now[0] - before[0], now[1] - before[1]

    def take(self, detections: Instances, row: int, options: TrackerOptions, time_s: float) -> None:
        """It was found."""
        self._row = row
        self._jumped = self.box.correct(detections.boxes[row].tolist())
        score = float(detections.scores[row])
        if score >= options.min_score:
            self.score = max(self.score + _NEW_SCORE * (score - self.score), options.min_score)
        self._weigh(score, options)
        self.missed = 0
        self.seen_s = time_s

    def take_mask(self, detections: Instances) -> None:
        """It was found, and is shown: now its mask is needed."""
        crop, region = detections.crops[self._row], _region(detections, self._row)
        if self._jumped or not self.on_screen:
            self.mask.start(crop, region)
        else:
            self.mask.mix(crop, region, self.box.box, detections.frame_shape)

    def miss(self, options: TrackerOptions, time_s: float) -> None:
        """It was not found."""
        self.missed += 1
        self.box.miss()
        self.mask.move(*self._moved)
        self._weigh(0.0, options)
        if self.missed > options.hold_frames or time_s - self.seen_s > options.hold_s:
            self.shown = False

    def _weigh(self, score: float, options: TrackerOptions) -> None:
        self.evidence += options.evidence_weight * (score - self.evidence)
        if self.evidence < options.hide_share * options.min_score:
            self.shown = False


class Tracker:
    """Follows the structures of one scan.

    Args:
        options: see there; they may be replaced between two frames.
        last_id: identities begin above it.

    Attributes:
        options: those of the next frame.
        last_id: the highest identity given so far. Identities increase and are never given twice.
    """

    def __init__(self, options: TrackerOptions | None = None, *, last_id: int = 0) -> None:
        self.options = options or TrackerOptions()
        self.last_id = last_id
        self.reset()

    def reset(self) -> None:
        """What comes has nothing to do with what was: another patient, probe or depth."""
        self._tracks: list[_Track] = []
        self._singles: dict[int, int] = {}  # identities, by label
        self._latest: Instances | None = None
        self._time_s = 0.0

    def update(self, instances: Instances, time_s: float) -> Instances:
        """Takes the detections of the next frame.

        Args:
            instances: detected in the frame, down to `options.low_score`, several of a structure that a fetus has
                once included; left as they are.
            time_s: when the frame was taken, on any clock that doesn't jump. A frame that isn't later than the one
                before it is taken for the same frame.

        Returns:
            The structures to show, best score first, with `track_ids`. No score is below `options.min_score`:
            detections below it keep a structure on the screen and don't change its score.
        """
        if self._latest is not None:
            if instances.frame_shape != self._latest.frame_shape or time_s - self._time_s > self.options.lost_s:
                self.reset()
            elif time_s <= self._time_s:
                return self._latest
        # Nothing that is seen so rarely can flicker, and its first frame should not be kept back until the second.
        first = self._latest is None or time_s - self._time_s > self.options.hold_s
        for track in self._tracks:
            track.predict(time_s - self._time_s)
        self._time_s = time_s
        unmatched = self._match(instances)
        self._begin(instances, unmatched, first=first)
        self._end()
        for track in self._tracks:
            if not track.shown:
                track.mask.clear()  # it is shown again with a new one at the earliest
            elif track.missed == 0:
                track.take_mask(instances)
        self._latest = self._shown(instances)
        return self._latest

    def _match(self, instances: Instances) -> list[int]:
        """Gives tracks their detections; returns the rows that could begin a structure and have no track."""
        strong = np.flatnonzero(instances.scores >= self.options.min_score)
        weak = np.flatnonzero(
            (instances.scores >= self.options.low_score) & (instances.scores < self.options.min_score)
        )
        waiting, strong_left = self._assign(self._tracks, instances, strong)
        shown, lost = [t for t in waiting if t.shown], [t for t in waiting if not t.shown]
        missed, _ = self._assign(shown, instances, weak)
        for track in (*missed, *lost):
            track.miss(self.options, self._time_s)
        return strong_left

    def _assign(
        self, tracks: list[_Track], instances: Instances, rows: npt.NDArray[np.intp]
    ) -> tuple[list[_Track], list[int]]:
        """Matches tracks with some rows; returns the tracks and rows left over."""
        if not tracks or len(rows) == 0:
            return tracks, rows.tolist()
        labels, scores = instances.labels[rows].tolist(), instances.scores[rows].tolist()
        found = [_widened(box) for box in instances.boxes[rows].tolist()]
        least = _MIN_SIMILARITY * max(self.options.low_score, _LOWEST_SCORE)
        taken_tracks: set[int] = set()
        taken_rows: set[int] = set()
        for label in {track.label for track in tracks} & set(labels):
            ours = [i for i, track in enumerate(tracks) if track.label == label]
            theirs = [j for j, other in enumerate(labels) if other == label]
            places = [_widened(tracks[i].box.box) for i in ours]
            block = [[_overlap(place, found[j]) * scores[j] for j in theirs] for place in places]
            for i, j in best_pairs(block, least):
                tracks[ours[i]].take(instances, int(rows[theirs[j]]), self.options, self._time_s)
                taken_tracks.add(ours[i])
                taken_rows.add(theirs[j])
        return (
            [track for i, track in enumerate(tracks) if i not in taken_tracks],
            [int(row) for j, row in enumerate(rows) if j not in taken_rows],
        )

    def _begin(self, instances: Instances, rows: Iterable[int], *, first: bool) -> None:
        """Starts tracks, and shows those that are due; those of a first frame are believed at once."""
        self._tracks += [_Track(instances, row, self.options, self._time_s) for row in rows]
        for track in self._tracks:
            if track.missed == 0 and not track.shown:
                if first:
                    track.evidence = track.score
                track.shown = track.evidence >= self.options.show_share * self.options.min_score

    def _end(self) -> None:
        """Drops what was never shown and isn't found any more, what has been gone for too long, and one too many."""
        kept = [
            track
            for track in self._tracks
            if track.missed == 0
            or track.shown
            or (track.identity is not None and self._time_s - track.seen_s <= self.options.lost_s)
        ]
        self._tracks = sorted(kept, key=lambda track: (not track.shown, -track.seen_s, -track.score))[:_MOST_TRACKS]

    def _shown(self, instances: Instances) -> Instances:
        height, width = instances.frame_shape
        visible = [
            track
            for track in self._tracks
            # A score may lie below a least score that has just been raised.
            if track.shown and track.score >= self.options.min_score and track.box.touches(width, height)
        ]
        tracks = self._distinct(self._first_places(visible, instances.structures))
        for track in self._tracks:
            track.on_screen = track in tracks
        tracks.sort(key=lambda track: -track.score)
        for track in tracks:
            self._identify(track, instances.structures)
        limit = np.array([width, height, width, height], np.float32)
        boxes = np.array([track.box.box for track in tracks], np.float32).reshape(-1, 4)
        masks = [track.mask.shown(instances.frame_shape) for track in tracks]
        return Instances(
            labels=np.array([track.label for track in tracks], np.int64),
            scores=np.array([track.score for track in tracks], np.float32),
            boxes=np.clip(boxes, 0, limit),
            crops=[crop for crop, _ in masks],
            crop_boxes=np.array([region for _, region in masks], np.int64).reshape(-1, 4),
            frame_shape=instances.frame_shape,
            track_ids=np.array([track.identity for track in tracks], np.int64),
            timing_ms=instances.timing_ms,
            structures=instances.structures,
        )

    def _identify(self, track: _Track, structures: tuple[str, ...]) -> None:
        """Gives a track that is shown its identity.

        A structure that a fetus has once keeps it wherever and whenever it turns up: it can be no other.
        """
        single = structures[track.label] in _SINGLE
        if single:
            track.identity = self._singles.get(track.label)
        if track.identity is None:
            self.last_id += 1
            track.identity = self.last_id
        if single:
            self._singles[track.label] = track.identity

    def _first_places(self, tracks: list[_Track], structures: tuple[str, ...]) -> list[_Track]:
        """One track of each structure that a fetus has once: the one on the screen, unless another is much better."""
        best: dict[int, tuple[float, _Track]] = {}
        for track in tracks:
            rank = _rank(track)
            if track.label not in best or rank > best[track.label][0]:
                best[track.label] = rank, track
        return [t for t in tracks if structures[t.label] not in _SINGLE or best[t.label][1] is t]

    def _distinct(self, tracks: list[_Track]) -> list[_Track]:
        """Leaves out a track that is mostly inside another one of its kind: both are one structure, boxed in two ways.

        Suppression goes by IoU and lets a small box in a large one stay. The one on the screen stays there unless the
        other is much better, as in `_first_places`.
        """
        kept: list[_Track] = []
        for track in sorted(tracks, key=_rank, reverse=True):
            if not any(track.label == other.label and self._same(track, other) for other in kept):
                kept.append(track)
        return kept

    def _same(self, one: _Track, other: _Track) -> bool:
        """By boxes, and by masks where there are any: limbs that cross have one box, but two masks."""
        limit = self.options.duplicate_share
        if _inside(one.box.box, other.box.box) <= limit:
            return False
        share = one.mask.share_inside(other.mask)
        return share is None or share > limit


def _rank(track: _Track) -> float:
    """Of a track among those of which one is to be shown."""
    return track.score + _FIRST_CHOICE * (track.on_screen - track.missed)


def _region(detections: Instances, row: int) -> PixelBox:
    x1, y1, x2, y2 = detections.crop_boxes[row].tolist()
    return x1, y1, x2, y2


def _widened(box: Sequence[float]) -> Box:
    x1, y1, x2, y2 = box
    margin = _MARGIN * math.sqrt(max(x2 - x1, 0.0) * max(y2 - y1, 0.0)) + 1
    return x1 - margin, y1 - margin, x2 + margin, y2 + margin


def _overlap(one: Box, other: Box) -> float:
    """Intersection over union; plain numbers, since a structure has a few instances in a frame."""
    both = _intersection(one, other)
    return both / (_area(one) + _area(other) - both) if both else 0.0


def _inside(one: Sequence[float], other: Sequence[float]) -> float:
    """Share of the smaller box that lies in the larger one."""
    return _intersection(one, other) / min(_area(one), _area(other))


def _intersection(one: Sequence[float], other: Sequence[float]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0.0) * max(height, 0.0)


def _area(box: Sequence[float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
