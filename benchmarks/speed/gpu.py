"""Memory and power of an NVIDIA GPU, as its driver tells them."""

from __future__ import annotations

import os
import threading
import time
from typing import Any, Protocol

from fetalseg.errors import EngineError, MissingExtraError

__all__ = ["Gpu", "SampledPower", "open_gpu"]

_SAMPLE_SECONDS = 0.05


class _Meter(Protocol):
    """Counts energy."""

    def joules(self) -> float:
        """Used since some moment."""


class Gpu:
    """The GPU that engines use: the first of CUDA_VISIBLE_DEVICES, else the driver's first.

    Figures are the whole device's: another program on it is in them.

    Attributes:
        name: "NVIDIA H200".
        driver: its version.
        cuda: the newest CUDA version that the driver can do, "13.0".
    """

    def __init__(self, nvml: Any, handle: Any) -> None:
        self._nvml, self._handle = nvml, handle
        self.name: str = nvml.nvmlDeviceGetName(handle)
        self.driver: str = nvml.nvmlSystemGetDriverVersion()
        version: int = nvml.nvmlSystemGetCudaDriverVersion()
        self.cuda = f"{version // 1000}.{version % 1000 // 10}"
        self.memory_mb()  # what can't be told is an error now, not after the measurement
        try:
            nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
            self._meter: _Meter | None = _EnergyCounter(nvml, handle)
        except nvml.NVMLError:  # before Volta
            self._meter = self._sampled()

    def __str__(self) -> str:
        return f"{self.name}, driver {self.driver} (CUDA {self.cuda})"

    def memory_mb(self) -> float:
        """Used on the device, in 2**20 bytes."""
        return float(self._nvml.nvmlDeviceGetMemoryInfo(self._handle).used) / 2**20

    @property
    def tells_power(self) -> bool:
        """Whether `joules` can be asked."""
        return self._meter is not None

    def joules(self) -> float:
        """Used by the whole board since some moment."""
        assert self._meter is not None
        return self._meter.joules()

    def close(self) -> None:
        """Gives the library back."""
        if isinstance(self._meter, SampledPower):
            self._meter.close()
        self._nvml.nvmlShutdown()

    def _sampled(self) -> SampledPower | None:
        try:
            self._nvml.nvmlDeviceGetPowerUsage(self._handle)
        except self._nvml.NVMLError:
            return None
        return SampledPower(lambda: self._nvml.nvmlDeviceGetPowerUsage(self._handle) / 1000)


class _EnergyCounter:
    """The board's own count."""

    def __init__(self, nvml: Any, handle: Any) -> None:
        self._nvml, self._handle = nvml, handle

    def joules(self) -> float:
        """Since the driver was loaded."""
        return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)) / 1000


class SampledPower:
    """Energy where only power can be read: a thread adds it up 20 times a second.

    Args:
        watts: reads the power.
    """

    def __init__(self, watts: Any) -> None:
        self._watts = watts
        self._joules = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="power", daemon=True)
        self._thread.start()

    def joules(self) -> float:
        """Since the meter was made, up to the last sample."""
        return self._joules

    def close(self) -> None:
        """Stops the thread."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        last = time.perf_counter()
        while not self._stop.wait(_SAMPLE_SECONDS):
            watts, now = float(self._watts()), time.perf_counter()
            self._joules += watts * (now - last)
            last = now


def open_gpu() -> Gpu:
    """The GPU of this process.

    Raises:
        MissingExtraError: nvidia-ml-py isn't installed.
        EngineError: the driver can't be asked.
    """
    try:
        import pynvml
    except ModuleNotFoundError:
        raise MissingExtraError("pynvml", "gpu") from None
    try:
        pynvml.nvmlInit()
        chosen = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
        if chosen.isdecimal():
            return Gpu(pynvml, pynvml.nvmlDeviceGetHandleByIndex(int(chosen)))
        return Gpu(pynvml, pynvml.nvmlDeviceGetHandleByUUID(chosen))
    except pynvml.NVMLError as error:
        raise EngineError(f"the GPU's memory and power can't be read: {error}") from None
