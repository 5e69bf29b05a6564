"""Masks of structures of which only the box is known: BoxInst (Tian et al., CVPR 2021), fitted to ultrasound.

Two terms. The projection term asks that the mask, seen along the rows and along the columns, is as long as the box and
nowhere longer. The pairwise term asks that neighbouring pixels of like brightness are both in the mask or both out of
it, so that its border follows edges of the image.

**What they say of a thin slanted band.** The projection of a band that runs from corner to corner of its box is the
projection of the whole box: each column and each row holds one pixel of it. The term can't tell them apart, but neither
does it widen the band: only the largest value of a row or column has a gradient, so a band that is there satisfies it,
and nothing fills up the rest of the box. What it does forbid is the mask that leaves the box. How thick the band
becomes is left to the pairwise term and to what the network knows: the dark fluid of a nuchal translucency ends at
bright lines, across which no pixels are alike, and prototypes and coefficients also learn from frames whose masks
are drawn (synthetic ones among them), where the same structure is thin. Without either a filled box is as good as the
band, and a ring as good as a disk.

**Which neighbours are alike.** BoxInst compares colours in CIELAB. Of a gray image that leaves L*, which follows the
gray level within 4 of 100, so gray levels are scaled to 0..100 and not converted; scans are log-compressed already, so
speckle spreads equally around dark and bright levels and one threshold serves both. Speckle is averaged out by the step
to the prototypes' grid (16 pixels of the input into one). Measured on that grid of `fetalseg-s` (40 real heads, 90
synthetic frames of four views; edges that touch the box): with the paper's 0.3, or 6 gray levels, 46 % of the edges of
a real cranium count and 98.4 % of these join pixels of one kind, against 95.5 % of all edges; of a synthetic nuchal
translucency 32 % and 90 % against 86 %, of a nasal bone 12 % and 82 % against 47 %. More smoothing lowers that (nasal
bone: 3 x 3 means 71 %), and so do neighbours two pixels apart as in the paper (56 %), which lie beyond a structure of
one or two pixels: neighbours touch.

Letters: B batch, P anchors that learn a structure without a mask, Hp x Wp the prototypes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from torch import Tensor

__all__ = ["lightness", "pairwise_loss", "projection_loss"]


def lightness(images: Tensor, shape: tuple[int, int]) -> Tensor:
    """Brightness 0..100 [B, Hp, Wp] of images 0..255 [B, c, h, w], averaged over each pixel of the prototypes."""
    return F.adaptive_avg_pool2d(images.float().mean(dim=1), shape) * (100 / 255)


def projection_loss(logits: Tensor, boxes: Tensor) -> Tensor:
    """1 - Dice of the projections of mask and box on the horizontal axis, plus the same on the vertical axis.

    The mask's projection is the largest probability of each column (row), the box's is 1 in columns (rows) whose
    centres it holds and 0 elsewhere. Dice has squares below the line, as in the paper: 2 sum(a b) / sum(a^2 + b^2).
    Unlike the paper's, a column of the box is asked for its largest value between the box's rows, and a row likewise:
    otherwise a pixel above the box, pushed down by its row, is held up by its column, and descent stops there.

    Args:
        logits: [P, Hp, Wp] coefficients times prototypes, not cropped.
        boxes: [P, 4] xyxy in prototype pixels, of the ground truths.

    Returns:
        Scalar 0..2: mean over P; 0 without any.
    """
    if len(logits) == 0:
        return logits.sum()
    columns, rows = _projections(boxes, logits.shape[1], logits.shape[2])
    above_or_below = columns[:, None, :] & ~rows[:, :, None]
    beside = rows[:, :, None] & ~columns[:, None, :]
    # The sigmoid rises everywhere, so the largest logit is the pixel of the largest probability.
    across = logits.masked_fill(above_or_below, -torch.inf).amax(dim=1)  # [P, Wp]
    down = logits.masked_fill(beside, -torch.inf).amax(dim=2)  # [P, Hp]
    distances = _dice_distance(across.sigmoid(), columns.float()) + _dice_distance(down.sigmoid(), rows.float())
    return distances.mean()


def pairwise_loss(logits: Tensor, shades: Tensor, boxes: Tensor, *, theta: float = 2.0, tau: float = 0.3) -> Tensor:
    """How unlikely it is that neighbours which look alike are both in the mask or both out of it.

    An edge joins a pixel with one of its eight neighbours. It counts if exp(-|difference of the shades| / theta) >= tau
    and one end or both lie in the box. It costs -log(p q + (1 - p) (1 - q)) of the probabilities of its ends.

    Args:
        logits: [P, Hp, Wp], not cropped.
        shades: [P, Hp, Wp] brightness 0..100 of the frame of each.
        boxes: [P, 4] xyxy in prototype pixels, of the ground truths.
        theta: scale of the difference; the paper's.
        tau: 0 < tau <= 1, the least similarity; the paper's.

    Returns:
        Scalar: mean over the edges that count, then over P; 0 without any.
    """
    count, height, width = logits.shape
    if count == 0:
        return logits.sum()
    columns, rows = _projections(boxes, height, width)
    inside = rows[:, :, None] & columns[:, None, :]
    limit = theta * math.log(1 / tau)
    pixel = torch.arange(count * height * width, device=logits.device).view(count, height, width)
    ends = zip(*(_edges(maps) for maps in (pixel, shades, inside)), strict=True)
    # Few edges count where boxes are thin: those are picked, and nothing else is computed.
    picked = [
        torch.stack([from_pixel, to_pixel])[:, ((shade_a - shade_b).abs() <= limit) & (inside_a | inside_b)]
        for (from_pixel, to_pixel), (shade_a, shade_b), (inside_a, inside_b) in ends
    ]
    first, second = torch.cat(picked, dim=1)  # [edges]
    a, b = logits.flatten().gather(0, first), logits.flatten().gather(0, second)
    # -log of p q + (1 - p) (1 - q) with p = 1 / (1 + e^-a), q = 1 / (1 + e^-b).
    cost = F.softplus(a) + F.softplus(b) - F.softplus(a + b)
    owner = first // (height * width)
    total = logits.new_zeros(count).index_add(0, owner, cost)
    edges = torch.bincount(owner, minlength=count)
    return (total / edges.clamp(min=1)).mean()


def _projections(boxes: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Columns bool [P, width] and rows bool [P, height] of each box [P, 4]."""
    return _held(boxes[:, 0], boxes[:, 2], width), _held(boxes[:, 1], boxes[:, 3], height)


def _held(low: Tensor, high: Tensor, count: int) -> Tensor:
    """Bool [P, count]: pixels whose centres lie between `low` and `high` [P], and at least the one in the middle."""
    centres = torch.arange(count, device=low.device) + 0.5
    held = (centres >= low[:, None]) & (centres < high[:, None])
    middle = ((low + high) / 2).floor().clamp(0, count - 1).long()
    return held.scatter_(1, middle[:, None], True)


def _dice_distance(a: Tensor, b: Tensor) -> Tensor:
    """1 - Dice [P] of two rows of numbers [P, n], of which `b` is not all 0."""
    return 1 - 2 * (a * b).sum(dim=1) / (a.square() + b.square()).sum(dim=1)


def _edges(maps: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Both ends of the edges of maps [P, Hp, Wp]: those to the right, down, and down along either diagonal."""
    yield maps[:, :, :-1], maps[:, :, 1:]
    yield maps[:, :-1], maps[:, 1:]
    yield maps[:, :-1, :-1], maps[:, 1:, 1:]
    yield maps[:, :-1, 1:], maps[:, 1:, :-1]
