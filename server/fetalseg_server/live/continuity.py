"""What makes a session's frames one scan, as far as the server process knows it: it outlives connection and worker."""

from __future__ import annotations

from dataclasses import dataclass

from fetalseg_server.protocol import FrameFlag, FrameHeader
from fetalseg_server.worker.jobs import Answer

__all__ = ["Continuity"]


@dataclass(eq=False)
class Continuity:
    """The thread through a session's frames.

    Attributes:
        session: its id.
        scene: number of the scene that the latest frame belongs to; a discontinuity begins the next one.
        last_track_id: highest identity that an answer brought, 0 before the first.
    """

    session: str
    scene: int = 0
    last_track_id: int = 0

    def follow(self, header: FrameHeader) -> int:
        """The scene of the next frame, which counts even if the frame itself is skipped."""
        if header.flags & FrameFlag.DISCONTINUITY:
            self.scene += 1
        return self.scene

    def learn(self, answer: Answer) -> None:
        """Takes note of the identities in an answer, be it too late to send."""
        self.last_track_id = max(self.last_track_id, answer.last_track_id)
