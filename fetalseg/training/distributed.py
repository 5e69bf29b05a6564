"""Several processes that train one network together, each on its part of every batch.

The loss of a step is the loss of the whole batch: every process divides its sums by counts over all of them, so the
losses of the processes add up to what one process would have computed, and so do their gradients.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from fetalseg.training.global_batch_norm import use_global_batch_norm

__all__ = ["Processes", "join_processes"]

# The first process validates while the others wait.
_PATIENCE = datetime.timedelta(hours=2)


@dataclass(frozen=True)
class Processes:
    """This process among those that train together.

    Attributes:
        rank: 0 for the first, the only one that validates and writes.
        count: how many there are.
        device: of this one, as PyTorch names it.
    """

    rank: int = 0
    count: int = 1
    device: str = "cpu"

    @property
    def first(self) -> bool:
        """Whether this process writes."""
        return self.rank == 0

    def total(self, value: Tensor) -> Tensor:
        """The sum over all processes of a tensor that carries no gradient; every process must call it."""
        if self.count == 1:
            return value
        value = value.detach().clone()
        dist.all_reduce(value)
        return value

    def totals(self, numbers: Sequence[float]) -> list[float]:
        """`total` of some numbers in float64: exact where only one process gives a number that isn't 0."""
        values: list[float] = self.total(torch.tensor(numbers, dtype=torch.float64, device=self.device)).tolist()
        return values

    def share(self, network: nn.Module) -> nn.Module:
        """Wraps a network in training mode: gradients are averaged over the processes, BatchNorm sees all of a batch.

        All start with the weights of the first.
        """
        if self.count == 1:
            return network
        use_global_batch_norm(network)
        on_gpu = self.device.startswith("cuda")
        return DistributedDataParallel(network, device_ids=[self.device] if on_gpu else None)


@contextmanager
def join_processes(device: str) -> Iterator[Processes]:
    """The processes that `torchrun` started, else this one alone.

    They talk by NCCL on GPUs, one process a GPU, and by Gloo on processors.

    Args:
        device: "cpu", "cuda", or "cuda:N" for a process alone.

    Raises:
        ValueError: one GPU is named for several processes.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes(device=device)
        return
    if device.startswith("cuda:"):
        raise ValueError(f"{count} processes take a GPU each: give the device cuda, got {device!r}")
    rank, place = int(os.environ["RANK"]), device
    if device == "cuda":
        place = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(place)
    dist.init_process_group("nccl" if device == "cuda" else "gloo", timeout=_PATIENCE)
    try:
        yield Processes(rank, count, place)
    finally:
        dist.destroy_process_group()
