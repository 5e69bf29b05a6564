"""No frame leaves memory: a whole examination with its report, seen from outside of the server's processes.

Three looks, because each misses something: the kernel's count of bytes that a process has caused to be written to disks
(not files in memory), the files that a process has open for writing (not those it has closed), and the folders into
which programs put files without being asked (not other folders).
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
from crafted_model import write_crafted_model

from server.live import GRAY8, Client

FRAMES = 20
FRAME_BYTES = 640 * 480


def noise(seed: int) -> bytes:
    """Rows that no file system could store in less; each sharper than the one before, so that it is kept."""
    return np.random.default_rng(seed).integers(0, 40 + 8 * seed, FRAME_BYTES, dtype=np.uint8).tobytes()


@contextmanager
def serving(folder: Path) -> Iterator[tuple[list[psutil.Process], str]]:
    """A server whose folders are all one empty folder: its processes, and its address."""
    model = write_crafted_model(folder.parent / "crafted.onnx")
    command = [sys.executable, "-B", "-m", "fetalseg.cli", "--verbose", "serve", "--port", "0", "--threads", "1"]
    places = dict.fromkeys(("HOME", "TMPDIR", "TEMP", "TMP", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"), str(folder))
    environment = {**os.environ, **places, "PYTHONDONTWRITEBYTECODE": "1"}
    log = subprocess.DEVNULL
    with subprocess.Popen(
        [*command, "--model", str(model)], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
    ) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().split()[-1]
            server = psutil.Process(process.pid)
            yield [server, *server.children(recursive=True)], address
        finally:
            process.kill()


def disk_bytes(pid: int) -> int:
    """Bytes that a process has caused to be written to disks, since it started."""
    lines = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(lines["write_bytes"])


def open_for_writing(pid: int) -> list[str]:
    """Names of the files that a process could write to; sockets, pipes and devices are none."""
    names = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        flags = Path(f"/proc/{pid}/fdinfo/{descriptor.name}").read_text().split("flags:")[1].split()[0]
        writable = int(flags, 8) & os.O_ACCMODE != os.O_RDONLY
        if writable and stat.S_ISREG(descriptor.stat().st_mode):
            names.append(str(descriptor.readlink()))
    return names


def examine(address: str) -> str:
    """An examination of frames that are kept, and its report."""
    with Client(address.replace("http", "ws") + "/v1/stream", {"examination": True}) as client:
        for sequence in range(1, FRAMES + 1):
            answer = client.ask(sequence, noise(sequence), GRAY8, size=(640, 480))
            assert answer["type"] == "result"
        assert answer["examination"]["structures"]["cranium"]["best"]["sequence"] == FRAMES
        url = f"{address}/v1/sessions/{client.ready['session']}/summary"
        request = urllib.request.Request(url, headers={"Accept": "text/html"})
        with urllib.request.urlopen(request, timeout=60) as page:
            return str(page.read().decode())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder on a disk whose writes the kernel counts."""
    before = disk_bytes(os.getpid())
    (tmp_path / "control").write_bytes(noise(0))
    if disk_bytes(os.getpid()) - before < FRAME_BYTES:
        pytest.skip("the kernel doesn't count writes to the folder for tests")
    empty = tmp_path / "empty"
    empty.mkdir()
    return empty


def test_an_examination_with_its_report_writes_no_frame_to_a_disk(folder: Path) -> None:
    with serving(folder) as (processes, address):
        assert len(processes) == 2  # the server and its engine
        before = [disk_bytes(process.pid) for process in processes]
        assert "data:image/jpeg;base64," in examine(address)
        written = [disk_bytes(process.pid) - start for process, start in zip(processes, before, strict=True)]
        assert max(written) < FRAME_BYTES / 4
        for process in processes:
            names = open_for_writing(process.pid)
            assert [name for name in names if not name.startswith("/memfd:")] == []
        assert list(folder.rglob("*")) == []
