"""A session's examination: its check list, and the best frames as they came, in memory and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from fetalseg.examination import Changes, CheckList, FrameId
from fetalseg_server.options import SessionOptions
from fetalseg_server.protocol import FrameFlag, FrameHeader
from fetalseg_server.worker.jobs import Answer

__all__ = ["Examination", "KeptFrame"]


@dataclass(frozen=True, eq=False)
class KeptFrame:
    """A best frame: all that is needed to draw it again.

    Attributes:
        header: as it came.
        payload: as it came, still coded.
        options: of its session at that time.
    """

    header: FrameHeader
    payload: memoryview
    options: SessionOptions

    @property
    def to_draw(self) -> SessionOptions:
        """The options with which it is drawn: the same findings, with their masks, however long it takes."""
        return self.options.changed({"masks": "polygon", "deadline_ms": None})


class Examination:
    """What a session with `examination: true` collects.

    Args:
        max_bytes: of the payloads kept; a frame that doesn't fit beside the others becomes no best frame.

    Attributes:
        check_list: what was seen.
    """

    def __init__(self, max_bytes: int) -> None:
        self.check_list = CheckList()
        self._max_bytes = max_bytes
        self._frames: dict[FrameId, KeptFrame] = {}
        self._untold_structures: set[str] = set()
        self._untold_views: set[str] = set()
        self.tell_everything()

    @property
    def frames(self) -> dict[FrameId, KeptFrame]:
        """The best frames of now, each once."""
        return dict(self._frames)

    @property
    def kept_bytes(self) -> int:
        """Of the payloads."""
        return self._size(self._frames)

    def note(self, frame: KeptFrame, received_ns: int, answer: Answer) -> None:
        """Takes a frame with its result.

        Args:
            frame: kept only if it shows something best.
            received_ns: the monotonic clock at its last byte.
            answer: with view and findings.
        """
        frame_id = FrameId(frame.header.sequence, received_ns // 1000)
        self._frames[frame_id] = frame
        changes = self.check_list.update(
            frame_id,
            answer.findings,
            answer.view,
            frozen=bool(frame.header.flags & FrameFlag.FROZEN),
            may_keep=lambda frames: self._size(frames) <= self._max_bytes,
        )
        wanted = self.check_list.frames
        self._frames = {name: kept for name, kept in self._frames.items() if name in wanted}
        self._untold_structures.update(changes.structures)
        self._untold_views.update(changes.views)

    def tell_everything(self) -> None:
        """The next news are the whole list: its reader is a new one."""
        self._untold_structures.update(self.check_list.structures)
        self._untold_views.update(self.check_list.views)

    def news(self) -> str | None:
        """The entries that changed since the last call, as JSON; None where none did."""
        if not self._untold_structures and not self._untold_views:
            return None
        names = Changes(
            tuple(name for name in self.check_list.structures if name in self._untold_structures),
            tuple(name for name in self.check_list.views if name in self._untold_views),
        )
        self._untold_structures.clear()
        self._untold_views.clear()
        return json.dumps(self.check_list.part(names), separators=(",", ":"), allow_nan=False)

    def _size(self, frames: Iterable[FrameId]) -> int:
        return sum(len(self._frames[name].payload) for name in frames)
