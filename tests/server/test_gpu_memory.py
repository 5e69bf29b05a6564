from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from fetalseg_server.pool.gpu_memory import GpuMemory, GpuUse


class NVMLError(Exception):
    """As NVIDIA's library has it."""


def library(memory: dict[int, tuple[int, int]], *, driver: bool = True) -> SimpleNamespace:
    """NVIDIA's library on a machine with these GPUs: used and total bytes; what tests run on has none."""

    def init() -> None:
        if not driver:
            raise NVMLError("driver not loaded")

    def info(device: int) -> SimpleNamespace:
        if memory[device][1] == 0:
            raise NVMLError("lost")
        return SimpleNamespace(used=memory[device][0], total=memory[device][1])

    return SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=init,
        nvmlDeviceGetCount=lambda: len(memory),
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetMemoryInfo=info,
    )


def test_each_gpu_tells_its_memory_and_a_lost_one_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", library({0: (5, 80), 1: (0, 0), 2: (7, 40)}))
    assert GpuMemory().read() == [GpuUse(0, 5, 80), GpuUse(2, 7, 40)]


def test_without_a_driver_or_the_library_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", library({0: (5, 80)}, driver=False))
    assert GpuMemory().read() == []
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert GpuMemory().read() == []
