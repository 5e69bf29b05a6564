"""ONNX Runtime: runs everywhere, in the precision of the file; on an NVIDIA GPU where its GPU build is installed."""

from __future__ import annotations

import logging
import platform
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from fetalseg.candidates import Candidates
from fetalseg.engines.base import Engine, is_out_of_memory, runtime_failure, stage, usable_cores
from fetalseg.engines.gpu import find_gpus
from fetalseg.engines.onnxruntime_gpu import (
    BoundSession,
    check_gpu,
    check_provider,
    gpu_providers,
    load_libraries,
    remedy,
)
from fetalseg.errors import EngineError, ModelFileError
from fetalseg.model_file import ModelFacts, read_facts

__all__ = ["OnnxRuntimeEngine"]

_LOG_ERRORS_ONLY = 3
_NO_HALF_KERNELS = ("x86_64", "AMD64")  # onnxruntime's kernels for halves on a processor are for Arm
_TITLES = {"cuda": "GPU (CUDA)", "tensorrt": "GPU (TensorRT)"}

logger = logging.getLogger(__name__)


class OnnxRuntimeEngine(Engine):
    """A session; `device` names the provider that it really got. `infer` may be called from several threads.

    On a processor a batch runs frame by frame, through a graph whose batch is fixed at one: a batch of four frames of
    fetalseg-s takes 0.85 times as long as in one go, and a single frame 0.94 times (fp32, one core of an EPYC 9004).
    """

    name = "onnxruntime"

    def __init__(self, session: Any, facts: ModelFacts, device: str, threads: int) -> None:
        self._session = session
        self._bound = BoundSession(session) if device != "cpu" else None
        self.facts = facts
        self.precision = facts.precision
        # There it turns halves into float32 before it computes, which takes 1.3 times as long as a file in fp32.
        if device == "cpu" and facts.precision == "fp16" and platform.machine() in _NO_HALF_KERNELS:
            self.precision = "fp32"
        self.device = _TITLES.get(device, f"CPU, {threads} thread{'s' if threads > 1 else ''}")

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        precision: str | None = None,
        threads: int | None = None,
        device: str | None = None,
        engine_cache: Path | None = None,
    ) -> Self:
        """See `Engine.load`.

        Args:
            path: an exported file.
            precision: can only be that of the file.
            threads: see `Engine.load`.
            device: "cpu", "cuda", "tensorrt", or None: CUDA if it works, else the processor, with a warning if there is
                a GPU.
            engine_cache: folder for the engines that the device "tensorrt" builds; None: they are built at each start.
        """
        facts = read_facts(path)
        if precision not in (None, facts.precision):
            raise ValueError(
                f"onnxruntime computes {path.name} in {facts.precision}; {precision!r} can't be chosen here, only with "
                "fetalseg export --precision"
            )
        threads = threads or usable_cores()
        if device is None:
            return cls._load_best(path, facts, threads)
        return cls._load_on(path, facts, threads, device, engine_cache)

    @classmethod
    def _load_best(cls, path: Path, facts: ModelFacts, threads: int) -> Self:
        if find_gpus().count > 0:
            try:
                return cls._load_on(path, facts, threads, "cuda", None)
            except EngineError as error:
                logger.warning("onnxruntime runs on the processor: %s", error)
        return cls._load_on(path, facts, threads, "cpu", None)

    @classmethod
    def _load_on(cls, path: Path, facts: ModelFacts, threads: int, device: str, engine_cache: Path | None) -> Self:
        if device == "cpu":
            session = _make_session(path, _processor_options(threads), ["CPUExecutionProvider"])
        else:
            check_gpu(device)
            said = load_libraries()
            session = _make_session(path, _options(), gpu_providers(device, facts, engine_cache), said)
            check_provider(device, session.get_providers(), said)
        cls._check_signature(
            path, [value.name for value in session.get_inputs()], [value.name for value in session.get_outputs()]
        )
        engine = cls(session, facts, device, threads)
        if device != "cpu":
            engine.try_one_frame()
        return engine

    def close(self) -> None:
        """See `Engine.close`."""
        self._session = self._bound = None

    def _run(self, images: npt.NDArray[np.uint8], stages: dict[str, float] | None) -> Candidates:
        try:
            if self._bound is not None:
                return Candidates(*self._bound.run(images, stages))
            with stage(stages, "infer"):
                frames = [self._run_frame(images[i : i + 1]) for i in range(len(images))]
                return frames[0] if len(frames) == 1 else Candidates(*map(np.concatenate, zip(*frames, strict=True)))
        except Exception as error:  # see _make_session
            raise runtime_failure("onnxruntime", error) from None

    def _run_frame(self, image: npt.NDArray[np.uint8]) -> Candidates:
        return Candidates(*self._session.run(Candidates._fields, {"images": image}))


def _options() -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = _LOG_ERRORS_ONLY
    return options


def _processor_options(threads: int) -> Any:
    """Measured ones; all else is best as it comes.

    Without the arena four frames take 1.2 times as long; below the highest level of optimisation, which lays weights
    out for the processor's vectors, a frame takes 1.6 times as long; the memory pattern and denormals as zeros make no
    difference.
    """
    options = _options()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_free_dimension_override_by_name("batch", 1)
    # Threads that spin take the cores from those that decode and post-process the neighbouring frames: on two busy
    # cores an inference takes 50 ms with spinning and 28 ms without.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _make_session(path: Path, options: Any, providers: list[Any], said: str = "") -> Any:
    try:
        # Its own fall-back would print, and take another provider.
        return ort.InferenceSession(str(path), options, providers=providers, enable_fallback=0)
    except Exception as error:  # the binding's exceptions have no common base of their own
        if is_out_of_memory(error):
            raise runtime_failure("onnxruntime", error) from None
        if "CPUExecutionProvider" in providers:
            raise ModelFileError(f"onnxruntime can't load {path.name}: {error}") from None
        raise EngineError(
            f"onnxruntime can't run {path.name} on a GPU: {str(error).strip()}{f' ({said})' if said else ''}; remedy: "
            f"{remedy(providers[0][0])}"
        ) from None
