"""An engine on the GPU with all that it works on, allocated once for the largest batch."""

from __future__ import annotations

import weakref
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fetalseg.candidates import Candidates
from fetalseg.engines.base import stage
from fetalseg.engines.cuda_runtime import Stream, TensorPair
from fetalseg.engines.tensorrt_file import EngineFile
from fetalseg.engines.tensorrt_library import TensorRtLibrary
from fetalseg.engines.tensorrt_runner import LoadedEngine, make_runner
from fetalseg.errors import EngineError, ModelFileError

__all__ = ["TensorRtSession"]

_INPUT = "images"


class TensorRtSession:
    """Runs batches of up to `max_batch` frames, one after another; for one thread at a time.

    Args:
        library: the library and version that built the engine.
        engine: built for this GPU; both have been checked.
        name: of the file, for messages.
        kernels: see `fetalseg.engines.tensorrt_runner.make_runner`.

    Raises:
        ModelFileError: it isn't what its header says.
        EngineError: TensorRT refuses it, or the GPU has no memory left.
    """

    def __init__(self, library: TensorRtLibrary, engine: EngineFile, name: str, kernels: Path | None) -> None:
        with ExitStack() as resources:
            self._stream = Stream()
            resources.callback(self._stream.free)
            native = _deserialise(library, engine, name)
            self._tensors: dict[str, TensorPair] = {}
            for tensor in map(native.get_tensor_name, range(native.num_io_tensors)):
                shape = (engine.header.max_batch, *tuple(native.get_tensor_shape(tensor))[1:])
                pair = TensorPair(shape, library.module.nptype(native.get_tensor_dtype(tensor)))
                resources.callback(pair.free)
                self._tensors[tensor] = pair
            frame = _check_tensors(self._tensors, engine, name)
            addresses = {tensor: pair.address for tensor, pair in self._tensors.items()}
            loaded = LoadedEngine(library, native, addresses, frame, self._stream)
            self._runner = make_runner(loaded, kernels)
            resources.callback(self._runner.free)
            # Before all else: where `run` ended in an error, work that it had queued may still be under way.
            resources.callback(self._stream.settle)
            self.free = weakref.finalize(self, resources.pop_all().close)  # at the latest when nobody holds it

    def run(self, images: npt.NDArray[np.uint8], stages: dict[str, float] | None) -> Candidates:
        """Runs one batch.

        Args:
            images: uint8 [B, h, w, c], B at most `max_batch`.
            stages: where to note times, see `fetalseg.engines.base.Engine.infer`.

        Returns:
            Candidates in the types of the engine's outputs; the caller's own.

        Raises:
            EngineError: TensorRT or the GPU failed.
        """
        batch, timed = len(images), stages is not None
        with stage(stages, "upload"):
            self._tensors[_INPUT].host[:batch] = images
            self._tensors[_INPUT].upload(batch, self._stream)
            if timed:
                self._stream.synchronise()
        with stage(stages, "infer"):
            self._runner.enqueue(batch)
            if timed:
                self._stream.synchronise()
        with stage(stages, "copy_back"):
            outputs = [self._tensors[name] for name in Candidates._fields]
            for output in outputs:
                output.download(batch, self._stream)
            self._stream.synchronise()
            return Candidates(*(output.host[:batch].copy() for output in outputs))


def _deserialise(library: TensorRtLibrary, engine: EngineFile, name: str) -> Any:
    """An `ICudaEngine`; it keeps its runtime alive itself, as a context keeps its engine."""
    library.log.take_errors()
    try:
        runtime = library.module.Runtime(library.log)
    except (TypeError, RuntimeError):  # what the binding makes of a null pointer
        raise EngineError(f"{library.title} can't start: {library.log.take_errors()}") from None
    native = runtime.deserialize_cuda_engine(engine.plan)
    if native is None:
        raise EngineError(f"{library.title} can't load {name}: {library.log.take_errors()}")
    return native


def _check_tensors(tensors: dict[str, TensorPair], engine: EngineFile, name: str) -> tuple[int, ...]:
    """The shape of a frame."""
    rule = engine.header.facts.input
    expected = (rule.height, rule.width, rule.channels)
    frames = tensors[_INPUT].host if _INPUT in tensors else None
    if frames is None or frames.dtype != np.uint8 or frames.shape[1:] != expected:
        found = ", ".join(f"{tensor} {pair.host.dtype} {pair.host.shape[1:]}" for tensor, pair in tensors.items())
        raise ModelFileError(f"{name} has the tensors {found}; expected images uint8 {expected}")
    return expected
