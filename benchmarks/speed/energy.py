"""Energy that the processor counts, where it may be read."""

from __future__ import annotations

from pathlib import Path

__all__ = ["ProcessorEnergy"]

_POWERCAP = Path("/sys/class/powercap")


class ProcessorEnergy:
    """The counters of RAPL, one a package: of all cores and whatever runs on them, memory not included.

    Linux shows them (AMD's too) as intel-rapl; since 2020 mostly to root alone.

    Args:
        folder: of the kernel's power capping framework.

    Raises:
        OSError: none can be read.
    """

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
