"""What can go wrong in a run."""

from __future__ import annotations

from fetalseg.errors import FetalsegError

__all__ = ["TrainingError"]


class TrainingError(FetalsegError):
    """A run can't start or go on: a folder in use, a loss that is not finite, a disk that is full."""
