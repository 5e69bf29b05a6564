"""Memory of the machine's NVIDIA GPUs, where there are some and the extra `gpu` is installed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["GpuMemory", "GpuUse"]


@dataclass(frozen=True)
class GpuUse:
    """One GPU, in bytes, whoever uses it."""

    index: int
    used: int
    total: int


class GpuMemory:
    """Asks the driver, through NVIDIA's management library; a machine without either has no GPUs."""

    def __init__(self) -> None:
        self._library: Any = None
        self._devices: list[Any] = []
        try:
            import pynvml

            self._library = pynvml
        except ImportError:
            return
        try:
            pynvml.nvmlInit()
            self._devices = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        except pynvml.NVMLError:  # no driver, or no permission
            self._devices = []

    def read(self) -> list[GpuUse]:
        """The GPUs as of now; one that doesn't tell is left out."""
        uses = []
        for index, device in enumerate(self._devices):
            try:
                memory = self._library.nvmlDeviceGetMemoryInfo(device)
            except self._library.NVMLError:
                continue
            uses.append(GpuUse(index, int(memory.used), int(memory.total)))
        return uses
