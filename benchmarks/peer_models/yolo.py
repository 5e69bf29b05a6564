"""YOLO with a mask branch, where the user has installed it.

ultralytics is AGPL-3.0: it is never a dependency and nothing of it is copied. The meaning of the outputs is that of its
published export: boxes as centre and size, class scores, mask coefficients; prototypes.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmarks.peer_models.ours import area_of
from benchmarks.peer_models.peer import KEPT, MADE_UP, Found, PeerFacts
from benchmarks.peer_models.place import Place
from benchmarks.speed.networks import RANDOM
from benchmarks.speed.stand_in import stand_in_candidates
from fetalseg.candidates import Candidates
from fetalseg.errors import EngineError
from fetalseg.postprocess import PostprocessOptions, Postprocessor
from fetalseg.preprocess import FrameGeometry, InputRule, prepare

__all__ = ["InstalledYolo", "predictions_and_prototypes", "yolo_candidates"]

_ROWS = 300  # candidates of a frame behind the cut, as our networks have
_STRIDE = 32


class InstalledYolo:
    """A `*-seg` network of the ultralytics package that the user has installed, with seeded random weights.

    "The network" takes uint8 at its input's size; behind it are the cut to `_ROWS` candidates and our post-processing.

    Args:
        name: "yolo11n-seg".
        size: (h, w) wanted; the next multiples of 32 are taken.
        place: where it runs.

    Raises:
        ModuleNotFoundError: the user hasn't got it.
    """

    def __init__(self, name: str, size: tuple[int, int], place: Place) -> None:
        ultralytics: Any = importlib.import_module("ultralytics")
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network = ultralytics.YOLO(f"{name}.yaml", verbose=False).model
        network.eval()
        network.fuse(verbose=False)
        height, width = (-(-side // _STRIDE) * _STRIDE for side in size)
        self._network = place.house(network)
        self._place = place
        self._rule = InputRule(height, width, channels=3, pad_value=114)
        self._classes = len(network.names)
        self._postprocess = Postprocessor(tuple(f"class {i}" for i in range(self._classes)))
        self._options = PostprocessOptions(min_score=0.05, max_detections=KEPT)
        self.facts = PeerFacts(name, "torch", place.precision, (width, height), RANDOM, MADE_UP)

    def prepare(self, frame: npt.NDArray[np.uint8]) -> Tensor:
        """See `Peer`: uint8 [1, h, w, 3]."""
        return self._place.put(prepare(frame, self._rule)[0][None])

    def infer(self, prepared: Tensor, stages: dict[str, float]) -> tuple[Tensor, Tensor]:
        """See `Peer`: predictions [1, 4 + C + K, A] and prototypes [1, K, Hp, Wp]."""
        with self._place.computing():
            outputs = list(_tensors(self._network(prepared.permute(0, 3, 1, 2).float() / 255)))
        return predictions_and_prototypes(outputs, self._classes)

    def finish(self, outputs: tuple[Tensor, Tensor], frame_shape: tuple[int, int]) -> Found:
        """See `Peer`."""
        predictions, prototypes = (output.float().cpu().numpy() for output in outputs)
        yolo_candidates(predictions, prototypes, self._classes)  # timed, and nonsense
        geometry = FrameGeometry.of(frame_shape, self._rule)
        k, proto_height, proto_width = prototypes.shape[1:]
        candidates = stand_in_candidates(_ROWS, (k, proto_height, proto_width), self._classes, geometry)
        return area_of(self._postprocess(candidates, geometry, self._options))


def predictions_and_prototypes(outputs: Sequence[Tensor], classes: int) -> tuple[Tensor, Tensor]:
    """Those two of all tensors that a network returns.

    Raises:
        EngineError: there are no such tensors.
    """
    for prototypes in (output for output in outputs if output.ndim == 4):
        for predictions in (output for output in outputs if output.ndim == 3):
            if predictions.shape[1] == 4 + classes + prototypes.shape[1]:
                return predictions, prototypes
    shapes = ", ".join(str(tuple(output.shape)) for output in outputs)
    raise EngineError(f"expected predictions [1, 4 + {classes} + K, A] and prototypes [1, K, Hp, Wp], got {shapes}")


def yolo_candidates(
    predictions: npt.NDArray[np.float32], prototypes: npt.NDArray[np.float32], classes: int
) -> Candidates:
    """The `_ROWS` rows of the best scores as our post-processing takes them.

    Args:
        predictions: [1, 4 + C + K, A]: centre x, centre y, width, height in pixels of the input, scores, coefficients.
        prototypes: [1, K, Hp, Wp].
        classes: C.
    """
    rows = predictions[0].T
    scores = rows[:, 4 : 4 + classes]
    best = np.argsort(-scores.max(axis=1), kind="stable")[:_ROWS]
    centres, halves = rows[best, :2], rows[best, 2:4] / 2
    boxes = np.concatenate([centres - halves, centres + halves], axis=1)
    return Candidates(scores[best][None], boxes[None], rows[best, 4 + classes :][None], prototypes)


def _tensors(outputs: Any) -> Iterator[Tensor]:
    """All tensors in nested tuples, lists and dictionaries."""
    if isinstance(outputs, Tensor):
        yield outputs
    elif isinstance(outputs, (tuple, list, dict)):
        for part in outputs.values() if isinstance(outputs, dict) else outputs:
            yield from _tensors(part)
