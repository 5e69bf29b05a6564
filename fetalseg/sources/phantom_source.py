"""The synthetic scanner as a source."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from fetalseg.frame import Frame, check_size
from fetalseg.phantom import cine
from fetalseg.sources.source import Source

__all__ = ["PhantomSource"]


class PhantomSource(Source):
    """A synthetic first-trimester cine; the same numbers give the same frames.

    Args:
        seed: of the fetus, the scanner and the order of views, 0 or more.
        frames: length of the cine, at least 1.
        fps: frames per second.
        height: px.
        width: px.

    Raises:
        ValueError: a number out of its range.
        FrameError: see `fetalseg.frame.check_size`.
    """

    def __init__(
        self, *, seed: int = 0, frames: int = 100, fps: float = 25.0, height: int = 432, width: int = 640
    ) -> None:
        if seed < 0 or frames < 1 or not 0 < fps <= 1000:
            raise ValueError(
                f"phantom with {seed=}, {frames=}, {fps=}; expected seed >= 0, frames >= 1, 0 < fps <= 1000"
            )
        check_size(height, width)
        super().__init__(f"phantom seed {seed}", fps=fps, length=frames)
        self._seed, self._frames, self._rate = seed, frames, fps
        self._height, self._width = height, width

    @classmethod
    def parse(cls, words: str) -> Self:
        """Reads what follows "phantom:", as in "seed=3,frames=50,fps=25,height=432,width=640"; all are optional.

        Raises:
            ValueError: an unknown word, which lists the known ones, or a value that is no number.
        """
        values: dict[str, int] = {}
        fps = 25.0
        for part in filter(None, words.split(",")):
            name, _, text = part.partition("=")
            if name not in ("seed", "frames", "fps", "height", "width"):
                raise ValueError(f"unknown phantom option {name!r}; expected seed, frames, fps, height or width")
            try:
                if name == "fps":
                    fps = float(text)
                else:
                    values[name] = int(text)
            except ValueError:
                raise ValueError(f"phantom option {name} is {text!r}; expected a number") from None
        return cls(fps=fps, **values)

    def __iter__(self) -> Iterator[Frame]:
        frames = cine(frames=self._frames, seed=self._seed, fps=self._rate, height=self._height, width=self._width)
        for index, frame in enumerate(frames):
            yield Frame(
                frame.pixels,
                spacing_mm=frame.spacing_mm,
                timestamp_ms=index * 1000 / self._rate,
                source=self.name,
                index=index,
            )
