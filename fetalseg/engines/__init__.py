"""Inference runtimes: one file each, chosen by a word."""

from __future__ import annotations

import importlib
import importlib.util
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from fetalseg.engines.base import Engine
from fetalseg.errors import EngineError, MissingExtraError, ModelFileError
from fetalseg.model_file import find_model

__all__ = ["AUTO_ORDER", "ENGINES", "Engine", "available_engines", "load_engine"]

# word: "module:Class"; a module is imported only when its word is chosen
ENGINES: dict[str, str] = {
    "openvino": "fetalseg.engines.openvino_engine:OpenVinoEngine",
    "onnxruntime": "fetalseg.engines.onnxruntime_engine:OnnxRuntimeEngine",
    "torch": "fetalseg.engines.torch_engine:TorchEngine",
}

# word: (the package it needs, the extra that installs it)
_REQUIRES = {"openvino": ("openvino", "cpu"), "onnxruntime": ("onnxruntime", "cpu"), "torch": ("torch", "train")}

# Fastest first on a processor: OpenVINO alone uses bf16 units.
AUTO_ORDER = ("openvino", "onnxruntime", "torch")

CHECKPOINT_SUFFIX = ".safetensors"


def available_engines() -> tuple[str, ...]:
    """The words of the engines whose runtime is installed, in the order in which `auto` takes them."""
    return tuple(word for word in AUTO_ORDER if importlib.util.find_spec(_REQUIRES[word][0]) is not None)


def load_engine(
    model: str | Path, kind: str = "auto", *, precision: str | None = None, threads: int | None = None
) -> Engine:
    """Loads a model into an inference runtime.

    Args:
        model: a name or a path, see `fetalseg.model_file.find_model`.
        kind: a word of `ENGINES`, or "auto": the first installed of `AUTO_ORDER`.
        precision: what to compute in ("fp32", "bf16"), where the runtime has a choice; None: the fastest that is
            accurate on this machine.
        threads: threads of one inference; None: one for each core that the process may use.

    Raises:
        ValueError: an unknown kind, a precision that the engine hasn't got, or less than one thread.
        MissingExtraError: the runtime isn't installed.
        ModelFileError: the model can't be found, or isn't one of ours.
        EngineError: two distributions of onnxruntime overwrite each other, or the runtime refuses the model.
    """
    if kind != "auto" and kind not in ENGINES:
        raise ValueError(f"unknown engine {kind!r}; expected auto, {', '.join(ENGINES)}")
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    _refuse_two_onnxruntimes()
    path = find_model(model)
    word = _choose(path) if kind == "auto" else kind
    if path.suffix == CHECKPOINT_SUFFIX and word != "torch":
        raise ModelFileError(f"{path.name} is a training checkpoint; the engine {word} expects an exported .onnx file")
    return _engine_class(word).load(path, precision=precision, threads=threads)


def _choose(path: Path) -> str:
    if path.suffix == CHECKPOINT_SUFFIX:
        return "torch"
    installed = available_engines()
    if not installed:
        raise MissingExtraError("an inference runtime (openvino or onnxruntime)", "cpu")
    return installed[0]


def _engine_class(word: str) -> type[Engine]:
    module, _, name = ENGINES[word].partition(":")
    package, extra = _REQUIRES[word]
    try:
        found: type[Engine] = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        # Any other missing module is a fault of ours or of the runtime's installation, and keeps its own message.
        if error.name != package:
            raise
        raise MissingExtraError(package, extra) from None
    return found


def _refuse_two_onnxruntimes() -> None:
    """Both distributions write the same folder: whichever came last wins, and removing one breaks the other."""
    try:
        distribution("onnxruntime")
        distribution("onnxruntime-gpu")
    except PackageNotFoundError:
        return
    raise EngineError(
        "onnxruntime and onnxruntime-gpu are both installed and overwrite each other's files; remedy: "
        "pip uninstall -y onnxruntime onnxruntime-gpu, then install one of them: "
        "pip install onnxruntime (processor) or pip install onnxruntime-gpu (NVIDIA)"
    )
