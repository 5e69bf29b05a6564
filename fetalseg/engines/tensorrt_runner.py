"""How TensorRT is called again and again with little effort: work recorded as a CUDA graph for each batch size."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from fetalseg.engines.cuda_runtime import CapturedGraph, DeviceMemory, Stream
from fetalseg.engines.tensorrt_kernels import KeptKernels
from fetalseg.engines.tensorrt_library import TensorRtLibrary
from fetalseg.errors import EngineError

__all__ = ["LoadedEngine", "Runner", "make_runner"]

_INPUT = "images"

logger = logging.getLogger(__name__)


class LoadedEngine(NamedTuple):
    """An engine, the tensors that it works on, and where its work is queued.

    Attributes:
        library: which made the engine.
        native: an `ICudaEngine`.
        addresses: of each tensor on the GPU, by name.
        frame: shape of one row of the input.
        stream: on which everything runs.
    """

    library: TensorRtLibrary
    native: Any
    addresses: Mapping[str, int]
    frame: tuple[int, ...]
    stream: Stream


class Runner(Protocol):
    """Puts inferences on a stream."""

    def enqueue(self, batch: int) -> None:
        """Queues one inference of the first `batch` rows of the tensors.

        Raises:
            EngineError: TensorRT refuses.
        """

    def free(self) -> None:
        """Gives back what it holds on the GPU; the stream must be through with all work."""


def make_runner(engine: LoadedEngine, kernels: Path | None) -> Runner:
    """The runner for an engine of either library.

    Args:
        engine: with its tensors and its stream, which must outlive the runner.
        kernels: file in which TensorRT-RTX keeps what it compiles; None: nothing is kept.

    Raises:
        EngineError: no memory.
    """
    return _RtxRunner(engine, kernels) if engine.library.name == "tensorrt_rtx" else _GraphRunner(engine)


class _Context:
    """An execution context that is bound to the tensors.

    Args:
        engine: which it executes.
        how: what `ICudaEngine.create_execution_context` is told: a strategy of allocation, or an `IRuntimeConfig`.
    """

    def __init__(self, engine: LoadedEngine, how: Any) -> None:
        self._engine = engine
        library = engine.library
        library.log.take_errors()
        self.native = engine.native.create_execution_context(how)
        if self.native is None:
            raise EngineError(
                f"{library.title} can't prepare the engine: {library.log.take_errors()}; "
                "remedy: see that the GPU has memory left, or build the engine with a smaller --max-batch"
            )
        for name, address in engine.addresses.items():
            if not self.native.set_tensor_address(name, address):
                raise EngineError(f"{library.title} refuses the tensor {name}: {library.log.take_errors()}")

    def set_batch(self, batch: int) -> None:
        shape, library = (batch, *self._engine.frame), self._engine.library
        if not self.native.set_input_shape(_INPUT, shape):
            raise EngineError(f"{library.title} refuses input {shape}: {library.log.take_errors()}")

    def enqueue(self) -> None:
        if not self.native.execute_async_v3(self._engine.stream.handle):
            library = self._engine.library
            raise EngineError(f"{library.title} failed: {library.log.take_errors()}")


class _GraphRunner:
    """TensorRT: a context and a CUDA graph for each batch size that is used.

    A graph holds the shapes and addresses of the context that it was captured from, and that context must not change
    afterwards (TensorRT developer guide, "CUDA Graphs"); so each batch size has its own. They share the one
    optimization profile, as contexts may from TensorRT 10 on, and, since they take turns, the memory they work in.
    """

    def __init__(self, engine: LoadedEngine) -> None:
        self._engine = engine
        self._memory = DeviceMemory(engine.native.device_memory_size_v2)
        self._contexts: dict[int, _Context] = {}
        self._graphs: dict[int, CapturedGraph | None] = {}

    def enqueue(self, batch: int) -> None:
        if batch not in self._contexts:
            # TensorRT loads and allocates in its first run, which for this reason can't be captured.
            self._contexts[batch] = self._prepare(batch)
            self._contexts[batch].enqueue()
            return
        if batch not in self._graphs:
            self._graphs[batch] = self._capture(batch)
        graph = self._graphs[batch]
        if graph is None:
            self._contexts[batch].enqueue()
        else:
            graph.launch(self._engine.stream)

    def _prepare(self, batch: int) -> _Context:
        context = _Context(self._engine, self._engine.library.module.ExecutionContextAllocationStrategy.USER_MANAGED)
        context.native.set_device_memory(self._memory.address, self._memory.size)
        context.set_batch(batch)
        return context

    def _capture(self, batch: int) -> CapturedGraph | None:
        self._engine.stream.synchronise()  # what the capture may not disturb
        try:
            return self._engine.stream.capture(self._contexts[batch].enqueue)
        except EngineError as error:
            logger.warning("batches of %d run without a CUDA graph: %s", batch, error)
            return None

    def free(self) -> None:
        for graph in self._graphs.values():
            if graph is not None:
                graph.free()
        self._graphs.clear()
        self._contexts.clear()
        self._memory.free()


class _RtxRunner:
    """TensorRT-RTX: one context, which captures and replays graphs itself.

    It compiles kernels for a shape while it runs others for any shape, so only it knows when a graph is worth its while
    (TensorRT-RTX documentation, "Working with RTX CUDA Graphs").
    """

    def __init__(self, engine: LoadedEngine, kernels: Path | None) -> None:
        config = engine.native.create_runtime_config()
        config.cuda_graph_strategy = engine.library.module.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        self._kernels = None if kernels is None else KeptKernels(kernels, config)
        self._context: _Context | None = _Context(engine, config)
        self._batch = 0
        self._keep()  # those for any shape; a process that is killed keeps at least these

    def enqueue(self, batch: int) -> None:
        assert self._context is not None
        if batch != self._batch:
            self._context.set_batch(batch)
            self._batch = batch
        self._context.enqueue()

    def _keep(self) -> None:
        if self._kernels is not None:
            self._kernels.keep()

    def free(self) -> None:
        self._keep()
        self._context = self._kernels = None
