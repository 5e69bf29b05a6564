"""ONNX Runtime: runs everywhere, in the precision of the file; on an NVIDIA GPU where its GPU build is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from fetalseg.candidates import Candidates
from fetalseg.engines.base import Engine, stage, usable_cores
from fetalseg.errors import EngineError, ModelFileError
from fetalseg.model_file import ModelFacts, read_facts

__all__ = ["OnnxRuntimeEngine"]

_LOG_ERRORS_ONLY = 3
_PROVIDERS = {"cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider", "cpu": "CPUExecutionProvider"}


class OnnxRuntimeEngine(Engine):
    """A session; `device` names the provider that it really got. `infer` may be called from several threads."""

    name = "onnxruntime"

    def __init__(self, session: Any, facts: ModelFacts, threads: int) -> None:
        self._session = session
        self.facts = facts
        self.precision = facts.precision
        on_gpu = session.get_providers()[0] != "CPUExecutionProvider"
        self.device = "GPU (CUDA)" if on_gpu else f"CPU, {threads} thread{'s' if threads > 1 else ''}"

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
        """See `Engine.load` and `fetalseg.engines.load_engine`; `precision` can only be that of the file."""
        facts = read_facts(path)
        if precision not in (None, facts.precision):
            raise ValueError(f"onnxruntime computes {path.name} in {facts.precision}; {precision!r} can't be chosen")
        threads = threads or usable_cores()
        options = ort.SessionOptions()
        options.log_severity_level = _LOG_ERRORS_ONLY
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Threads that spin take the cores from those that decode and post-process the neighbouring frames: on two busy
        # cores an inference takes 50 ms with spinning and 28 ms without.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            wanted = [_PROVIDERS[device or "cpu"]]
            session = ort.InferenceSession(str(path), options, providers=wanted)
        except Exception as error:  # the binding's exceptions have no common base of their own
            raise ModelFileError(f"onnxruntime can't load {path.name}: {error}") from None
        cls._check_signature(
            path, [value.name for value in session.get_inputs()], [value.name for value in session.get_outputs()]
        )
        return cls(session, facts, threads)

    def close(self) -> None:
        """See `Engine.close`."""
        self._session = None

    def _run(self, images: npt.NDArray[np.uint8], stages: dict[str, float] | None) -> Candidates:
        try:
            with stage(stages, "infer"):
                return Candidates(*self._session.run(Candidates._fields, {"images": images}))
        except Exception as error:  # see load
            raise EngineError(f"onnxruntime failed: {error}") from None
