"""What the figures of a benchmark were measured on."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from fetalseg.engines.base import usable_cores

__all__ = ["Machine", "load_average", "this_machine"]


@dataclass(frozen=True)
class Machine:
    """One line of hardware and software.

    Attributes:
        processor: its name as the operating system tells it.
        cores: logical processors that this process may use, by its affinity and its container's quota.
        features: of the instruction sets that matter to the products, those that the processor has.
        system: operating system and its release.
        python: version.
        numpy: version.
        opencv: version.
    """

    processor: str
    cores: int
    features: tuple[str, ...]
    system: str
    python: str
    numpy: str
    opencv: str

    def __str__(self) -> str:
        features = f" ({', '.join(self.features)})" if self.features else ""
        return (
            f"{self.processor}, {self.cores} cores{features}; {self.system}; "
            f"Python {self.python}, NumPy {self.numpy}, OpenCV {self.opencv}"
        )

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def this_machine() -> Machine:
    """The machine that runs this; what isn't known is left out, never guessed."""
    facts = _cpuinfo()
    flags = set(facts.get("flags", facts.get("Features", "")).split())
    return Machine(
        processor=facts.get("model name") or platform.processor() or platform.machine(),
        cores=usable_cores(),
        features=tuple(flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd") if flag in flags),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        numpy=np.__version__,
        opencv=cv2.__version__,
    )


def load_average() -> str:
    """How many processes wanted a processor in the last minute, on average; "unknown" on Windows."""
    return f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "unknown"


def _cpuinfo() -> dict[str, str]:
    """The first processor of Linux's /proc/cpuinfo; empty elsewhere."""
    path = Path("/proc/cpuinfo")
    if not path.is_file():
        return {}
    first = path.read_text(encoding="utf-8", errors="replace").split("\n\n")[0]
    pairs = (line.split(":", 1) for line in first.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}
