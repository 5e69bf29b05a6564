"""BatchNorm whose statistics are those of the whole batch, however many processes share it."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

__all__ = ["GlobalBatchNorm", "use_global_batch_norm"]


class GlobalBatchNorm(nn.BatchNorm2d):
    """`nn.BatchNorm2d` over the batches of all processes, for processors; `nn.SyncBatchNorm` refuses to run there."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - PyTorch's own name for it
        """Normalises input [B, C, h, w]; every process must call it, the sizes B may differ."""
        if not self.training:
            return super().forward(input)
        x = input.float()
        count = torch.full((1,), x.numel() / x.shape[1], device=x.device)
        sums = _total(torch.cat([x.sum(dim=(0, 2, 3)), count]))
        total = sums[-1].detach()
        mean = sums[:-1] / total
        centred = x - mean[:, None, None]
        # In two passes: a difference of two large sums of squares would lose digits.
        variance = _total(centred.square().sum(dim=(0, 2, 3))) / total
        self._follow(mean.detach(), variance.detach() * total / (total - 1))
        scale = torch.rsqrt(variance + self.eps) * self.weight
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(input.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Moves the stored statistics towards those of a batch."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
        self.num_batches_tracked += 1


def use_global_batch_norm(network: nn.Module) -> None:
    """Replaces, in place, every BatchNorm that is in training mode; frozen ones don't look at the batch."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.BatchNorm2d and child.training:
                setattr(parent, name, _global(child))


def _global(norm: nn.BatchNorm2d) -> nn.Module:
    if norm.weight.device.type == "cuda":
        synchronised: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(norm)  # type: ignore[no-untyped-call]
        return synchronised
    replacement = GlobalBatchNorm(norm.num_features, norm.eps, norm.momentum)
    replacement.load_state_dict(norm.state_dict())
    return replacement.to(norm.weight.device)


def _total(value: Tensor) -> Tensor:
    """The sum over all processes, through which gradients flow back to each of them."""
    total: Tensor = _Total.apply(value)
    return total


class _Total(torch.autograd.Function):
    """Every process's loss depends on the sum, so the gradient of its own part is the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        value = value.clone()
        dist.all_reduce(value)
        return value

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.clone()
        dist.all_reduce(gradient)
        return gradient
