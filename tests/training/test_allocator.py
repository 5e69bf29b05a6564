"""Freed memory is used again without the kernel's help."""

from __future__ import annotations

import subprocess
import sys

import pytest

ALLOCATE = """
import resource, sys, threading
import numpy as np
from fetalseg.training.allocator import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [np.empty(20 << 20, np.uint8) for _ in range(5)]
    for block in blocks:
        block[:: resource.getpagesize()] = 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if sys.argv[1] == "keep" and not keep_freed_memory():
    sys.exit("no glibc")
counts = [faults(), faults()]
thread = threading.Thread(target=lambda: counts.append(faults()))  # autograd computes in threads of its own
thread.start()
thread.join()
print(*counts)
"""


def page_faults(mode: str) -> list[int]:
    done = subprocess.run([sys.executable, "-c", ALLOCATE, mode], capture_output=True, text=True, check=False)
    if "no glibc" in done.stderr:
        pytest.skip("the C library is not glibc: there is nothing to set")
    assert done.returncode == 0, done.stderr
    return [int(count) for count in done.stdout.split()]


def test_what_was_freed_is_there_again_without_page_faults() -> None:
    first, second, in_a_thread = page_faults("keep")
    assert second < first / 10
    assert in_a_thread < first / 10
    assert page_faults("as it is")[1] > 10 * second
