"""What an engine returns: the contract between the exported graph and post-processing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fetalseg.errors import EngineError

__all__ = ["Candidates"]


class Candidates(NamedTuple):
    """The best n candidates of each frame of a batch, boxes already decoded. All float32, owned by the caller.

    Attributes:
        scores: [B, n, C] probability of each structure; a padding row is all 0.
        boxes: [B, n, 4] xyxy in pixels of the network input.
        coefficients: [B, n, K] weights of the prototypes.
        prototypes: [B, K, Hp, Wp], after their ReLU.
    """

    scores: npt.NDArray[np.float32]
    boxes: npt.NDArray[np.float32]
    coefficients: npt.NDArray[np.float32]
    prototypes: npt.NDArray[np.float32]

    def check(self) -> None:
        """Shapes agree and every value is finite.

        Raises:
            EngineError: what was expected and what came.
        """
        batch, n, _ = self.scores.shape
        if self.boxes.shape != (batch, n, 4):
            raise EngineError(f"candidate boxes have shape {self.boxes.shape}; expected {(batch, n, 4)}")
        k = self.prototypes.shape[1]
        if self.coefficients.shape != (batch, n, k):
            raise EngineError(f"mask coefficients have shape {self.coefficients.shape}; expected {(batch, n, k)}")
        for name, values in self._asdict().items():
            if values.dtype != np.float32:
                raise EngineError(f"candidate {name} are {values.dtype}; expected float32")
            # A sum is finite only if all terms are: one pass, no boolean array. Plus and minus infinity would warn.
            with np.errstate(invalid="ignore"):
                total = values.sum(dtype=np.float64)
            if not np.isfinite(total):
                raise EngineError(f"the network returned {name} that are not finite")

    def frame(self, index: int) -> Candidates:
        """The candidates of one frame, as a batch of one (a view, not a copy)."""
        rows = slice(index, index + 1)
        return Candidates(self.scores[rows], self.boxes[rows], self.coefficients[rows], self.prototypes[rows])
