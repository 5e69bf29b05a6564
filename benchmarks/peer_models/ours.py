"""Our networks: in eager PyTorch as the peers, and as files in the engines that serve them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from torch import Tensor

from benchmarks.peer_models.peer import KEPT, MADE_UP, Found, PeerFacts
from benchmarks.peer_models.place import Place
from benchmarks.speed.networks import RANDOM, NetworkFile, build_network
from benchmarks.speed.stand_in import stand_in_for
from fetalseg.candidates import Candidates
from fetalseg.export.graph import CandidateGraph
from fetalseg.instances import Instances
from fetalseg.model_file import ModelFacts
from fetalseg.postprocess import PostprocessOptions, Postprocessor
from fetalseg.preprocess import FrameGeometry, prepare
from fetalseg.segmenter import Segmenter

__all__ = ["EagerNetwork", "ServedNetwork", "area_of", "keeping"]


class EagerNetwork:
    """The network in PyTorch, eager: the peers' own runtime.

    "The network" takes uint8 at its input's size and ends at candidates; behind it are suppression and masks, as NumPy.

    Args:
        name: a model or a variant, see `benchmarks.speed.networks`.
        size: (h, w) of its input; None: its own.
        place: where it runs.

    Raises:
        ModelFileError: see `build_network`.
    """

    def __init__(self, name: str, size: tuple[int, int] | None, place: Place) -> None:
        network, facts, weights = build_network(name, size)
        self._graph = place.house(CandidateGraph(network, facts.candidates))
        self._place = place
        self._rule = facts.input
        self._postprocess = Postprocessor(facts.structures)
        self._options, kept = keeping(facts, weights)
        self._facts = facts
        self.facts = PeerFacts(
            facts.name, "torch", place.precision, (facts.input.width, facts.input.height), weights, kept
        )

    def prepare(self, frame: npt.NDArray[np.uint8]) -> Tensor:
        """See `Peer`: uint8 [1, h, w, c]."""
        return self._place.put(prepare(frame, self._rule)[0][None])

    def infer(self, prepared: Tensor, stages: dict[str, float]) -> tuple[Tensor, ...]:
        """See `Peer`."""
        with self._place.computing():
            outputs: tuple[Tensor, ...] = self._graph(prepared)
        return outputs

    def finish(self, outputs: tuple[Tensor, ...], frame_shape: tuple[int, int]) -> Found:
        """See `Peer`."""
        candidates = Candidates(*(output.float().cpu().numpy() for output in outputs))
        geometry = FrameGeometry.of(frame_shape, self._rule)
        if self.facts.weights == RANDOM:
            candidates = stand_in_for(self._facts, geometry)
        return area_of(self._postprocess(candidates, geometry, self._options))


class ServedNetwork:
    """A model file in the engine that serves it.

    Args:
        file: of the model.
        engine: word.
        device: "cpu" or "cuda".
        precision: to compute in; None: the engine's choice.
        threads: of one inference.
        as_shipped: with the model's own options of post-processing, as the segmenter has them.

    Raises:
        ValueError, FetalsegError: see `fetalseg.engines.load_engine`.
    """

    def __init__(
        self,
        file: NetworkFile,
        engine: str,
        *,
        device: str,
        precision: str | None,
        threads: int | None,
        as_shipped: bool = False,
    ) -> None:
        self._segmenter = Segmenter.load(file.path, engine, precision=precision, threads=threads, device=device)
        facts = self._segmenter.facts
        self._options, kept = keeping(facts, file.weights)
        if as_shipped:
            self._options = self._segmenter.default_options
            kept = f"from {self._options.min_score:g} on"
        self.facts = PeerFacts(
            name=facts.name,
            runtime=engine,
            precision=self._segmenter.engine.precision,
            input=(facts.input.width, facts.input.height),
            weights=file.weights,
            kept=kept,
        )

    def prepare(self, frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """See `Peer`: uint8 [1, h, w, c]."""
        return self._segmenter.prepare(frame)[0][None]

    def infer(self, prepared: npt.NDArray[np.uint8], stages: dict[str, float]) -> Candidates:
        """See `Peer`."""
        return self._segmenter.infer(prepared, stages=stages)

    def finish(self, outputs: Candidates, frame_shape: tuple[int, int]) -> Found:
        """See `Peer`."""
        facts = self._segmenter.facts
        geometry = FrameGeometry.of(frame_shape, facts.input)
        if self.facts.weights == RANDOM:
            outputs = stand_in_for(facts, geometry)
        return area_of(self._segmenter.finish(outputs, geometry, self._options))


def keeping(facts: ModelFacts, weights: str) -> tuple[PostprocessOptions, str]:
    """The best `KEPT` from a score of 0.05 on, as evaluations have it.

    Returns:
        The model's own options with these, and a word for the table.
    """
    options = replace(PostprocessOptions(**facts.postprocess), min_score=0.05, max_detections=KEPT)
    return options, MADE_UP if weights == RANDOM else f"best {KEPT} from 0.05 on"


def area_of(instances: Instances) -> Found:
    """Number and boxes of what was found."""
    height, width = instances.frame_shape
    sides = instances.boxes[:, 2:] - instances.boxes[:, :2]
    return Found(len(instances), float(sides.prod(axis=1).sum()) / (height * width))
