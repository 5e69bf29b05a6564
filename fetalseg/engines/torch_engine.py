"""PyTorch: runs checkpoints, and exported files by reading the weights back; the reference for the other engines."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import torch

from fetalseg.candidates import Candidates
from fetalseg.engines.base import Engine, usable_cores
from fetalseg.errors import EngineError, MissingExtraError, ModelFileError
from fetalseg.export.graph import CandidateGraph
from fetalseg.export.onnx import describe
from fetalseg.model.checkpoint import load_checkpoint, load_weights
from fetalseg.model.variants import Variant
from fetalseg.model.yolact import Yolact
from fetalseg.model_file import ModelFacts, file_digest, read_facts

__all__ = ["TorchEngine"]

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
_PREFIX = "network."  # of the weights' names in an exported file


class TorchEngine(Engine):
    """The network itself, on the GPU if PyTorch sees one, else on the processor.

    The number of threads is a setting of the whole process in PyTorch: the engine loaded last decides.

    Attributes:
        network: fused, in evaluation mode.
    """

    name = "torch"

    def __init__(self, network: Yolact, facts: ModelFacts, precision: str, threads: int) -> None:
        gpu = torch.cuda.is_available()
        self.network = network
        self.facts = facts
        self.precision = precision
        self.device = torch.cuda.get_device_name() if gpu else f"CPU, {threads} thread{'s' if threads > 1 else ''}"
        self._place = torch.device("cuda" if gpu else "cpu")
        graph = CandidateGraph(network, facts.candidates).eval()
        self._graph = graph.to(self._place).to(memory_format=torch.channels_last)

    @classmethod
    def load(cls, path: Path, *, precision: str | None = None, threads: int | None = None) -> Self:
        """See `Engine.load`; a `.safetensors` checkpoint or an exported `.onnx`, in "fp32" (default) or "bf16"."""
        precision = precision or "fp32"
        if precision not in _DTYPES:
            raise ValueError(f"torch computes in {' or '.join(_DTYPES)}, got {precision!r}")
        threads = threads or usable_cores()
        torch.set_num_threads(threads)
        path = Path(path)
        network, facts = _from_onnx(path) if path.suffix == ".onnx" else _from_checkpoint(path)
        return cls(network, facts, precision, threads)

    def _run(self, images: npt.NDArray[np.uint8]) -> Candidates:
        reduced = self.precision != "fp32"
        try:
            with (
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


def _from_onnx(path: Path) -> tuple[Yolact, ModelFacts]:
    """Builds the network from the facts, and fills it with the file's initializers, which keep the network's names."""
    facts = read_facts(path)
    if facts.precision != "fp32":
        raise ModelFileError(f"{path.name} holds {facts.precision} weights; torch reads exported files in fp32 only")
    try:
        network = Yolact(Variant.from_dict(facts.architecture)).fuse()
    except (ValueError, KeyError) as error:
        raise ModelFileError(f"{path.name} doesn't say which network it holds: {error}") from None
    found = _initializers(path)
    # The semantic branch serves training only, and isn't exported.
    found |= {name: tensor for name, tensor in network.state_dict().items() if name.startswith("semantic.")}
    load_weights(network, found, path.name)
    return network, facts


def _initializers(path: Path) -> dict[str, torch.Tensor]:
    """The network's weights by name; the exporter sees to it that each keeps its own."""
    try:
        import onnx
    except ImportError:
        raise MissingExtraError("onnx", "train") from None
    return {
        tensor.name.removeprefix(_PREFIX): torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy())
        for tensor in onnx.load(path).graph.initializer
        if tensor.name.startswith(_PREFIX)
    }
