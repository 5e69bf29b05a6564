"""A still image as a source of one frame."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fetalseg.errors import FrameError
from fetalseg.frame import Frame
from fetalseg.sources.decode import decode_image
from fetalseg.sources.source import Source

__all__ = ["ImageSource"]

# The largest frame allowed takes 50 MB uncompressed; what is larger is no picture that we would decode.
MAX_FILE_BYTES = 256 * 2**20


class ImageSource(Source):
    """One JPEG, PNG or BMP file."""

    def __init__(self, path: Path) -> None:
        super().__init__(path.name, length=1)
        self._path = path

    def __iter__(self) -> Iterator[Frame]:
        try:
            size = self._path.stat().st_size
            if size > MAX_FILE_BYTES:
                raise FrameError(f"file of {size} bytes is too large; expected at most {MAX_FILE_BYTES}")
            pixels = decode_image(self._path.read_bytes(), formats=("jpeg", "png", "bmp"))
        except OSError as error:
            raise FrameError(f"{self.name}: can't be read: {error.strerror}") from None
        except FrameError as error:
            raise type(error)(f"{self.name}: {error}") from None
        yield Frame(pixels, source=self.name)
