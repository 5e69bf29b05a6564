"""CUDA calls that raise: the GPU of this machine, its memory, and a stream of work on it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fetalseg.engines.gpu import find_gpus
from fetalseg.errors import EngineError, MissingExtraError

try:
    from cuda.bindings import runtime as cudart
except ModuleNotFoundError:
    raise MissingExtraError("cuda.bindings", "tensorrt") from None

__all__ = ["CapturedGraph", "DeviceMemory", "Gpu", "Stream", "TensorPair", "find_gpu"]

_DEVICE = 0  # which one that is can be chosen with CUDA_VISIBLE_DEVICES


def _call(function: Callable[..., tuple[Any, ...]], *arguments: Any) -> Any:
    """What a CUDA function returns beside its error code.

    Raises:
        EngineError: the code is not success.
    """
    return _check(function.__name__, function(*arguments))


def _check(name: str, result: tuple[Any, ...]) -> Any:
    code, *values = result
    if code != cudart.cudaError_t.cudaSuccess:
        cudart.cudaGetLastError()  # else the next call would report the same failure once more
        raise EngineError(f"{name} failed: {_describe(code)}")
    return values[0] if values else None


def _describe(code: Any) -> str:
    name = cudart.cudaGetErrorName(code)[1].decode()
    return f"{name}, {cudart.cudaGetErrorString(code)[1].decode()}"


class Gpu(NamedTuple):
    """A GPU that can be used.

    Attributes:
        name: "NVIDIA GeForce RTX 4090".
        capability: compute capability, "8.9".
    """

    name: str
    capability: str


def find_gpu() -> Gpu:
    """The GPU that everything here runs on: the first that CUDA shows.

    Raises:
        EngineError: no driver, a driver that is too old, or no GPU; with the remedy.
    """
    gpus = find_gpus()
    if gpus.count == 0:
        raise EngineError(f"the engine tensorrt needs an NVIDIA GPU: {gpus.problem}")
    code, properties = cudart.cudaGetDeviceProperties(_DEVICE)
    if code == cudart.cudaError_t.cudaErrorInsufficientDriver:
        driver, wanted = (_call(version) for version in (cudart.cudaDriverGetVersion, cudart.cudaRuntimeGetVersion))
        raise EngineError(
            f"the NVIDIA driver is for CUDA up to {_version(driver)}, and {_version(wanted)} is needed; "
            "remedy: install a newer driver, or cuda-bindings of the driver's version"
        )
    if code != cudart.cudaError_t.cudaSuccess:
        raise EngineError(f"the NVIDIA GPU can't be used: {_describe(code)}; remedy: look at nvidia-smi")
    return Gpu(properties.name.decode().rstrip("\0"), f"{properties.major}.{properties.minor}")


def _version(number: int) -> str:
    """CUDA writes 13.2 as 13020."""
    return f"{number // 1000}.{number % 1000 // 10}"


class DeviceMemory:
    """A piece of the GPU's memory.

    Raises:
        EngineError: there is not so much left.
    """

    def __init__(self, size: int) -> None:
        result = cudart.cudaMalloc(max(size, 1))
        if result[0] == cudart.cudaError_t.cudaErrorMemoryAllocation:
            cudart.cudaGetLastError()
            free, total = _call(_memory_left)
            raise EngineError(
                f"the GPU is out of memory: {size / 1e6:.0f} MB are needed, {free / 1e6:.0f} of {total / 1e6:.0f} MB "
                "are free; remedy: end other programs on this GPU, or build the engine with a smaller --max-batch"
            )
        self.address = int(_check("cudaMalloc", result))
        self.size = size

    def free(self) -> None:
        """Gives it back; errors of a device that is gone already are of no use to anyone."""
        cudart.cudaFree(self.address)


def _memory_left() -> tuple[Any, tuple[int, int]]:
    code, free, total = cudart.cudaMemGetInfo()
    return code, (free, total)


class Stream:
    """An own queue of work, which doesn't wait for the default one."""

    def __init__(self) -> None:
        self._stream = _call(cudart.cudaStreamCreateWithFlags, cudart.cudaStreamNonBlocking)

    @property
    def handle(self) -> int:
        """The address by which other libraries know it."""
        return int(self._stream)

    def synchronise(self) -> None:
        """Waits until all work is done.

        Raises:
            EngineError: some of it failed.
        """
        _call(cudart.cudaStreamSynchronize, self._stream)

    def settle(self) -> None:
        """Waits likewise, for who is about to give back what the work uses: whether it failed is of no interest."""
        cudart.cudaStreamSynchronize(self._stream)

    def capture(self, enqueue: Callable[[], None]) -> CapturedGraph:
        """Records the work that `enqueue` puts on this stream, without doing it.

        Raises:
            EngineError: it can't be recorded; the stream is usable again.
        """
        mode = cudart.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        _call(cudart.cudaStreamBeginCapture, self._stream, mode)
        try:
            enqueue()
        except BaseException:
            _, graph = cudart.cudaStreamEndCapture(self._stream)
            if graph is not None and int(graph):
                cudart.cudaGraphDestroy(graph)
            cudart.cudaGetLastError()
            raise
        graph = _call(cudart.cudaStreamEndCapture, self._stream)
        try:
            return CapturedGraph(_call(cudart.cudaGraphInstantiate, graph, 0))
        finally:
            cudart.cudaGraphDestroy(graph)

    def free(self) -> None:
        """Gives the stream back."""
        cudart.cudaStreamDestroy(self._stream)


class CapturedGraph:
    """Recorded work that is launched as one: made by `Stream.capture`."""

    def __init__(self, executable: Any) -> None:
        self._executable = executable

    def launch(self, stream: Stream) -> None:
        """Puts the work on a stream."""
        _call(cudart.cudaGraphLaunch, self._executable, stream.handle)

    def free(self) -> None:
        """Gives the record back."""
        cudart.cudaGraphExecDestroy(self._executable)


class TensorPair:
    """A tensor on the GPU and its twin in page-locked host memory, from which the GPU copies without a detour.

    Attributes:
        host: the twin, an array of the largest batch; valid until `free`.
        address: of the tensor on the GPU.

    Raises:
        EngineError: no memory left on either side.
    """

    def __init__(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        kind = np.dtype(dtype)
        size = int(np.prod(shape)) * kind.itemsize
        self._device = DeviceMemory(size)
        try:
            self._pinned = int(_call(cudart.cudaHostAlloc, size, cudart.cudaHostAllocDefault))
        except EngineError:
            self._device.free()
            raise
        self.address = self._device.address
        memory = (ctypes.c_uint8 * size).from_address(self._pinned)
        self.host: npt.NDArray[Any] = np.frombuffer(memoryview(memory), kind).reshape(shape)
        self._bytes_each = size // shape[0]

    def upload(self, batch: int, stream: Stream) -> None:
        """Queues the copy of the first `batch` rows to the GPU."""
        kind = cudart.cudaMemcpyKind.cudaMemcpyHostToDevice
        _call(cudart.cudaMemcpyAsync, self.address, self._pinned, batch * self._bytes_each, kind, stream.handle)

    def download(self, batch: int, stream: Stream) -> None:
        """Queues the copy of the first `batch` rows from the GPU."""
        kind = cudart.cudaMemcpyKind.cudaMemcpyDeviceToHost
        _call(cudart.cudaMemcpyAsync, self._pinned, self.address, batch * self._bytes_each, kind, stream.handle)

    def free(self) -> None:
        """Gives both memories back; `host` must not be touched afterwards."""
        del self.host
        cudart.cudaFreeHost(self._pinned)
        self._device.free()
