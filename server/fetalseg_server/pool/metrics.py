"""What the workers are doing, for Prometheus: read off when it is asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fetalseg_server.pool.gpu_memory import GpuMemory
from fetalseg_server.pool.lane import Lane
from fetalseg_server.pool.pool import WorkerPool

__all__ = ["PoolCollector"]


_GAUGES: dict[str, tuple[str, Callable[[Lane], float]]] = {
    "ready": ("1 for a worker that takes work", lambda lane: lane.worker.ready),
    "sessions": ("sessions of a worker", lambda lane: len(lane.seats)),
    "frames": ("frames that wait for a worker or are in it", lambda lane: lane.busy),
    "busy_ratio": ("share of the last second in which a worker had work", lambda lane: lane.busy_share),
    "frame_seconds": ("what a frame costs a worker, at full quality", lambda lane: lane.frame_s),
    "capacity_fps": ("frames a second that may be promised", lambda lane: lane.capacity_fps),
    "promised_fps": ("frames a second that are promised to sessions", lambda lane: lane.promised_fps),
    "batch_size": ("frames that go through the network at once", lambda lane: lane.worker.batch),
}


class PoolCollector(Collector):
    """Gauges of a pool, by worker, rung and GPU.

    Args:
        pool: of the server.
    """

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool
        self._gpus = GpuMemory()

    def collect(self) -> Iterator[Metric]:
        """The gauges as of now."""
        for name, (text, value) in _GAUGES.items():
            family = GaugeMetricFamily(f"fetalseg_worker_{name}", text, labels=["worker"])
            for lane in self._pool.lanes:
                family.add_metric([str(lane.number)], value(lane))
            yield family
        yield self._rungs()
        yield self._memory()

    def _rungs(self) -> Metric:
        family = GaugeMetricFamily("fetalseg_rung_sessions", "sessions on a rung of the ladder", labels=["rung"])
        standing = Counter(seat.rung for lane in self._pool.lanes for seat in lane.seats)
        for rung in range(len(self._pool.lanes[0].rungs)):
            family.add_metric([str(rung)], standing[rung])
        return family

    def _memory(self) -> Metric:
        family = GaugeMetricFamily("fetalseg_gpu_memory_bytes", "memory of a GPU", labels=["gpu", "kind"])
        for gpu in self._gpus.read():
            family.add_metric([str(gpu.index), "used"], gpu.used)
            family.add_metric([str(gpu.index), "total"], gpu.total)
        return family
