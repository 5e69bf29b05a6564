"""Is there an NVIDIA GPU that can be used? Asked of the driver itself, in milliseconds, without any CUDA package."""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass

__all__ = ["Gpus", "find_gpus"]

_DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
_SUCCESS, _NO_DEVICE = 0, 100  # CUresult of the CUDA driver API


@dataclass(frozen=True)
class Gpus:
    """What the driver says.

    Attributes:
        count: usable NVIDIA GPUs; CUDA_VISIBLE_DEVICES is respected.
        problem: why there is none, with the remedy; empty where there is one.
        broken: a driver is installed and fails: a fault, where a machine without a GPU is none.
    """

    count: int
    problem: str
    broken: bool


def find_gpus(library: str = _DRIVER) -> Gpus:
    """Asks the driver for its GPUs; no context is made and no memory taken on them.

    Args:
        library: file name of the CUDA driver API.
    """
    try:
        driver = ctypes.CDLL(library)
    except OSError:
        remedy = "install NVIDIA's driver, or start the container with --gpus all"
        return Gpus(0, f"no NVIDIA driver was found ({library}); remedy: {remedy}", broken=False)
    code = driver.cuInit(0)
    if code == _SUCCESS:
        count = ctypes.c_int(0)
        code = driver.cuDeviceGetCount(ctypes.byref(count))
        if code == _SUCCESS and count.value > 0:
            return Gpus(count.value, "", broken=False)
    if code in (_SUCCESS, _NO_DEVICE):
        return Gpus(0, "the NVIDIA driver sees no GPU; remedy: check nvidia-smi and CUDA_VISIBLE_DEVICES", broken=False)
    remedy = "check nvidia-smi; after an update of the driver restart the machine"
    return Gpus(0, f"the NVIDIA driver failed: {_describe(driver, code)}; remedy: {remedy}", broken=True)


def _describe(driver: ctypes.CDLL, code: int) -> str:
    text = ctypes.c_char_p()
    known = driver.cuGetErrorString(code, ctypes.byref(text)) == _SUCCESS and text.value
    return f"{text.value.decode()} ({code})" if known and text.value else f"error {code}"
