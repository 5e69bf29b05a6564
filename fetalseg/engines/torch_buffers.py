"""Runs a network in buffers that stay where they are: what a CUDA graph needs, and pinned memory on the host."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from fetalseg.engines.base import stage

__all__ = ["BufferedNetwork"]

_WARM_UP = 3  # runs before a capture: libraries choose their kernels and take their memory in the first ones
# Sizes of batch that keep buffers and a graph. A server uses the few of its ladder; what else comes runs without.
_KEPT_SIZES = 8


class _Buffers(NamedTuple):
    """Of one size of batch.

    Attributes:
        host_input: uint8 [B, h, w, c], pinned where there is a GPU.
        input: the same on the device.
        outputs: on the device, contiguous.
        host_outputs: the same on the host, pinned where there is a GPU.
        compute: fills `outputs` from `input`.
    """

    host_input: Tensor
    input: Tensor
    outputs: list[Tensor]
    host_outputs: list[Tensor]
    compute: Callable[[], None]


class BufferedNetwork:
    """A network fed from NumPy, for each size of batch through buffers of its own.

    On a GPU the computation of a size of batch is captured as a CUDA graph when it first comes, and replayed from then
    on: launching a few hundred small kernels one by one can take a processor longer than a GPU takes to run them.
    Everything runs on a stream of its own. `run` may be called from several threads; they take turns.

    Args:
        network: uint8 images [B, h, w, c] to a tuple of tensors, on `device`.
        device: where; on "cpu" nothing is captured or pinned, and all else is the same.
    """

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        self._network = network
        self._device = device
        self._on_gpu = device.type == "cuda"
        self._stream = torch.cuda.Stream(device) if self._on_gpu else None  # type: ignore[no-untyped-call]
        self._pool: Any = None
        self._kept: dict[int, _Buffers] = {}
        self._lock = threading.Lock()

    def run(self, images: npt.NDArray[np.uint8], stages: dict[str, float] | None) -> list[npt.NDArray[Any]]:
        """The outputs as arrays that belong to the caller.

        Args:
            images: uint8 [B, h, w, c], in any layout.
            stages: where to note the times of "upload", "infer" and "copy_back".

        Raises:
            RuntimeError: PyTorch failed; `torch.OutOfMemoryError` if for want of memory.
        """
        with self._lock, torch.inference_mode(), self._on_stream():
            buffers = self._kept.get(len(images)) or self._make(images.shape)
            with stage(stages, "upload"):
                np.copyto(buffers.host_input.numpy(), images)
                buffers.input.copy_(buffers.host_input, non_blocking=True)
                self._wait(stages is not None)
            with stage(stages, "infer"):
                buffers.compute()
                self._wait(stages is not None)
            with stage(stages, "copy_back"):
                for host, output in zip(buffers.host_outputs, buffers.outputs, strict=True):
                    host.copy_(output, non_blocking=True)
                self._wait(True)
                return [host.numpy().copy() for host in buffers.host_outputs]

    def close(self) -> None:
        """Gives buffers and graphs back."""
        with self._lock:
            self._kept.clear()
            if self._on_gpu:
                torch.cuda.empty_cache()

    def _make(self, shape: tuple[int, ...]) -> _Buffers:
        """Buffers of a size of batch that hasn't come before."""
        host_input = torch.zeros(shape, dtype=torch.uint8, pin_memory=self._on_gpu)
        images = host_input.to(self._device)
        with _kernels_chosen_by_trial():
            outputs = [
                torch.empty(value.shape, dtype=value.dtype, device=self._device) for value in self._network(images)
            ]

        def compute() -> None:
            with _kernels_chosen_by_trial():
                for output, value in zip(outputs, self._network(images), strict=True):
                    output.copy_(value)

        keep = len(self._kept) < _KEPT_SIZES
        ready = self._capture(compute) if self._on_gpu and keep else compute
        host_outputs = [torch.empty(value.shape, dtype=value.dtype, pin_memory=self._on_gpu) for value in outputs]
        buffers = _Buffers(host_input, images, outputs, host_outputs, ready)
        if keep:
            self._kept[shape[0]] = buffers
        return buffers

    def _capture(self, compute: Callable[[], None]) -> Callable[[], None]:
        """The computation as a graph.

        All graphs share one pool of memory. That is safe because they take turns on one stream, and because what a
        graph leaves in the pool isn't read later: inputs and outputs lie outside of it.
        """
        for _ in range(_WARM_UP):
            compute()
        if not self._kept:  # PyTorch ends a pool with the last graph in it, and then refuses its handle
            self._pool = torch.cuda.graph_pool_handle()
        graph = torch.cuda.CUDAGraph()
        # Another thread may use the GPU meanwhile, which would end a capture of the mode "global".
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
            compute()
        replay: Callable[[], None] = graph.replay
        return replay

    def _on_stream(self) -> torch.cuda.StreamContext:
        return torch.cuda.stream(self._stream)  # None is "no change"

    def _wait(self, wanted: bool) -> None:
        if wanted and self._stream is not None:
            self._stream.synchronize()


def _kernels_chosen_by_trial() -> AbstractContextManager[None]:
    """Lets cuDNN try its kernels for each shape and keep the fastest; fp32 means fp32, not TF32.

    These are settings of the process, and as before afterwards; a captured graph keeps what was chosen.
    """
    context: AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=True, benchmark=True, deterministic=False, allow_tf32=False
    )
    return context
