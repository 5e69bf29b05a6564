"""A GPU and a TensorRT in ordinary memory, so that the order of calls, copies and frees is tested without a GPU.

Plans are ONNX files, which ONNX Runtime runs. What a stream does, it does at once. As on a GPU, work on a stream that
is being captured is not done but recorded, and what is freed twice, used after it was freed, or freed while nobody has
waited for the work on the stream, is an error.
"""

# ruff: noqa: N802, N815 - the names are CUDA's own

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
from cuda.bindings import runtime

from fetalseg.engines import cuda_runtime, tensorrt_builder, tensorrt_engine
from fetalseg.engines.cuda_runtime import Gpu
from fetalseg.engines.tensorrt_file import EngineFile, EngineHeader, write_engine
from fetalseg.engines.tensorrt_library import LibraryName, TensorRtLibrary
from fetalseg.model_file import file_digest, read_facts

OK = runtime.cudaError_t.cudaSuccess
OUT_OF_MEMORY = runtime.cudaError_t.cudaErrorMemoryAllocation
FAILED = runtime.cudaError_t.cudaErrorLaunchFailure


class SimulatedCuda:
    """The functions of `cuda.bindings.runtime` that the engine calls; names and results as there.

    Attributes:
        held: what was allocated or made and not yet given back, by handle.
        calls: names of the functions that do work, in order.
        free_bytes: how much may still be allocated on the device.
        capturable: whether work can be recorded.
        failing: whether waiting for a stream reports a failure.
        refused: name of a copy, "DeviceToHost", that is not taken.
    """

    def __init__(self) -> None:
        self.held: dict[int, Any] = {}
        self.calls: list[str] = []
        self.free_bytes = 10**9
        self.capturable = True
        self.failing = False
        self.refused = ""
        self._pending = False
        self._recording: list[Callable[[], None]] | None = None
        self._next = 1

    def __getattr__(self, name: str) -> Any:  # enumerations, and the texts of errors
        return getattr(runtime, name)

    def _hold(self, thing: Any) -> int:
        self._next += 1
        self.held[self._next] = thing
        return self._next

    def _memory(self, size: int) -> int:
        buffer = (ctypes.c_uint8 * size)()
        address = ctypes.addressof(buffer)
        self.held[address] = buffer
        return address

    def _give_back(self, handle: int) -> tuple[Any]:
        assert not self._pending
        del self.held[handle]
        return (OK,)

    def do(self, name: str, work: Callable[[], None]) -> None:
        """Does the work of a stream, or records it."""
        self.calls.append(name if self._recording is None else f"record {name}")
        if self._recording is None:
            self._pending = True
            work()
        else:
            self._recording.append(work)

    def cudaMalloc(self, size: int) -> tuple[Any, ...]:
        if size > self.free_bytes:
            return OUT_OF_MEMORY, None
        self.free_bytes -= size
        return OK, self._memory(size)

    def cudaMemGetInfo(self) -> tuple[Any, ...]:
        return OK, self.free_bytes, 10**9

    def cudaHostAlloc(self, size: int, flags: int) -> tuple[Any, ...]:
        return OK, self._memory(size)

    def cudaStreamCreateWithFlags(self, flags: int) -> tuple[Any, ...]:
        return OK, self._hold("stream")

    def cudaMemcpyAsync(self, to: int, source: int, size: int, kind: Any, stream: int) -> tuple[Any]:
        assert {to, source, stream} <= set(self.held)
        assert self._recording is None
        name = kind.name.removeprefix("cudaMemcpy")
        if name == self.refused:
            return (FAILED,)
        self.do(name, lambda: ctypes.memmove(to, source, size))
        return (OK,)

    def cudaStreamSynchronize(self, stream: int) -> tuple[Any]:
        assert stream in self.held
        self._pending = False
        return (FAILED if self.failing else OK,)

    def cudaStreamBeginCapture(self, stream: int, mode: Any) -> tuple[Any]:
        self._recording = []
        return (OK,)

    def cudaStreamEndCapture(self, stream: int) -> tuple[Any, ...]:
        recorded, self._recording = self._recording, None
        if not self.capturable:
            return runtime.cudaError_t.cudaErrorStreamCaptureInvalidated, 0
        return OK, self._hold(recorded)

    def cudaGraphInstantiate(self, graph: int, flags: int) -> tuple[Any, ...]:
        return OK, self._hold(self.held[graph])

    def cudaGraphLaunch(self, executable: int, stream: int) -> tuple[Any]:
        self.calls.append("launch")
        self._pending = True
        for work in self.held[executable]:
            work()
        return (OK,)

    cudaFree = cudaFreeHost = cudaStreamDestroy = cudaGraphDestroy = cudaGraphExecDestroy = _give_back


class _Log:
    """As `TensorRtLibrary.log`."""

    def take_errors(self) -> str:
        return "simulated failure"


class _Context:
    def __init__(self, cuda: SimulatedCuda, session: Any, own_memory: bool) -> None:
        self._cuda, self._session = cuda, session
        self._addresses: dict[str, int] = {}
        self._shape: tuple[int, ...] = ()
        self._memory: int | None = None if own_memory else -1

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self._shape = shape
        return name == "images"

    def set_device_memory(self, address: int, size: int) -> None:
        self._memory = address

    def execute_async_v3(self, stream: int) -> bool:
        assert stream in self._cuda.held
        assert self._memory is None or self._memory in self._cuda.held
        self._cuda.do("infer", self._infer)
        return True

    def _infer(self) -> None:
        images = self._array("images", np.dtype(np.uint8), self._shape)
        names = [output.name for output in self._session.get_outputs()]
        for name, values in zip(names, self._session.run(names, {"images": images}), strict=True):
            self._array(name, values.dtype, values.shape)[...] = values

    def _array(self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
        memory = self._cuda.held[self._addresses[name]]
        count = int(np.prod(shape))
        return np.frombuffer(memory, dtype, count).reshape(shape)


class _RuntimeConfig:
    cuda_graph_strategy = "disabled"
    cache: _RuntimeCache | None = None

    def create_runtime_cache(self) -> _RuntimeCache:
        return _RuntimeCache()

    def set_runtime_cache(self, cache: _RuntimeCache) -> bool:
        self.cache = cache
        return True


class _RuntimeCache:
    """Kernels as words: a context compiles "base" unless it is there."""

    words: bytes = b""

    def deserialize(self, words: bytes) -> bool:
        if not words.startswith(b"base"):
            return False
        self.words = words
        return True

    def serialize(self) -> bytes:
        return self.words


class _Engine:
    device_memory_size_v2 = 5000

    def __init__(self, cuda: SimulatedCuda, plan: bytes) -> None:
        self._cuda = cuda
        self._session = onnxruntime.InferenceSession(plan, providers=["CPUExecutionProvider"])
        self._tensors = {value.name: value for value in [*self._session.get_inputs(), *self._session.get_outputs()]}
        self.num_io_tensors = len(self._tensors)

    def get_tensor_name(self, index: int) -> str:
        return list(self._tensors)[index]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (-1, *self._tensors[name].shape[1:])

    def get_tensor_dtype(self, name: str) -> str:
        return str(self._tensors[name].type)

    def create_runtime_config(self) -> _RuntimeConfig:
        return _RuntimeConfig()

    def create_execution_context(self, how: Any) -> _Context:
        # The two libraries: RTX is told to make graphs itself, the other to work in memory that it is given.
        assert how == "user managed" or how.cuda_graph_strategy == "whole graph"
        if how != "user managed" and how.cache is not None and not how.cache.words:
            self._cuda.calls.append("compile")
            how.cache.words = b"base"
        return _Context(self._cuda, self._session, own_memory=how != "user managed")


class _Builder:
    """Builds by taking the ONNX file as the plan."""

    def __init__(self, log: Any) -> None:
        self.config = _BuilderConfig()

    def create_network(self, flags: int) -> SimpleNamespace:
        return SimpleNamespace()

    def create_builder_config(self) -> _BuilderConfig:
        return self.config

    def create_optimization_profile(self) -> SimpleNamespace:
        return SimpleNamespace(set_shape=lambda name, smallest, best, largest: None)

    def build_serialized_network(self, network: Any, config: _BuilderConfig) -> bytes:
        if config.cache is not None:
            config.cache.times += b" and of this one"
        return bytes(network.plan)


class _BuilderConfig:
    cache: _TimingCache | None = None

    def clear_flag(self, flag: str) -> None:
        assert flag == "tf32"

    def set_flag(self, flag: str) -> None:
        assert flag == "strict nans"

    def add_optimization_profile(self, profile: Any) -> int:
        return 0

    def create_timing_cache(self, times: bytes) -> _TimingCache | None:
        return None if times.startswith(b"garbage") else _TimingCache(times)

    def set_timing_cache(self, cache: _TimingCache, ignore_mismatch: bool) -> bool:
        self.cache = cache
        return not cache.times.startswith(b"times of another GPU")


class _TimingCache:
    def __init__(self, times: bytes) -> None:
        self.times = times

    def serialize(self) -> bytes:
        return self.times


class _Parser:
    def __init__(self, network: SimpleNamespace, log: Any) -> None:
        self._network = network

    def parse(self, model: bytes) -> bool:
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        inputs, outputs = session.get_inputs(), session.get_outputs()
        self._network.plan = model
        self._network.num_inputs, self._network.get_input = len(inputs), inputs.__getitem__
        self._network.num_outputs, self._network.get_output = len(outputs), outputs.__getitem__
        return True


def simulated_library(cuda: SimulatedCuda, name: LibraryName) -> TensorRtLibrary:
    """A library, version 0, whose engines run on `cuda`."""

    def deserialise(plan: bytes) -> _Engine | None:
        return None if plan == b"refused" else _Engine(cuda, plan)

    types = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32, "tensor(float16)": np.float16}
    module = SimpleNamespace(
        __version__="0",
        Runtime=lambda log: SimpleNamespace(deserialize_cuda_engine=deserialise),
        nptype=types.__getitem__,
        ExecutionContextAllocationStrategy=SimpleNamespace(USER_MANAGED="user managed"),
        Builder=_Builder,
        OnnxParser=_Parser,
        NetworkDefinitionCreationFlag=SimpleNamespace(STRONGLY_TYPED=1),
        BuilderFlag=SimpleNamespace(TF32="tf32", STRICT_NANS="strict nans"),
        CudaGraphStrategy=SimpleNamespace(WHOLE_GRAPH_CAPTURE="whole graph"),
    )
    return TensorRtLibrary(name, module, _Log())


def simulate(monkeypatch: pytest.MonkeyPatch, name: LibraryName) -> SimulatedCuda:
    """Puts a simulated GPU and library in place of what this machine has."""
    cuda = SimulatedCuda()
    library = simulated_library(cuda, name)
    monkeypatch.setattr(cuda_runtime, "cudart", cuda)
    for module in (tensorrt_engine, tensorrt_builder):
        monkeypatch.setattr(module, "find_gpu", lambda: Gpu("simulated", "8.9"))
        monkeypatch.setattr(module, "load_library", lambda name=None: library)
    return cuda


def as_plan(model: Path, path: Path, name: LibraryName, **changes: object) -> Path:
    """An engine file for the simulated library, whose plans are ONNX files."""
    header = EngineHeader(
        facts=read_facts(model),
        model_sha256=file_digest(model),
        library=name,
        library_version="0",
        compute_capability="8.9",
        gpu="simulated",
        max_batch=8,
    )
    write_engine(path, replace(EngineFile(header, model.read_bytes()), **changes))
    return path
