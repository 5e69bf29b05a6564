"""What can go wrong, as a small tree. A caller's bad argument is a `ValueError`; the rest is here."""

from __future__ import annotations

__all__ = [
    "DataError",
    "EngineError",
    "FetalsegError",
    "FrameError",
    "FrameTooLargeError",
    "MissingExtraError",
    "ModelFileError",
]


class FetalsegError(Exception):
    """Base of every error raised on purpose; its text can be shown to a user as it is."""


class FrameError(FetalsegError):
    """A frame or a source of frames can't be read: no image, truncated, unsupported, wrong size."""


class FrameTooLargeError(FrameError):
    """A frame has, or its header promises, more pixels than are allowed."""


class ModelFileError(FetalsegError):
    """A model can't be found, isn't one of ours, or was written by another version."""


class EngineError(FetalsegError):
    """An inference runtime failed, or returned values that are not finite."""


class DataError(FetalsegError):
    """A data set, an annotation file or a detection file is inconsistent."""


class MissingExtraError(FetalsegError):
    """An optional package is absent.

    Args:
        package: import name of what is missing.
        extra: the extra of this distribution that installs it.
    """

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed; install it with: pip install 'fetalseg[{extra}]'")
        self.package = package
        self.extra = extra
