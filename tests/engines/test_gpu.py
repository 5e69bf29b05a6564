"""What the NVIDIA driver says, and what is told of it; the driver here is a few lines of C."""

from __future__ import annotations

from pathlib import Path

import pytest
from cuda_driver import build_driver

from fetalseg.engines.gpu import Gpus, find_gpus


def driver(folder: Path, init: int, count: int = 0) -> str:
    return str(build_driver(folder, init=init, count=count, name=f"driver-{init}-{count}.so"))


def test_gpus_are_counted(tmp_path: Path) -> None:
    assert find_gpus(driver(tmp_path, init=0, count=2)) == Gpus(2, "", broken=False)


def test_a_machine_without_a_driver_has_no_fault_but_a_remedy() -> None:
    found = find_gpus("libno-such-driver.so.1")
    assert (found.count, found.broken) == (0, False)
    assert "no NVIDIA driver was found (libno-such-driver.so.1); remedy: install" in found.problem


@pytest.mark.parametrize(("init", "count"), [(100, 0), (0, 0)], ids=["no device", "none of the visible"])
def test_a_driver_without_a_gpu_is_no_fault_either(init: int, count: int, tmp_path: Path) -> None:
    found = find_gpus(driver(tmp_path, init, count))
    assert (found.count, found.broken) == (0, False)
    assert "CUDA_VISIBLE_DEVICES" in found.problem


@pytest.mark.parametrize(
    ("init", "words"),
    [(803, "system has unsupported display driver / cuda driver combination (803)"), (7777, "error 7777")],
    ids=["a known code", "an unknown code"],
)
def test_a_driver_that_fails_is_a_fault_in_its_own_words(init: int, words: str, tmp_path: Path) -> None:
    found = find_gpus(driver(tmp_path, init))
    assert (found.count, found.broken) == (0, True)
    assert f"the NVIDIA driver failed: {words}; remedy: check nvidia-smi" in found.problem
