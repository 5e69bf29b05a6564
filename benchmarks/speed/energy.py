"""From counted energy to power; and the energy that the processor counts, where it may be read."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.speed.turns import Samples

__all__ = ["Meter", "ProcessorEnergy"]

_POWERCAP = Path("/sys/class/powercap")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Meter:
    """What counts the energy of a device.

    Attributes:
        joules: used since some moment.
        shortest_s: shortest block that it can tell the power of.
    """

    joules: Callable[[], float]
    shortest_s: float

    def watts(self, samples: Samples) -> float | None:
        """The power while a contestant ran; None, with a word in the log, where its blocks are too short to tell."""
        block_s = samples.seconds / len(samples.blocks)
        if block_s < self.shortest_s:
            logger.warning(
                "power is left out: a block took %.2g s, and the meter needs %g; remedy: more --frames",
                block_s,
                self.shortest_s,
            )
            return None
        return round(samples.joules / samples.seconds, 1)


class ProcessorEnergy:
    """The counters of RAPL, one a package: of all cores and whatever runs on them, memory not included.

    They move on every millisecond (Intel's developer manual, volume 3, "Package RAPL domain"). Linux shows them (AMD's
    too) as intel-rapl; since 2020 mostly to root alone.

    Args:
        folder: of the kernel's power capping framework.

    Raises:
        OSError: none can be read.
    """

    SHORTEST_S = 0.01  # of a block, ten of their steps

    def __init__(self, folder: Path = _POWERCAP) -> None:
        zones = sorted(folder.glob("intel-rapl:[0-9]*"))
        packages = [zone for zone in zones if (zone / "name").read_text().startswith("package")]
        if not packages:
            raise FileNotFoundError(f"no counter of a processor's energy below {folder}")
        self._zones = [(zone / "energy_uj", int((zone / "max_energy_range_uj").read_text())) for zone in packages]
        self._last = [int(path.read_text()) for path, _ in self._zones]
        self._microjoules = 0

    def joules(self) -> float:
        """Used since the meter was made; to be asked at least once in a counter's range, some minutes."""
        for i, (path, wraps_at) in enumerate(self._zones):
            now = int(path.read_text())
            self._microjoules += (now - self._last[i]) % (wraps_at + 1)
            self._last[i] = now
        return self._microjoules / 1e6
