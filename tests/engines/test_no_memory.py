"""Where there is no memory left, an engine says so with a remedy, and the process goes on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fetalseg.engines import available_engines
from fetalseg.engines.base import runtime_failure

# The address space is limited once the model is loaded: as a cgroup's limit, but an error instead of the end.
SCRIPT = """
import resource, sys
import numpy as np
from pathlib import Path
from fetalseg.engines import load_engine
from fetalseg.errors import EngineError
with load_engine(sys.argv[1], sys.argv[2], device="cpu", threads=1) as engine:
    rule = engine.facts.input
    images = np.zeros((16, rule.height, rule.width, rule.channels), np.uint8)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 4 * 2**20, resource.RLIM_INFINITY))
    try:
        engine.infer(images)
    except EngineError as error:
        print(error)
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print("then", len(engine.infer(images[:1]).scores))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the use of memory is read from /proc")
@pytest.mark.parametrize("kind", ["onnxruntime", "torch"])  # OpenVINO takes all of its memory while loading
def test_a_batch_too_large_for_memory_is_an_error_and_the_next_frame_fine(kind: str, default_model: Path) -> None:
    if kind not in available_engines():
        pytest.skip(f"{kind} is not installed")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(default_model), kind], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    *told, last = done.stdout.splitlines()
    assert told[0].startswith(f"{kind} ran out of memory: ")
    assert "; remedy: a smaller batch or model" in " ".join(told)
    assert last == "then 1"


@pytest.mark.parametrize(
    "words",
    [
        "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 15.77 GiB",
        "CUDA failure 2: out of memory ; GPU=0",
        "Exception during initialization: std::bad_alloc",
        "Failed to allocate memory for requested buffer of size 958464",
        "could not create a memory object",
    ],
)
def test_what_runtimes_say_without_memory_gets_the_remedy(words: str) -> None:
    error = runtime_failure("torch", RuntimeError(f"{words}\nand a long trace"))
    assert str(error).startswith(f"torch ran out of memory: {words}; remedy: ")


def test_any_other_failure_keeps_its_words() -> None:
    assert str(runtime_failure("OpenVINO", RuntimeError("an unknown layer"))) == "OpenVINO failed: an unknown layer"
