"""Inference runtimes: one file each, chosen by a word."""

from __future__ import annotations

import importlib
import importlib.util
import logging
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, NamedTuple

from fetalseg.engines.base import Engine, runtime_failure
from fetalseg.engines.gpu import find_gpus
from fetalseg.errors import EngineError, FetalsegError, MissingExtraError, ModelFileError
from fetalseg.model_file import find_model, read_facts

__all__ = ["AUTO_ORDER", "DEVICES", "ENGINES", "Engine", "available_engines", "load_engine"]

# word: "module:Class"; a module is imported only when its word is chosen
ENGINES: dict[str, str] = {
    "tensorrt": "fetalseg.engines.tensorrt_engine:TensorRtEngine",
    "openvino": "fetalseg.engines.openvino_engine:OpenVinoEngine",
    "onnxruntime": "fetalseg.engines.onnxruntime_engine:OnnxRuntimeEngine",
    "torch": "fetalseg.engines.torch_engine:TorchEngine",
}

# word: (the packages of which it needs one, the extra that installs the first)
_REQUIRES = {
    "tensorrt": (("tensorrt", "tensorrt_rtx"), "tensorrt"),
    "openvino": (("openvino",), "cpu"),
    "onnxruntime": (("onnxruntime",), "cpu"),
    "torch": (("torch",), "train"),
}

# word: where it can run; "tensorrt" as a device is onnxruntime's TensorRT execution provider
DEVICES: dict[str, tuple[str, ...]] = {
    "tensorrt": ("cuda",),
    "openvino": ("cpu",),
    "onnxruntime": ("cpu", "cuda", "tensorrt"),
    "torch": ("cpu", "cuda"),
}


class _Choice(NamedTuple):
    """An engine on a device."""

    word: str
    device: str


# Fastest first: on a processor that is OpenVINO, which alone uses bf16 units. Those on "cuda" need a GPU.
AUTO_ORDER = (
    _Choice("tensorrt", "cuda"),
    _Choice("onnxruntime", "cuda"),
    _Choice("torch", "cuda"),
    _Choice("openvino", "cpu"),
    _Choice("onnxruntime", "cpu"),
    _Choice("torch", "cpu"),
)

# What a file can only be run by, where that isn't every engine.
_ONLY = {".safetensors": ("torch", "a training checkpoint"), ".engine": ("tensorrt", "a TensorRT engine")}

logger = logging.getLogger(__name__)


def available_engines() -> tuple[str, ...]:
    """The words of the engines whose runtime is installed."""
    return tuple(word for word in ENGINES if _is_installed(word))


def _is_installed(word: str) -> bool:
    return any(importlib.util.find_spec(package) is not None for package in _REQUIRES[word][0])


def load_engine(
    model: str | Path,
    kind: str = "auto",
    *,
    precision: str | None = None,
    threads: int | None = None,
    device: str | None = None,
    engine_cache: Path | None = None,
) -> Engine:
    """Loads a model into an inference runtime.

    Args:
        model: a name or a path, see `fetalseg.model_file.find_model`.
        kind: a word of `ENGINES`, or "auto": the first of `AUTO_ORDER` that is installed and works here, TensorRT only
            after the others of a GPU where no `engine_cache` is given. What was tried
            in vain is logged as a warning. A named engine is that one or an error.
        precision: what to compute in ("fp32", "bf16", "fp16"), where the runtime has a choice; None: the fastest that
            is accurate on this machine.
        threads: threads of one inference; None: one for each core that the process may use.
        device: where to run, a word of `DEVICES`; None: the best that works. A named device is that one or an error.
        engine_cache: folder for what TensorRT builds from a model; None: its own choice.

    Raises:
        ValueError: an unknown kind, a precision or device that the engine hasn't got, less than one thread, or an
            `engine_cache` for an engine that builds nothing.
        MissingExtraError: the runtime isn't installed.
        ModelFileError: the model can't be found, or isn't one of ours.
        EngineError: this machine lacks what was asked for, two distributions of onnxruntime overwrite each other, or
            the runtime refuses the model.
    """
    _check_words(kind, device)
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    if engine_cache is not None and kind not in ("auto", "tensorrt") and device != "tensorrt":
        raise ValueError(f"engine_cache is for tensorrt; the engine {kind} builds nothing to keep")
    _refuse_two_onnxruntimes()
    path = find_model(model)
    only, what = _ONLY.get(path.suffix, (None, ""))
    if only and kind not in ("auto", only):
        remedy = "expects an exported .onnx file" if kind != "tensorrt" else "expects an .onnx or .engine file"
        raise ModelFileError(f"{path.name} is {what}, which the engine {only} runs; the engine {kind} {remedy}")
    if kind == "auto" and not only:
        return _load_first(path, _choices(device, engine_cache), precision, threads, engine_cache)
    return _load(path, only or kind, device, precision, threads, engine_cache)


def _check_words(kind: str, device: str | None) -> None:
    if kind != "auto" and kind not in ENGINES:
        raise ValueError(f"unknown engine {kind!r}; expected auto, {', '.join(ENGINES)}")
    words = dict.fromkeys(word for words in DEVICES.values() for word in words) if kind == "auto" else DEVICES[kind]
    if device is not None and device not in words:
        raise ValueError(f"unknown device {device!r} for the engine {kind}; expected one of {', '.join(words)}")


def _choices(device: str | None, engine_cache: Path | None = None) -> list[_Choice]:
    """What `auto` tries, in order: what is installed and, of a GPU's engines, what has a GPU to run on.

    Without a folder to keep it in TensorRT would build its engine at every start, for minutes: it comes last then.

    Raises:
        MissingExtraError: nothing is installed for the device.
        EngineError: a GPU was asked for, and there is none.
    """
    if device == "tensorrt":
        order: tuple[_Choice, ...] = (_Choice("onnxruntime", "tensorrt"),)
    else:
        order = tuple(choice for choice in AUTO_ORDER if device in (None, choice.device))
        if engine_cache is None:
            order = tuple(sorted(order, key=lambda choice: (choice.device != "cuda", choice.word == "tensorrt")))
    installed = [choice for choice in order if _is_installed(choice.word)]
    if not installed:
        raise MissingExtraError("an inference runtime (openvino or onnxruntime)", "cpu")
    if all(choice.device == "cpu" for choice in installed):
        return installed
    gpus = find_gpus()
    if gpus.count > 0:
        return installed
    if device is not None:
        raise EngineError(f"no engine can run on {device}: {gpus.problem}")
    if gpus.broken:
        logger.warning("the processor is used: %s", gpus.problem)
    return [choice for choice in installed if choice.device == "cpu"]


def _load_first(
    path: Path, choices: list[_Choice], precision: str | None, threads: int | None, engine_cache: Path | None
) -> Engine:
    """Loads into the first that works.

    Raises:
        ValueError, ModelFileError, EngineError: none works; what each of them said, as that kind if all failed so, else
            as an `EngineError`.
    """
    failures: dict[_Choice, Exception] = {}
    for choice in choices:
        cache = engine_cache if choice.word == "tensorrt" or choice.device == "tensorrt" else None
        try:
            engine = _load(path, choice.word, choice.device, precision, threads, cache)
        except (FetalsegError, ValueError) as error:
            if isinstance(error, ModelFileError):
                read_facts(path)  # a file that isn't ours at all is that error at once
            failures[choice] = error
            continue
        for failed, why in failures.items():
            logger.warning("%s runs, not %s on %s: %s", engine.name, failed.word, failed.device, why)
        return engine
    raise _failure(path, failures)


def _failure(path: Path, failures: dict[_Choice, Exception]) -> Exception:
    if len(failures) == 1:
        return next(iter(failures.values()))
    said = "; ".join(f"{choice.word} on {choice.device}: {error}" for choice, error in failures.items())
    kinds = {type(error) for error in failures.values()}
    kind = kinds.pop() if len(kinds) == 1 else EngineError
    return (EngineError if kind is MissingExtraError else kind)(f"no engine can run {path.name}: {said}")


def _load(
    path: Path, word: str, device: str | None, precision: str | None, threads: int | None, engine_cache: Path | None
) -> Engine:
    packages, extra = _REQUIRES[word]
    if not _is_installed(word):
        raise MissingExtraError(packages[0], extra)
    found = _engine_class(word)
    more: dict[str, Any] = {}
    if len(DEVICES[word]) > 1:
        more["device"] = device
    if word == "tensorrt" or device == "tensorrt":
        more["engine_cache"] = engine_cache
    try:
        return found.load(path, precision=precision, threads=threads, **more)
    except MemoryError as error:
        raise runtime_failure(word, error) from None


def _engine_class(word: str) -> type[Engine]:
    module, _, name = ENGINES[word].partition(":")
    try:
        found: type[Engine] = getattr(importlib.import_module(module), name)
    except (ImportError, OSError) as error:
        raise EngineError(f"{word} is installed but can't be imported: {error}; remedy: install it anew") from error
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
