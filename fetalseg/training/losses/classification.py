"""Scores: what each anchor shows, where some structures may be unlabelled.

`partial_cross_entropy` with `hard_negative_cross_entropy` is YOLACT's term, extended to partial labels. The focal form
is for independent sigmoids, whose partial labels are simply left out.

Letters: B batch, A anchors, C structures, P anchors that learn a structure, N any anchors.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from torch import Tensor

__all__ = ["hard_negative_cross_entropy", "partial_cross_entropy", "quality_focal_loss"]


def partial_cross_entropy(logits: Tensor, targets: Tensor, known: Tensor) -> Tensor:
    """Cross-entropy over background and structures where some structures may be unlabelled.

    An anchor matched to a structure has the ordinary loss. A background anchor may lie on a structure that nobody
    labelled, so it pays -log(p_background + sum of p_c over the structures c that are not known). With every structure
    known that is the ordinary loss again.

    Args:
        logits: [N, C + 1], background first.
        targets: int64 [N], 0 background, c + 1 structure c.
        known: bool [N, C].

    Returns:
        [N] losses.
    """
    log_p = F.log_softmax(logits, dim=-1)
    acceptable = torch.cat([torch.ones_like(known[:, :1]), ~known], dim=1)
    background = torch.logsumexp(log_p.masked_fill(~acceptable, -torch.inf), dim=-1)
    matched = log_p.gather(1, targets[:, None])[:, 0]
    return -torch.where(targets > 0, matched, background)


def hard_negative_cross_entropy(logits: Tensor, targets: Tensor, known: Tensor, *, ratio: int = 3) -> Tensor:
    """Cross-entropy of all matched anchors and, in each image, of the `ratio` times as many worst background ones.

    Args:
        logits: [B, A, C + 1], background first.
        targets: int64 [B, A], 0 background, c + 1 structure c, -1 ignored.
        known: bool [B, C].
        ratio: background anchors for each matched one.

    Returns:
        Scalar: the sum over the chosen anchors by the number of matched ones.
    """
    batch, anchors, _ = logits.shape
    losses = partial_cross_entropy(
        logits.flatten(0, 1), targets.clamp(min=0).flatten(), known.repeat_interleave(anchors, dim=0)
    ).view(batch, anchors)
    matched = targets > 0
    count = (ratio * matched.sum(dim=1)).clamp(max=anchors)  # [B]
    ranked = losses.detach().masked_fill(targets != 0, -torch.inf).argsort(dim=1, descending=True, stable=True)
    place = torch.empty_like(ranked).scatter_(
        1, ranked, torch.arange(anchors, device=ranked.device).expand_as(ranked).contiguous()
    )
    chosen = matched | ((place < count[:, None]) & (targets == 0))
    return (losses * chosen).sum() / matched.sum().clamp(min=1)


def quality_focal_loss(
    logits: Tensor, known: Tensor, where: tuple[Tensor, ...], quality: Tensor, ignored: Tensor
) -> Tensor:
    """Quality focal loss |t - p|^2 * cross-entropy(p, t): t is the overlap of the anchor's box, 0 elsewhere.

    Args:
        logits: [B, A, C].
        known: bool [B, C].
        where: three int64 [P]: image, anchor and structure of the matched ones.
        quality: [P] overlap 0..1 of their boxes with the truth.
        ignored: bool [B, A], anchors that learn nothing.

    Returns:
        Scalar: the sum by the number of matched anchors.
    """
    background = F.softplus(logits) * torch.sigmoid(logits).square()  # [B, A, C], t = 0
    counted = _counted(known, where, ignored)
    chosen = logits[where]
    distance = (quality - torch.sigmoid(chosen)).square()
    matched = distance * F.binary_cross_entropy_with_logits(chosen, quality, reduction="none")
    total = (background * counted).sum() - (background[where] * counted[where]).sum() + matched.sum()
    return total / max(1, len(quality))


def _counted(known: Tensor, where: tuple[Tensor, ...], ignored: Tensor) -> Tensor:
    """Bool [B, A, C]: scores that are held to account.

    Background anchors answer for what is known in their frame. A matched anchor answers for all structures, known or
    not, as in the softmax form: a box that fits a cranium is no unlabelled falx. Without this, structures that no
    real frame labels settle on the labelled ones of real frames.
    """
    counted = known[:, None, :] & ~ignored[:, :, None]
    counted[where[0], where[1]] = True
    return counted
