"""Buffers that stay: the same on the processor as on a GPU, but for what is captured and pinned there."""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from fetalseg.engines.torch_buffers import _KEPT_SIZES, BufferedNetwork  # noqa: E402


class Sums(torch.nn.Module):  # type: ignore[misc]
    """The sum of each row of gray levels, and the image over 256 in halves, in an order that isn't contiguous."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        values = images.float()
        return values.sum(dim=2)[..., 0], (values / 256).half().permute(0, 3, 2, 1)


@pytest.fixture(params=["cpu", "cuda"])
def network(request: pytest.FixtureRequest) -> BufferedNetwork:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("a CUDA graph needs an NVIDIA GPU")
    device = torch.device(request.param)
    return BufferedNetwork(Sums().to(device), device)


def images(batch: int, value: int = 1) -> npt.NDArray[np.uint8]:
    return np.full((batch, 2, 3, 1), value, np.uint8)


def test_results_are_those_of_the_network_in_its_types(network: BufferedNetwork) -> None:
    sums, shares = network.run(images(2, 64), None)
    assert (sums.dtype, shares.dtype) == (np.float32, np.float16)
    assert np.array_equal(sums, np.full((2, 2), 192))
    assert shares.shape == (2, 1, 3, 2)
    assert np.array_equal(shares, np.full((2, 1, 3, 2), 0.25))
    assert shares.flags.c_contiguous


def test_results_stay_when_the_next_batch_comes(network: BufferedNetwork) -> None:
    first = network.run(images(1, 1), None)[0]
    second = network.run(images(1, 2), None)[0]
    assert np.array_equal(first, [[3, 3]])
    assert np.array_equal(second, [[6, 6]])


def test_each_size_of_batch_comes_at_any_time_and_more_sizes_than_are_kept(network: BufferedNetwork) -> None:
    for batch in [*range(1, _KEPT_SIZES + 3), 2, _KEPT_SIZES + 1, 1]:
        assert np.array_equal(network.run(images(batch, batch), None)[0], np.full((batch, 2), 3 * batch))


def test_images_need_not_be_contiguous_or_writeable(network: BufferedNetwork) -> None:
    wide = np.arange(12, dtype=np.uint8).reshape(1, 2, 6, 1)
    wide.flags.writeable = False
    assert np.array_equal(network.run(wide[:, :, ::2], None)[0], [[0 + 2 + 4, 6 + 8 + 10]])


def test_the_three_stages_are_told_where_somebody_asks(network: BufferedNetwork) -> None:
    stages: dict[str, float] = {}
    network.run(images(1), stages)
    assert list(stages) == ["upload", "infer", "copy_back"]
    assert all(ms > 0 for ms in stages.values())


def test_threads_take_turns(network: BufferedNetwork) -> None:
    found: dict[int, bool] = {}

    def work(value: int) -> None:
        found[value] = all(np.array_equal(network.run(images(1, value), None)[0], [[3 * value] * 2]) for _ in range(20))

    threads = [threading.Thread(target=work, args=(value,)) for value in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == dict.fromkeys(range(4), True)


def test_settings_of_the_process_are_left_as_they_were(network: BufferedNetwork) -> None:
    def settings() -> tuple[bool, ...]:
        cudnn = torch.backends.cudnn
        return cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32

    before = settings()
    network.run(images(1), None)
    assert settings() == before


def test_it_starts_anew_after_its_memory_was_given_back(network: BufferedNetwork) -> None:
    network.run(images(1), None)
    network.close()
    assert np.array_equal(network.run(images(1, 2), None)[0], [[6, 6]])
