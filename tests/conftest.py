"""Model files that tests of several parts run, a full disk, and signals as a terminal has them."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from fetalseg.errors import ModelFileError
from fetalseg.model_file import find_model


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """A background job of a shell starts with SIGINT ignored, and so would every process that a test interrupts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def full_disk() -> Callable[[int], AbstractContextManager[None]]:
    """Let no file grow beyond a number of bytes while a block runs: what a full disk does, without one.

    Only the call under test belongs into the block: the limit holds for a file that pytest's own output goes to, too.
    """

    @contextmanager
    def limited(size: int) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limited


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `fetalseg-test` network (input 96 x 64, gray) with random weights, which finds things in noise."""
    torch = pytest.importorskip("torch", reason="making a model needs the extra train")
    from fetalseg.model import Yolact, variant
    from fetalseg.model.checkpoint import save_checkpoint

    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        network = Yolact(variant("fetalseg-test"))
        # An untrained network gives every anchor the same score, and which 300 are kept is chance: make it decide.
        for name, weight in network.named_parameters():
            if name.endswith(("classes.weight", "boxes.weight", "masks.weight")):
                weight.normal_(std=2 if "classes" in name else 0.2)
        network.train()
        for _ in range(20):  # running statistics of the normalisation layers
            network(torch.rand(4, 1, 64, 96) * 255)
        network.eval()
    path = tmp_path_factory.mktemp("checkpoint") / "fetalseg-test.safetensors"
    save_checkpoint(path, network, {"training_data": ["none"], "licence": "Apache-2.0"})
    return path


@pytest.fixture(scope="session")
def tiny_model(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exported file of `tiny_checkpoint`."""
    from fetalseg.export import export_onnx

    path = tmp_path_factory.mktemp("models") / "fetalseg-test.onnx"
    export_onnx(tiny_checkpoint, path)
    return path


@pytest.fixture(scope="session")
def default_model() -> Path:
    """The file behind the name `fetalseg-s`."""
    try:
        return find_model("fetalseg-s")
    except ModelFileError as error:
        pytest.skip(str(error))
