"""PyTorch: runs checkpoints, and exported files by reading the weights back; the reference for the other engines."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import torch

from fetalseg.candidates import Candidates
from fetalseg.engines.base import Engine, stage, usable_cores
from fetalseg.engines.gpu import find_gpus
from fetalseg.errors import EngineError
from fetalseg.export.exported_network import load_exported
from fetalseg.export.graph import CandidateGraph
from fetalseg.export.onnx import describe
from fetalseg.model.checkpoint import load_checkpoint
from fetalseg.model.yolact import Yolact
from fetalseg.model_file import ModelFacts, file_digest

__all__ = ["TorchEngine"]

_BUILD = f"this is the build {torch.__version__}; remedy: install one for the driver's CUDA, see pytorch.org"
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class TorchEngine(Engine):
    """The network itself, on the GPU if PyTorch sees one, else on the processor.

    The number of threads is a setting of the whole process in PyTorch: the engine loaded last decides.

    Attributes:
        network: fused, in evaluation mode.
    """

    name = "torch"

    def __init__(self, network: Yolact, facts: ModelFacts, precision: str, threads: int, device: str) -> None:
        gpu = device == "cuda"
        self.network = network
        self.facts = facts
        self.precision = precision
        self.device = torch.cuda.get_device_name() if gpu else f"CPU, {threads} thread{'s' if threads > 1 else ''}"
        self._place = torch.device("cuda" if gpu else "cpu")
        graph = CandidateGraph(network, facts.candidates).eval()
        self._graph = graph.to(self._place).to(memory_format=torch.channels_last)

    @classmethod
    def load(
        cls, path: Path, *, precision: str | None = None, threads: int | None = None, device: str | None = None
    ) -> Self:
        """See `Engine.load`; a `.safetensors` checkpoint or an exported `.onnx`, in "fp32" (default) or "bf16"."""
        precision = precision or "fp32"
        if precision not in _DTYPES:
            raise ValueError(f"torch computes in {' or '.join(_DTYPES)}, got {precision!r}")
        if device == "cuda" and not torch.cuda.is_available():
            raise EngineError(f"PyTorch can't use an NVIDIA GPU: {find_gpus().problem or _BUILD}")
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        threads = threads or usable_cores()
        torch.set_num_threads(threads)
        path = Path(path)
        network, facts = load_exported(path) if path.suffix == ".onnx" else _from_checkpoint(path)
        return cls(network, facts, precision, threads, device)

    def _run(self, images: npt.NDArray[np.uint8], stages: dict[str, float] | None) -> Candidates:
        reduced = self.precision != "fp32"
        try:
            with (
                stage(stages, "infer"),
                torch.inference_mode(),
                torch.autocast(self._place.type, dtype=_DTYPES["bf16"], enabled=reduced),
            ):
                outputs = self._graph(torch.from_numpy(np.ascontiguousarray(images)).to(self._place))
        except RuntimeError as error:
            raise EngineError(f"torch failed: {error}") from None
        # Copies: PyTorch may reuse its memory, the caller may keep his arrays.
        return Candidates(*(np.array(output.cpu().contiguous().numpy()) for output in outputs))


def _from_checkpoint(path: Path) -> tuple[Yolact, ModelFacts]:
    network, training = load_checkpoint(path)
    return network.fuse(), describe(network, training, weights_sha256=file_digest(path))
