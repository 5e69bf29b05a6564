"""Memory and power of an NVIDIA GPU, as its driver tells them."""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from fetalseg.errors import EngineError, MissingExtraError

__all__ = ["Gpu", "SampledPower", "open_gpu"]

_DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
_SAMPLE_SECONDS = 0.05


class Gpu:
    """A GPU that is watched.

    Figures are the whole device's: another program on it is in them.

    Args:
        nvml: the module pynvml, initialised.
        handle: the device's.

    Attributes:
        name: "NVIDIA H200".
        driver: its version.
        cuda: the newest CUDA version that the driver can do, "13.0".
        tells_power: whether `joules` can be asked.
    """

    SHORTEST_S = 0.2  # of a block: the count moves every 20 to 100 ms (petsc.org, PetscLogGpuEnergyMeter)

    def __init__(self, nvml: Any, handle: Any) -> None:
        self._nvml, self._handle = nvml, handle
        self.name: str = nvml.nvmlDeviceGetName(handle)
        self.driver: str = nvml.nvmlSystemGetDriverVersion()
        version: int = nvml.nvmlSystemGetCudaDriverVersion()
        self.cuda = f"{version // 1000}.{version % 1000 // 10}"
        self.memory_mb()  # what can't be told is an error now, not after the measurement
        self._sampled: SampledPower | None = None
        self.tells_power = True
        try:
            self.joules()
        except nvml.NVMLError:  # before Volta there is no counter of energy
            self.tells_power = self._starts_sampling()

    def __str__(self) -> str:
        return f"{self.name}, driver {self.driver} (CUDA {self.cuda})"

    def memory_mb(self) -> float:
        """Used on the device, in 2**20 bytes."""
        return float(self._nvml.nvmlDeviceGetMemoryInfo(self._handle).used) / 2**20

    def joules(self) -> float:
        """Used by the whole board since some moment."""
        if self._sampled is not None:
            return self._sampled.joules()
        return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)) / 1000

    def close(self) -> None:
        """Gives the library back."""
        if self._sampled is not None:
            self._sampled.close()
        self._nvml.nvmlShutdown()

    def _watts(self) -> float:
        return float(self._nvml.nvmlDeviceGetPowerUsage(self._handle)) / 1000

    def _starts_sampling(self) -> bool:
        try:
            self._watts()
        except self._nvml.NVMLError:
            return False
        self._sampled = SampledPower(self._watts)
        return True


class SampledPower:
    """Energy where only power can be read: a thread adds it up 20 times a second.

    Args:
        watts: reads the power.
    """

    def __init__(self, watts: Callable[[], float]) -> None:
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
            watts, now = self._watts(), time.perf_counter()
            self._joules += watts * (now - last)
            last = now


def open_gpu(driver: str = _DRIVER) -> Gpu:
    """The GPU that engines use: the first that CUDA shows.

    Args:
        driver: file name of the CUDA driver API.

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
        return Gpu(pynvml, pynvml.nvmlDeviceGetHandleByPciBusId(_first_pci_address(driver)))
    except pynvml.NVMLError as error:
        raise EngineError(f"the GPU's memory and power can't be read: {error}") from None


def _first_pci_address(library: str) -> str:
    """Where CUDA's device 0 sits, "0000:3B:00.0".

    NVML has an order of its own and doesn't know CUDA_VISIBLE_DEVICES: of two different GPUs CUDA's first is the faster
    one, NVML's the one on the lower bus.

    Raises:
        EngineError: the driver fails.
    """
    try:
        driver = ctypes.CDLL(library)
    except OSError as error:
        raise EngineError(f"the NVIDIA driver can't be loaded: {error}") from None
    device, address = ctypes.c_int(), ctypes.create_string_buffer(32)
    code = (
        driver.cuInit(0)
        or driver.cuDeviceGet(ctypes.byref(device), 0)
        or driver.cuDeviceGetPCIBusId(address, len(address), device)
    )
    if code != 0:
        raise EngineError(f"the NVIDIA driver doesn't tell where the GPU is: error {code}")
    return address.value.decode()
