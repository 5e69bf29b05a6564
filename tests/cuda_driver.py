"""A CUDA driver of a few lines of C: it says how many GPUs there are, and can do nothing with them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

_SOURCE = """
int cuInit(unsigned flags) { return INIT; }
int cuDeviceGetCount(int *count) { *count = COUNT; return 0; }
int cuGetErrorString(int code, const char **text) {
    if (code != 803) return 1;
    *text = "system has unsupported display driver / cuda driver combination";
    return 0;
}
"""


def build_driver(folder: Path, *, init: int = 0, count: int = 0, name: str = "libcuda.so.1") -> Path:
    """The driver's library in `folder`.

    Args:
        folder: where to put it.
        init: what cuInit returns, a CUresult.
        count: GPUs.
        name: of the file; a process loads a library of one name once.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("a driver to ask needs a C compiler")
    source, library = folder / "driver.c", folder / name
    source.write_text(_SOURCE)
    command = [compiler, "-shared", "-fPIC", f"-DINIT={init}", f"-DCOUNT={count}", "-o", library, source]
    subprocess.run(command, check=True)
    return library
