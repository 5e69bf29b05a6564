"""The losses, one function a term, and their sum.

`yolact-r50` is trained as Bolya et al. (ICCV 2019) describe. The sigmoid variants differ where thin structures need it:
scores learn the overlap that their box reaches (Li et al., Generalized Focal Loss, NeurIPS 2020), boxes are judged by
their overlap, and masks also by Dice. Labels may be partial: what isn't known in a frame is neither right nor wrong.

Letters: B batch, A anchors, C structures, K prototypes, P anchors that learn a structure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from torch import Tensor
from torchvision.ops import complete_box_iou_loss, distance_box_iou_loss, generalized_box_iou_loss

__all__ = [
    "LossConfig",
    "Losses",
    "box_overlap_loss",
    "crop_region",
    "focal_loss",
    "hard_negative_cross_entropy",
    "mask_loss",
    "paired_iou",
    "partial_cross_entropy",
    "quality_focal_loss",
    "semantic_loss",
    "smooth_l1_loss",
]

BoxLoss = Literal["smooth_l1", "giou", "diou", "ciou"]
ClassLoss = Literal["cross_entropy", "quality_focal", "focal"]


@dataclass(frozen=True)
class LossConfig:
    """Which terms, and their weights.

    Attributes:
        classification: "cross_entropy" over a softmax with hard negatives; "quality_focal" or "focal" for sigmoids.
        box: "smooth_l1" on offsets, or an overlap loss on decoded boxes.
        class_weight: of the classification term.
        box_weight: of the box term.
        mask_weight: of the mask term.
        semantic_weight: of the semantic term.
        dice: weight of 1 - Dice beside the mask's cross-entropy, inside the mask term.
        thin_structures: keep what the public code of YOLACT rounds away: crops are made of whole pixels, see
            `crop_region`, and a semantic cell learns the share that is covered, not 1 above a half and 0 up to it.
        hard_negatives: background anchors for each matched one.
        masks_per_image: matched anchors whose masks are assembled, drawn at random.
    """

    classification: ClassLoss = "cross_entropy"
    box: BoxLoss = "smooth_l1"
    class_weight: float = 1.0
    box_weight: float = 1.5
    mask_weight: float = 6.125
    semantic_weight: float = 1.0
    dice: float = 0.0
    thin_structures: bool = False
    hard_negatives: int = 3
    masks_per_image: int = 100


class Losses(NamedTuple):
    """The weighted terms, each a scalar."""

    classification: Tensor
    box: Tensor
    mask: Tensor
    semantic: Tensor

    @property
    def total(self) -> Tensor:
        """Their sum."""
        return self.classification + self.box + self.mask + self.semantic


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


def focal_loss(
    logits: Tensor,
    known: Tensor,
    where: tuple[Tensor, ...],
    ignored: Tensor,
    *,
    alpha: float = 0.25,
    gamma: float = 2.0,
) -> Tensor:
    """Focal loss of Lin et al. (ICCV 2017); arguments and result as `quality_focal_loss`."""
    p = torch.sigmoid(logits)
    background = (1 - alpha) * p**gamma * F.softplus(logits)
    counted = _counted(known, where, ignored)
    chosen = logits[where]
    matched = alpha * (1 - torch.sigmoid(chosen)) ** gamma * F.softplus(-chosen)
    total = (background * counted).sum() - (background[where] * counted[where]).sum() + matched.sum()
    return total / max(1, len(chosen))


def paired_iou(boxes: Tensor, truths: Tensor) -> Tensor:
    """IoU [P] of boxes [P, 4] and truths [P, 4], pair by pair."""
    low = torch.maximum(boxes[:, :2], truths[:, :2])
    high = torch.minimum(boxes[:, 2:], truths[:, 2:])
    inner = (high - low).clamp(min=0).prod(dim=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1) + (truths[:, 2:] - truths[:, :2]).prod(dim=1)
    return inner / (areas - inner).clamp(min=1e-6)


def smooth_l1_loss(offsets: Tensor, expected: Tensor) -> Tensor:
    """Smooth L1 of offsets [P, 4], summed over the four and averaged over P; 0 without any."""
    return F.smooth_l1_loss(offsets, expected, reduction="sum") / max(1, len(offsets))


def box_overlap_loss(boxes: Tensor, truths: Tensor, kind: BoxLoss) -> Tensor:
    """Mean over P of 1 - GIoU, DIoU or CIoU of boxes [P, 4] xyxy with truths [P, 4]; 0 without any.

    Raises:
        ValueError: a kind that doesn't work on boxes.
    """
    kinds = {"giou": generalized_box_iou_loss, "diou": distance_box_iou_loss, "ciou": complete_box_iou_loss}
    if kind not in kinds:
        raise ValueError(f"{kind!r} is no overlap loss; expected one of {', '.join(kinds)}")
    total: Tensor = kinds[kind](boxes, truths, reduction="sum")
    return total / max(1, len(boxes))


def mask_loss(logits: Tensor, masks: Tensor, boxes: Tensor, *, dice: float = 0.0, whole_pixels: bool = True) -> Tensor:
    """Cross-entropy inside each instance's box, summed, by the box's area; and 1 - Dice there.

    The crop is one prototype pixel wider than the box on each side, so that the border is learnt from both sides. In
    the area a side of less than one pixel counts as one.

    Args:
        logits: [P, Hp, Wp] coefficients times prototypes.
        masks: 0 or 1 [P, Hp, Wp].
        boxes: [P, 4] xyxy in prototype pixels, of the ground truths.
        dice: weight of 1 - Dice.
        whole_pixels: see `crop_region`.

    Returns:
        Scalar: mean over P; 0 without any.
    """
    if len(logits) == 0:
        return logits.sum()
    inside = crop_region(boxes, logits.shape[1], logits.shape[2], whole_pixels=whole_pixels)
    entropy = F.binary_cross_entropy_with_logits(logits, masks, reduction="none") * inside
    area = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1).prod(dim=1)
    loss = entropy.sum(dim=(1, 2)) / area
    if dice:
        p = torch.sigmoid(logits) * inside
        truth = masks * inside
        overlap = 2 * (p * truth).sum(dim=(1, 2))
        loss = loss + dice * (1 - (overlap + 1) / (p.sum(dim=(1, 2)) + truth.sum(dim=(1, 2)) + 1))
    return loss.mean()


def crop_region(boxes: Tensor, height: int, width: int, *, margin: int = 1, whole_pixels: bool = True) -> Tensor:
    """Bool [P, height, width]: the pixels of each box [P, 4], and `margin` more on each side.

    A box has all pixels that it touches. Without `whole_pixels` the region has those whose upper left corner lies in
    the box widened by `margin`, as in the public YOLACT: one pixel fewer at a left or upper edge between two pixels.
    """
    x = torch.arange(width, device=boxes.device)
    y = torch.arange(height, device=boxes.device)
    low, high = boxes[:, :2], boxes[:, 2:]
    if whole_pixels:
        low, high = low.floor(), high.ceil()
    low, high = low - margin, high + margin
    columns = (x >= low[:, :1]) & (x < high[:, :1])
    rows = (y >= low[:, 1:]) & (y < high[:, 1:])
    return rows[:, :, None] & columns[:, None, :]


def semantic_loss(logits: Tensor, coverage: Tensor, counted: Tensor) -> Tensor:
    """Cross-entropy of a coarse map of each structure.

    Args:
        logits: [B, C, h8, w8].
        coverage: [B, C, h8, w8], share 0..1 of the cell that the structure covers.
        counted: bool [B, C], structures whose pixels are known in the frame.

    Returns:
        Scalar: sum over structures, mean over pixels and frames.
    """
    entropy = F.binary_cross_entropy_with_logits(logits, coverage, reduction="none")
    batch, _, height, width = logits.shape
    return (entropy * counted[:, :, None, None]).sum() / (batch * height * width)
