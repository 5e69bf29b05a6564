"""PyTorch: runs checkpoints, and exported files by reading the weights back; the reference for the other engines."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import torch

from fetalseg.candidates import Candidates
from fetalseg.engines.base import Engine, runtime_failure, stage, usable_cores
from fetalseg.engines.gpu import find_gpus
from fetalseg.engines.torch_buffers import BufferedNetwork
from fetalseg.errors import EngineError
from fetalseg.export.exported_network import load_exported
from fetalseg.export.graph import CandidateGraph
from fetalseg.export.onnx import describe
from fetalseg.model.checkpoint import load_checkpoint
from fetalseg.model.precision import DTYPES, compute_in
from fetalseg.model.yolact import Yolact
from fetalseg.model_file import ModelFacts, file_digest

__all__ = ["TorchEngine"]

logger = logging.getLogger(__name__)


class TorchEngine(Engine):
    """The network itself, on the GPU if PyTorch sees one, else on the processor.

    The number of threads is a setting of the whole process in PyTorch: the engine loaded last decides. `infer` may be
    called from several threads.

    Args:
        network: fused, in evaluation mode; its weights are turned into `precision`, in place.
        facts: of the model.
        precision: a word of `DTYPES`.
        threads: of the process, for `device`.
        place: "cuda" or "cpu".

    Attributes:
        network: as given.
    """

    name = "torch"

    def __init__(self, network: Yolact, facts: ModelFacts, precision: str, threads: int, place: str = "cpu") -> None:
        self.network = network
        self.facts = facts
        self.precision = precision
        self._place = torch.device(place)
        # What masks are made of travels back as float16: half the bytes, and NumPy has no bf16.
        masks = torch.float16 if place == "cuda" and precision != "fp32" else torch.float32
        graph = CandidateGraph(compute_in(network, DTYPES[precision]), facts.candidates, masks).eval()
        self._graph = graph.to(self._place).to(memory_format=torch.channels_last)
        self._buffered: BufferedNetwork | None = None
        if place == "cuda":
            self.device = torch.cuda.get_device_name(self._place)
            self._buffered = BufferedNetwork(self._graph, self._place)
        else:
            self.device = f"CPU, {threads} thread{'s' if threads > 1 else ''}"

    @classmethod
    def load(
        cls, path: Path, *, precision: str | None = None, threads: int | None = None, device: str | None = None
    ) -> Self:
        """See `Engine.load`; a `.safetensors` checkpoint or an exported `.onnx`.

        Args:
            path: of either.
            precision: on the processor "fp32" (default) or "bf16", on a GPU "fp16" (default), "bf16" or "fp32".
            threads: see `Engine.load`.
            device: "cpu", "cuda", or None: the GPU if PyTorch can use one.
        """
        if precision not in (None, *DTYPES):
            raise ValueError(f"torch computes in {', '.join(DTYPES)}, got {precision!r}")
        place = _choose_place(device)
        precision = _choose_precision(place, precision)
        threads = threads or usable_cores()
        torch.set_num_threads(threads)
        path = Path(path)
        network, facts = load_exported(path) if path.suffix == ".onnx" else _from_checkpoint(path)
        try:
            engine = cls(network, facts, precision, threads, place)
        except RuntimeError as error:
            raise runtime_failure("torch", error) from None
        if place == "cuda":
            engine.try_one_frame()
        return engine

    def close(self) -> None:
        """See `Engine.close`."""
        if self._buffered is not None:
            self._buffered.close()

    def _run(self, images: npt.NDArray[np.uint8], stages: dict[str, float] | None) -> Candidates:
        try:
            if self._buffered is not None:
                return Candidates(*self._buffered.run(images, stages))
            with stage(stages, "infer"), torch.inference_mode():
                # A copy, if it must be: PyTorch warns of arrays that can't be written.
                outputs = self._graph(torch.from_numpy(np.require(images, requirements=["C", "W"])))
                return Candidates(*(output.contiguous().numpy() for output in outputs))
        except RuntimeError as error:
            raise runtime_failure("torch", error) from None


def _choose_place(device: str | None) -> str:
    if device == "cpu":
        return "cpu"
    gpus = find_gpus()
    if gpus.count > 0 and torch.cuda.is_available():
        return "cuda"
    remedy = "install one for the CUDA of this machine's driver, see https://pytorch.org/get-started/locally"
    problem = gpus.problem or f"PyTorch {torch.__version__} doesn't fit the GPU or its driver; remedy: {remedy}"
    if device == "cuda":
        raise EngineError(f"torch can't run on a GPU: {problem}")
    if gpus.count > 0 or gpus.broken:
        logger.warning("torch runs on the processor: %s", problem)
    return "cpu"


def _choose_precision(place: str, precision: str | None) -> str:
    if place == "cpu":
        if precision == "fp16":
            # 15 times the time of fp32 (fetalseg-s, one core of an EPYC 9004): few processors have units for it.
            raise EngineError("torch computes in fp16 on an NVIDIA GPU only; expected fp32 or bf16 on a processor")
        return precision or "fp32"
    if precision == "bf16" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise EngineError(f"{torch.cuda.get_device_name()} has no bf16 units; expected fp16 or fp32")
    return precision or "fp16"


def _from_checkpoint(path: Path) -> tuple[Yolact, ModelFacts]:
    network, training = load_checkpoint(path)
    return network.fuse(), describe(network, training, weights_sha256=file_digest(path))
