"""From an exported ONNX file to a TensorRT engine; needs no torch, and with TensorRT-RTX no GPU."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from fetalseg.engines.base import Engine
from fetalseg.engines.cuda_runtime import Gpu, find_gpu
from fetalseg.engines.sealed_file import write_whole
from fetalseg.engines.tensorrt_file import EngineFile, EngineHeader
from fetalseg.engines.tensorrt_graph import takeable_graph
from fetalseg.engines.tensorrt_library import LibraryName, TensorRtLibrary, load_library
from fetalseg.errors import EngineError, ModelFileError
from fetalseg.model_file import file_digest, read_facts

__all__ = ["BuildSettings", "build_engine", "find_target", "planned_header"]

_INPUT = "images"
_SHOWN_ERRORS = 3  # of the parser; the others follow from the first

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BuildSettings:
    """How an engine is built.

    Attributes:
        library: which TensorRT; None: the first installed of tensorrt, tensorrt_rtx.
        max_batch: the most frames at once; it is tuned for one.
        compute_capability: of the GPU to build for, "8.9"; None: the GPU of this machine. Only TensorRT-RTX builds for
            another one, and then needs none.
        timing_cache: file in which TensorRT keeps what it measured, so that the next build is faster; read and
            written. TensorRT-RTX measures nothing while it builds.
    """

    library: LibraryName | None = None
    max_batch: int = 8
    compute_capability: str | None = None
    timing_cache: Path | None = None


def build_engine(model: str | Path, settings: BuildSettings | None = None) -> EngineFile:
    """Builds an engine, in the precision of the file: current TensorRT knows no other.

    Args:
        model: an exported .onnx file.
        settings: how; the defaults if None.

    Raises:
        ValueError: settings that the library hasn't got.
        MissingExtraError: the library isn't installed.
        ModelFileError: not a model of ours, or one that TensorRT can't take; the message names the node.
        EngineError: no GPU where one is needed, or TensorRT fails; with the remedy.
    """
    path, settings = Path(model), settings or BuildSettings()
    header = planned_header(path, settings)
    library = load_library(settings.library)
    target = f"compute capability {header.compute_capability}"
    logger.info("%s %s builds an engine of %s for %s", library.title, library.version, path.name, target)
    start = time.monotonic()
    plan = _build(library, path, settings, header.compute_capability)
    logger.info("built an engine of %s in %.1f s: %.1f MB", path.name, time.monotonic() - start, len(plan) / 1e6)
    return EngineFile(header, plan)


def planned_header(model: Path, settings: BuildSettings) -> EngineHeader:
    """What `build_engine` would build, without building it; errors as there."""
    target = find_target(settings)
    if model.suffix != ".onnx":
        raise ModelFileError(f"an engine is built from an exported .onnx file; got {model.name}")
    return EngineHeader(
        facts=read_facts(model),
        model_sha256=file_digest(model),
        library=target.library.name,
        library_version=target.library.version,
        compute_capability=target.capability,
        gpu=target.gpu,
        max_batch=settings.max_batch,
    )


class Target(NamedTuple):
    """What is built with, and for what.

    Attributes:
        library: which TensorRT.
        capability: compute capability of the GPU.
        gpu: its name; "" if it isn't in this machine.
    """

    library: TensorRtLibrary
    capability: str
    gpu: str


def find_target(settings: BuildSettings) -> Target:
    """What settings mean on this machine; errors as in `build_engine`, before there is a model."""
    if settings.max_batch < 1:
        raise ValueError(f"max_batch must be at least 1, got {settings.max_batch}")
    library = load_library(settings.library)
    if settings.timing_cache is not None and library.name == "tensorrt_rtx":
        raise ValueError("a timing cache is for tensorrt; tensorrt_rtx measures nothing while it builds")
    wanted, known = settings.compute_capability, library.capabilities()
    if wanted is None:
        gpu = _gpu_here(known)
        library.check_capability(gpu.capability, gpu.name)
        return Target(library, gpu.capability, gpu.name)
    if known is None:
        raise ValueError(
            "tensorrt builds for the GPU of this machine; a compute capability is a choice of tensorrt_rtx"
        )
    if wanted not in known:
        remedy = "for any other GPU install the library tensorrt on its machine: pip install tensorrt-cu13"
        raise ValueError(f"{library.title} builds for compute capability {', '.join(known)}; got {wanted}; {remedy}")
    return Target(library, wanted, "")


def _gpu_here(choices: tuple[str, ...] | None) -> Gpu:
    """The GPU of this machine; without one the error tells what could be chosen instead."""
    try:
        return find_gpu()
    except EngineError as error:
        if choices is None:
            raise
        choice = f"say for which GPU to build: --compute-capability, one of {', '.join(choices)}"
        raise EngineError(f"{error}; or {choice}") from None


def _build(library: TensorRtLibrary, path: Path, settings: BuildSettings, capability: str) -> bytes:
    trt, log = library.module, library.log
    log.take_errors()
    try:
        builder = trt.Builder(log)
    except (TypeError, RuntimeError):  # what the binding makes of a null pointer
        raise EngineError(f"{library.title} can't start: {log.take_errors()}") from None
    # Since version 11 every network is strongly typed: the types in the file hold.
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(takeable_graph(path)):
        raise ModelFileError(f"{library.title} can't take {path.name}: {_parser_errors(parser)}")
    _check_signature(path, network)
    config = builder.create_builder_config()
    # TF32 keeps 10 bits of a factor, as fp16 does: an fp32 engine would be fp32 by name only.
    config.clear_flag(trt.BuilderFlag.TF32)
    # Without it 0 * x becomes 0 and x - x becomes 0 whatever x is: a result that is no number would look like one.
    config.set_flag(trt.BuilderFlag.STRICT_NANS)
    if library.name == "tensorrt_rtx":
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, f"SM{capability.replace('.', '')}"), 0)
    config.add_optimization_profile(_profile(builder, network, settings.max_batch))
    cache = None if settings.timing_cache is None else _read_timing_cache(config, settings.timing_cache)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        why = f"{library.title} can't build {path.name}: {log.take_errors()}"
        remedy = "; remedy: for GPUs of compute capability 7.5 export the model with --precision fp16"
        raise EngineError(why + remedy if capability == "7.5" else why)
    if settings.timing_cache is not None and cache is not None:
        write_whole(settings.timing_cache, bytes(cache.serialize()))
    return bytes(plan)


def _check_signature(path: Path, network: Any) -> None:
    inputs = [network.get_input(i).name for i in range(network.num_inputs)]
    outputs = [network.get_output(i).name for i in range(network.num_outputs)]
    Engine._check_signature(path, inputs, outputs)


def _profile(builder: Any, network: Any, max_batch: int) -> Any:
    frame = tuple(network.get_input(0).shape)[1:]
    profile = builder.create_optimization_profile()
    profile.set_shape(_INPUT, (1, *frame), (1, *frame), (max_batch, *frame))
    return profile


def _read_timing_cache(config: Any, path: Path) -> Any:
    """The cache that the build reads and extends; an empty one if there is no file, or TensorRT can't use it."""
    if path.is_file():
        cache = config.create_timing_cache(path.read_bytes())
        if cache is not None and config.set_timing_cache(cache, False):
            return cache
        logger.warning("the timing cache %s is of another GPU or TensorRT; it is written anew", path)
    cache = config.create_timing_cache(b"")
    config.set_timing_cache(cache, False)
    return cache


def _parser_errors(parser: Any) -> str:
    """What the ONNX parser says, with the node that it says it of."""
    errors = [parser.get_error(i) for i in range(min(parser.num_errors, _SHOWN_ERRORS))]
    text = "; ".join(_parser_error(error) for error in errors)
    if "zero point" in text or "zeroPoint" in text:
        text += "; remedy: export it with --precision int8 --activations symmetric"
    return text


def _parser_error(error: Any) -> str:
    text = " ".join(error.desc().split())
    if error.node() < 0:
        return text
    kind = error.code().name.lower().replace("_", " ")  # "unsupported node"
    return f"node {error.node()}, {error.node_operator()} {error.node_name()!r}: {kind}: {text}"
