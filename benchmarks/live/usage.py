"""What the server's processes use, as the operating system sees it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from fetalseg.errors import FetalsegError, MissingExtraError

try:
    import psutil
except ModuleNotFoundError:
    raise MissingExtraError("psutil", "dev") from None

__all__ = ["Footprint", "Usage", "UsageWatch", "footprint", "workers_of"]

_INTERVAL_S = 0.5


@dataclass(frozen=True)
class Footprint:
    """What a server's processes hold at one moment.

    Attributes:
        server_rss: bytes of the server process; shared memory that it has touched counts.
        workers_rss: bytes of its workers, added up.
        workers: how many.
        files: open descriptors of the server process.
        threads: of the server process.
    """

    server_rss: int
    workers_rss: int
    workers: int
    files: int
    threads: int


@dataclass(frozen=True)
class Usage:
    """What was used over a time.

    Attributes:
        server_cpu: cores that the server process kept busy, on average.
        workers_cpu: likewise its workers together.
        machine_cpu: likewise all programs of the machine.
        stolen_cpu: cores that the hypervisor gave to others while there was work here; 0 where none tells. Latencies
            of a run with more than a few hundredths say more of the neighbours than of the server.
        server_rss: the highest that was seen, bytes.
        workers_rss: likewise.
        workers: processes, at the end.
    """

    server_cpu: float
    workers_cpu: float
    machine_cpu: float
    stolen_cpu: float
    server_rss: int
    workers_rss: int
    workers: int


def workers_of(pid: int) -> list[psutil.Process]:
    """The processes that a server started."""
    found = []
    for child in psutil.Process(pid).children(recursive=True):
        try:
            if any("fetalseg_server" in word for word in child.cmdline()):
                found.append(child)
        except psutil.Error:  # it has just ended
            continue
    return found


def footprint(pid: int) -> Footprint:
    """What the server of this process holds now.

    Raises:
        FetalsegError: it has ended.
    """
    try:
        server, workers = psutil.Process(pid), workers_of(pid)
        with server.oneshot():
            rss, files, threads = server.memory_info().rss, server.num_fds(), server.num_threads()
    except psutil.NoSuchProcess:
        raise FetalsegError("the server has ended") from None
    return Footprint(rss, sum(map(_rss, workers)), len(workers), files, threads)


class UsageWatch:
    """Watches a server's processes from its making until `end`.

    Args:
        pid: of the server process.
    """

    def __init__(self, pid: int) -> None:
        self._server = psutil.Process(pid)
        self._workers: dict[int, psutil.Process] = {}
        self._last: dict[int, float] = {}
        self._peak = [0, 0]
        self._started, self._machine = time.monotonic(), _machine_seconds()
        self._ended = threading.Event()
        self._look()
        self._first = dict(self._last)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> Usage:
        """Looks a last time and adds up."""
        self._ended.set()
        self._thread.join()
        self._look()
        elapsed = time.monotonic() - self._started
        busy, stolen = (now - before for now, before in zip(_machine_seconds(), self._machine, strict=True))
        # A worker that was started meanwhile has used what it used since then.
        used = {pid: seconds - self._first.get(pid, 0.0) for pid, seconds in self._last.items()}
        server = used.pop(self._server.pid)
        return Usage(
            server_cpu=server / elapsed,
            workers_cpu=sum(used.values()) / elapsed,
            machine_cpu=busy / elapsed,
            stolen_cpu=stolen / elapsed,
            server_rss=self._peak[0],
            workers_rss=self._peak[1],
            workers=len(workers_of(self._server.pid)),
        )

    def _run(self) -> None:
        while not self._ended.wait(_INTERVAL_S):
            self._look()

    def _look(self) -> None:
        for worker in workers_of(self._server.pid):
            self._workers.setdefault(worker.pid, worker)
        for process in (self._server, *self._workers.values()):
            if seconds := _cpu_seconds(process):
                self._last[process.pid] = seconds
        self._peak[0] = max(self._peak[0], _rss(self._server))
        self._peak[1] = max(self._peak[1], sum(map(_rss, self._workers.values())))


def _rss(process: psutil.Process) -> int:
    """Bytes of a process, 0 where it has ended."""
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _cpu_seconds(process: psutil.Process) -> float:
    """Seconds that a process has computed, 0 where it has ended."""
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def _machine_seconds() -> tuple[float, float]:
    """Seconds that programs kept the machine's cores busy, and that the hypervisor took from them."""
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0) + getattr(times, "guest", 0.0)
    stolen = getattr(times, "steal", 0.0)
    return float(sum(times) - idle - stolen), float(stolen)
