"""What the server measures about itself, for Prometheus."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector, generate_latest
from prometheus_client.registry import Collector

from fetalseg_server.access.audit import AuditLog
from fetalseg_server.transport.doorkeeper import Doorkeeper

__all__ = ["Metrics", "watch_event_loop"]

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.2, 0.5, 1.0, 5.0)
_LAG_PROBE_S = 0.05


class Metrics:
    """The server's metrics, in a registry of their own, so that two servers in one process don't mix.

    Attributes:
        sessions: open sessions.
        closed: ended sessions, by close code.
        frames: answered frames, by outcome: "result" or the reason of a skip.
        stages: seconds of a result's stages, by stage.
        lag: by how many seconds the event loop is late.
        engine_restarts: times that the engine's process was started again.
        engine: which model runs on what.
        batches: frames that shared a result's inference.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.sessions = Gauge("fetalseg_sessions", "open sessions", registry=self._registry)
        self.closed = Counter(
            "fetalseg_sessions_closed", "ended sessions by close code", ["code"], registry=self._registry
        )
        self.frames = Counter("fetalseg_frames", "answered frames by outcome", ["outcome"], registry=self._registry)
        self.stages = Histogram(
            "fetalseg_stage_seconds",
            "time of a stage of a result",
            ["stage"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.lag = Histogram(
            "fetalseg_event_loop_lag_seconds",
            "by how much the event loop is late",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.engine_restarts = Gauge(
            "fetalseg_engine_restarts", "times that the engine's process was started again", registry=self._registry
        )
        self.ready = Gauge(
            "fetalseg_ready", "1 while a model is warm and the server isn't draining", registry=self._registry
        )
        self.engine = Info("fetalseg_engine", "which model runs on what", registry=self._registry)
        self.batches = Histogram(
            "fetalseg_batch_frames", "frames that shared an inference", buckets=(1, 2, 4, 8), registry=self._registry
        )

    def add(self, collector: Collector) -> None:
        """Lets something else tell its metrics beside these."""
        self._registry.register(collector)

    def watch_doorkeeper(self, doorkeeper: Doorkeeper) -> None:
        """Tells, from now on, of connections that have shown no token."""
        pending = Gauge("fetalseg_connections_pending", "connections without a token yet", registry=self._registry)
        pending.set_function(lambda: doorkeeper.pending)
        refused = Gauge("fetalseg_connections_refused", "connections that were not let in", registry=self._registry)
        refused.set_function(lambda: doorkeeper.refused)

    def watch_audit(self, audit: AuditLog) -> None:
        """Tells, from now on, of records that are missing in the audit."""
        failures = Gauge("fetalseg_audit_failures", "records that could not be written", registry=self._registry)
        failures.set_function(lambda: audit.failures)

    def observe_result(self, timing_ms: Mapping[str, float], batch: int = 1) -> None:
        """Notes a result, how long its stages took, and how many frames shared its inference."""
        self.batches.observe(batch)
        self.frames.labels("result").inc()
        for stage, duration in timing_ms.items():
            self.stages.labels(stage).observe(duration / 1000)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)


async def watch_event_loop(metrics: Metrics) -> None:
    """Measures, until cancelled, how late the event loop calls back."""
    while True:
        start = time.monotonic()
        await asyncio.sleep(_LAG_PROBE_S)
        metrics.lag.observe(max(0.0, time.monotonic() - start - _LAG_PROBE_S))
