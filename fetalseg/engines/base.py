"""What every inference runtime offers, whatever is behind it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from fetalseg.candidates import Candidates
from fetalseg.model_file import ModelFacts

__all__ = ["Engine"]


class Engine(ABC):
    """A loaded model.

    Attributes:
        name: the word that chose it, "openvino".
        facts: what the model file says of itself.
        precision: what is really computed in, "bf16".
        device: where, in words: "CPU, 2 threads".
    """

    name: str
    facts: ModelFacts
    precision: str
    device: str

    def infer(self, images: npt.NDArray[np.uint8]) -> Candidates:
        """Runs the network.

        Args:
            images: uint8 [B, h, w, c] as the model's input rule says.

        Raises:
            ValueError: images of another shape or type.
            EngineError: the runtime failed, or returned values that are not finite.
        """
        rule = self.facts.input
        expected = (rule.height, rule.width, rule.channels)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != expected or len(images) == 0:
            raise ValueError(
                f"images must be uint8 [B, {', '.join(map(str, expected))}], got {images.dtype} {images.shape}"
            )
        candidates = self._run(images)
        candidates.check()
        return candidates

    @abstractmethod
    def _run(self, images: npt.NDArray[np.uint8]) -> Candidates:
        """Runs checked images; float32 arrays that the caller may keep."""

    def close(self) -> None:  # noqa: B027 - most runtimes have nothing to give back
        """Gives the runtime's memory back; `infer` must not be called afterwards."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
