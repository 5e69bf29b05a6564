"""TensorRT: the fastest on an NVIDIA GPU; runs engine files, and builds an engine from an ONNX file at start."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from fetalseg.candidates import Candidates
from fetalseg.engines.base import Engine
from fetalseg.engines.cuda_runtime import find_gpu
from fetalseg.engines.tensorrt_builder import BuildSettings, build_engine
from fetalseg.engines.tensorrt_cache import cache_path, load_or_build
from fetalseg.engines.tensorrt_file import SUFFIX, EngineFile, EngineHeader, check_gpu, check_library, read_engine
from fetalseg.engines.tensorrt_kernels import SUFFIX as KERNELS_SUFFIX
from fetalseg.engines.tensorrt_library import TensorRtLibrary, load_library
from fetalseg.engines.tensorrt_session import TensorRtSession
from fetalseg.errors import EngineError
from fetalseg.model_file import ModelFacts, read_facts

__all__ = ["TensorRtEngine"]

logger = logging.getLogger(__name__)


class TensorRtEngine(Engine):
    """An engine on the first GPU that CUDA shows. `infer` may be called from several threads; they take turns.

    A batch that is larger than the engine was built for runs in parts.
    """

    name = "tensorrt"

    def __init__(self, session: TensorRtSession, header: EngineHeader, device: str) -> None:
        self._session: TensorRtSession | None = session
        self._lock = threading.Lock()
        self._max_batch = header.max_batch
        self.facts = header.facts
        self.precision = header.facts.precision
        self.device = device

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        precision: str | None = None,
        threads: int | None = None,
        engine_cache: Path | None = None,
    ) -> Self:
        """See `Engine.load`; an `.engine` file, or an `.onnx` file from which an engine is built here and now.

        Args:
            path: an existing file.
            precision: can only be that of the file.
            threads: of no use to a GPU.
            engine_cache: folder that keeps what is built, and what TensorRT-RTX compiles when it runs, for the next
                start; None: nothing is kept.

        Raises:
            ValueError: another precision.
            MissingExtraError: no TensorRT.
            ModelFileError: not a model or engine of ours, damaged, or built with or for something else.
            EngineError: no usable GPU, or no memory left on it.
        """
        if path.suffix == SUFFIX:
            engine = read_engine(path)
            _check_precision(path, engine.header.facts, precision)
            library = load_library(engine.header.library)
            check_library(path, engine.header, library)
            gpu = find_gpu()
            check_gpu(path, engine.header, gpu)
        else:
            _check_precision(path, read_facts(path), precision)
            gpu = find_gpu()
            library = load_library()
            engine = _build_here(path, library, engine_cache)
        kernels = None if engine_cache is None else cache_path(engine_cache, engine.header, KERNELS_SUFFIX)
        session = TensorRtSession(library, engine, path.name, kernels)
        return cls(session, engine.header, f"{gpu.name}, {library.title} {library.version}")

    def close(self) -> None:
        """See `Engine.close`."""
        with self._lock:
            if self._session is not None:
                self._session.free()
            self._session = None

    def _run(self, images: npt.NDArray[np.uint8], stages: dict[str, float] | None) -> Candidates:
        with self._lock:
            if self._session is None:
                raise EngineError("the engine is closed")
            if len(images) <= self._max_batch:
                return self._session.run(images, stages)
            return _run_in_parts(self._session, images, self._max_batch, stages)


def _build_here(path: Path, library: TensorRtLibrary, engine_cache: Path | None) -> EngineFile:
    settings = BuildSettings(library=library.name)
    if engine_cache is not None:
        return load_or_build(path, settings, engine_cache)
    if library.name == "tensorrt":  # which measures kernel after kernel; TensorRT-RTX takes seconds
        remedy = "engine_cache=FOLDER (--engine-cache) keeps it for the next start"
        logger.warning("%s builds an engine of %s, which can take minutes; %s", library.title, path.name, remedy)
    return build_engine(path, settings)


def _run_in_parts(
    session: TensorRtSession, images: npt.NDArray[np.uint8], size: int, stages: dict[str, float] | None
) -> Candidates:
    parts, total = [], dict[str, float]()
    for start in range(0, len(images), size):
        times: dict[str, float] | None = None if stages is None else {}
        parts.append(session.run(images[start : start + size], times))
        for name, ms in (times or {}).items():
            total[name] = total.get(name, 0.0) + ms
    if stages is not None:
        stages.update(total)
    return Candidates(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def _check_precision(path: Path, facts: ModelFacts, precision: str | None) -> None:
    if precision not in (None, facts.precision):
        raise ValueError(f"tensorrt computes {path.name} in {facts.precision}; {precision!r} can't be chosen")
