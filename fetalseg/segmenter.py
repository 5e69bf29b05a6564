"""From a frame to its structures: prepare, infer, finish."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from fetalseg.candidates import Candidates
from fetalseg.engines import load_engine
from fetalseg.engines.base import Engine
from fetalseg.errors import ModelFileError
from fetalseg.frame import Frame
from fetalseg.instances import Instances
from fetalseg.model_file import ModelFacts, check_thresholds
from fetalseg.postprocess.options import PostprocessOptions
from fetalseg.postprocess.postprocessor import Postprocessor
from fetalseg.preprocess import FrameGeometry, prepare
from fetalseg.taxonomy import check_names

__all__ = ["Segmenter"]


class Segmenter:
    """Finds structures in frames: the seventeen of `fetalseg.anatomy`, or those that a model was trained on.

    The three stages are public and keep nothing between calls, so that a server can run them in different threads, each
    on a frame of its own; `segment` is all three.

    Attributes:
        engine: the runtime that holds the model.
        facts: what the model file says of itself.
        structures: names in label order.
        default_options: post-processing where a call gives none: the model's own defaults, else the library's.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.facts: ModelFacts = engine.facts
        self.structures = engine.facts.structures
        self.default_options = _default_options(engine.facts)
        self._postprocess = Postprocessor(self.structures, engine.facts.thresholds)

    @classmethod
    def load(
        cls,
        model: str | Path = "fetalseg-s",
        engine: str = "auto",
        *,
        precision: str | None = None,
        threads: int | None = None,
        device: str | None = None,
        engine_cache: Path | None = None,
    ) -> Self:
        """Loads a model by name or path; arguments and errors are those of `fetalseg.engines.load_engine`."""
        return cls(
            load_engine(model, engine, precision=precision, threads=threads, device=device, engine_cache=engine_cache)
        )

    def prepare(
        self, frame: Frame | npt.NDArray[np.uint8], out: npt.NDArray[np.uint8] | None = None
    ) -> tuple[npt.NDArray[np.uint8], FrameGeometry]:
        """Brings a frame into the network's input.

        Args:
            frame: a `Frame`, or its pixels: uint8, gray [H, W] or RGB [H, W, 3].
            out: where to write, uint8 [h, w, c]; a new array if None.

        Returns:
            The input uint8 [h, w, c], and where the frame lies in it.

        Raises:
            ValueError, FrameError: see `fetalseg.frame.check_pixels`.
        """
        return prepare(frame.pixels if isinstance(frame, Frame) else frame, self.facts.input, out)

    def infer(self, images: npt.NDArray[np.uint8], *, stages: dict[str, float] | None = None) -> Candidates:
        """Runs the network on uint8 [B, h, w, c]; `stages` and errors as `Engine.infer`."""
        return self.engine.infer(images, stages=stages)

    def finish(
        self,
        candidates: Candidates,
        geometry: FrameGeometry,
        options: PostprocessOptions | None = None,
        *,
        lazy_masks: bool = False,
    ) -> Instances:
        """Turns the candidates of one frame (a batch of one) into instances in frame pixels.

        With `lazy_masks` a mask is made when it is first asked for, from candidates that must not change until then:
        for a `Tracker`, which shows a third of what it is given.
        """
        return self._postprocess(candidates, geometry, options or self.default_options, lazy_masks=lazy_masks)

    def segment(self, frame: Frame | npt.NDArray[np.uint8], options: PostprocessOptions | None = None) -> Instances:
        """The structures in one frame, with `timing_ms` of "preprocess", "infer" and "postprocess".

        Raises:
            ValueError, FrameError: see `fetalseg.frame.check_pixels`.
            EngineError: the runtime failed.
        """
        return self.segment_batch([frame], options)[0]

    def segment_batch(
        self, frames: Sequence[Frame | npt.NDArray[np.uint8]], options: PostprocessOptions | None = None
    ) -> list[Instances]:
        """The structures in several frames, which may differ in size; the network runs once.

        `timing_ms["infer"]` of each frame is the time of the whole batch, which is what each of them waited for.

        Raises:
            ValueError, FrameError, EngineError: see `segment`.
        """
        if len(frames) == 0:
            return []
        rule = self.facts.input
        images = np.empty((len(frames), rule.height, rule.width, rule.channels), np.uint8)
        geometries, prepare_ms = [], []
        for frame, image in zip(frames, images, strict=True):
            start = time.perf_counter()
            geometries.append(self.prepare(frame, image)[1])
            prepare_ms.append(_since(start))

        start = time.perf_counter()
        candidates = self.infer(images)
        infer_ms = _since(start)

        results = []
        for i, geometry in enumerate(geometries):
            start = time.perf_counter()
            instances = self.finish(candidates.frame(i), geometry, options)
            timing = {"preprocess": prepare_ms[i], "infer": infer_ms, "postprocess": _since(start)}
            results.append(replace(instances, timing_ms=timing))
        return results

    def close(self) -> None:
        """Gives the runtime's memory back."""
        self.engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _default_options(facts: ModelFacts) -> PostprocessOptions:
    try:
        check_names(facts.structures)
    except ValueError as error:
        raise ModelFileError(f"model {facts.name}: {error}") from None
    check_thresholds(facts)
    known = [field.name for field in fields(PostprocessOptions)]
    if unknown := sorted(set(facts.postprocess) - set(known)):
        raise ModelFileError(
            f"model {facts.name} has unknown post-processing options {', '.join(unknown)}; known are {', '.join(known)}"
        )
    try:
        return PostprocessOptions(**facts.postprocess)
    except (TypeError, ValueError) as error:
        raise ModelFileError(f"model {facts.name}: {error}") from None


def _since(start: float) -> float:
    return (time.perf_counter() - start) * 1000
