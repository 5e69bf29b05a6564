"""A folder of files as one source."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from fetalseg.errors import FrameError
from fetalseg.frame import Frame
from fetalseg.sources.source import Source

__all__ = ["FolderSource", "natural_order"]

_LOG = logging.getLogger(__name__)


def natural_order(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """Sorting key that puts `frame2` before `frame10`."""
    parts = re.split(r"([0-9]+)", path.name.casefold())
    return [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in parts if p], path.name


class FolderSource(Source):
    """The images, DICOM files and videos of one folder in natural order, folders inside it not included.

    Files of other kinds are passed over and counted in the log. A file that should be readable and isn't is added
    to `failures`, logged, and doesn't stop the rest. Frames are numbered through; their `source` is the file's name.

    Args:
        path: of the folder.
        supported: whether a file is of a kind that can be opened, by its first bytes.
        open_file: opens one file as a source.

    Raises:
        FrameError: the folder holds no file of a supported kind.
    """

    def __init__(self, path: Path, *, supported: Callable[[Path], bool], open_file: Callable[[Path], Source]) -> None:
        super().__init__(path.resolve().name)
        try:
            files = sorted((p for p in path.iterdir() if p.is_file()), key=natural_order)
        except OSError as error:
            raise FrameError(f"folder {self.name} can't be read: {error.strerror}") from None
        self.files = [file for file in files if supported(file)]
        self._open_file = open_file
        if skipped := len(files) - len(self.files):
            _LOG.warning("folder %s: %d of %d files are no images and are skipped", self.name, skipped, len(files))
        if not self.files:
            raise FrameError(f"folder {self.name} holds no image, video or DICOM file (of {len(files)} files)")
        # A DICOM file or a video may hold many frames.
        self.length = len(self.files) if all(f.suffix.lower() in _STILLS for f in self.files) else None

    def __iter__(self) -> Iterator[Frame]:
        self.failures = []
        index = 0
        for file in self.files:
            try:
                with self._open_file(file) as source:
                    for frame in source:
                        yield replace(frame, index=index)
                        index += 1
            except FrameError as error:
                _LOG.warning("%s", error)
                self.failures.append(error)
        if index == 0:
            raise FrameError(f"folder {self.name}: none of {len(self.files)} files can be read")


_STILLS = frozenset({".jpg", ".jpeg", ".png", ".bmp"})
