"""A quick average precision during training, at the network's size.

The official figures come from `fetalseg eval`, on whole frames with the shipped post-processing. Here: AP at IoU 0.5
(masks also at 0.75) with 101 recall points per structure, greedy NMS, masks compared at the size of the prototypes
inside the boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchvision.ops import batched_nms, box_iou

from fetalseg.anatomy import structure_names
from fetalseg.data.augment import plain
from fetalseg.data.frames import AnnotatedFrame
from fetalseg.data.geometry import Sample
from fetalseg.model.anchors import decode
from fetalseg.model.yolact import Yolact
from fetalseg.training.batches import collate
from fetalseg.training.losses import crop_region

__all__ = ["Detections", "Score", "average_precision", "detect", "validate"]

_SCORE_FLOOR = 0.05
_NMS_IOU = 0.5
_CANDIDATES = 200
_DETECTIONS = 100
_RECALLS = np.linspace(0, 1, 101)


class Detections(NamedTuple):
    """What was found in one frame, best first.

    Attributes:
        scores: [N].
        labels: int64 [N], 0..16.
        boxes: [N, 4] xyxy in network-input pixels.
        masks: bool [N, Hp, Wp].
    """

    scores: Tensor
    labels: Tensor
    boxes: Tensor
    masks: Tensor


@dataclass(frozen=True)
class Score:
    """Figures 0..1 of one structure in one set; those of masks are None for a set without masks of it.

    Attributes:
        structure: its name.
        support: ground truths.
        box: AP50 of boxes.
        mask: AP50 of masks.
        mask75: AP75 of masks.
        dice: mean over frames of the Dice of the best detection of that kind with the mask that it overlaps most; 0
            for a frame where nothing was found.
        centre: share of ground truths whose box holds the centre of the best detection of that kind in the frame.
    """

    structure: str
    support: int
    box: float
    mask: float | None
    mask75: float | None
    dice: float | None
    centre: float


@torch.no_grad()
def detect(network: Yolact, images: Tensor) -> list[Detections]:
    """Finds structures in images uint8 [B, c, h, w] with a network in evaluation mode."""
    raw = network(images.float())
    logits = raw.class_logits.float()
    softmax = network.variant.score == "softmax"
    scores = logits.softmax(dim=-1)[..., 1:] if softmax else logits.sigmoid()
    boxes = decode(raw.box_deltas.float(), network.anchors)
    rule = network.variant.input
    stride = (rule.width / raw.prototypes.shape[3], rule.height / raw.prototypes.shape[2])
    found = []
    for index in range(len(images)):
        best, flat = scores[index].flatten().topk(min(_CANDIDATES, scores[index].numel()))
        flat = flat[best >= _SCORE_FLOOR]
        anchor, label = flat // scores.shape[2], flat % scores.shape[2]
        score, box = scores[index, anchor, label], boxes[index, anchor]
        keep = batched_nms(box, score, label, _NMS_IOU)[:_DETECTIONS]
        coefficients = raw.coefficients[index, anchor[keep]].float()
        masks = torch.einsum("nk,khw->nhw", coefficients, raw.prototypes[index].float()) > 0
        small = box[keep] / torch.tensor([*stride, *stride], device=box.device)
        inside = crop_region(small, masks.shape[1], masks.shape[2], margin=0)
        found.append(Detections(score[keep], label[keep], box[keep], masks & inside))
    return found


def validate(
    network: Yolact,
    frames: Sequence[AnnotatedFrame],
    *,
    structures: Sequence[str] = structure_names(),
    batch: int = 8,
) -> list[Score]:
    """Scores each structure that occurs in `frames`, in id order.

    Args:
        network: in evaluation mode.
        frames: held out of training.
        structures: C names in label order.
        batch: images at a time.
    """
    variant = network.variant
    device = network.anchors.device
    truths: list[Sample] = []
    found: list[Detections] = []
    for start in range(0, len(frames), batch):
        samples = [plain(f, variant.input, variant.prototype_shape) for f in frames[start : start + batch]]
        images = collate(samples, variant.input.channels).images.to(device)
        found += [Detections(*(column.cpu() for column in d)) for d in detect(network, images)]
        truths += samples
    labels = sorted({int(label) for sample in truths for label in sample.labels})
    return [_score(structures[label], label, truths, found) for label in labels]


def _score(name: str, label: int, truths: Sequence[Sample], found: Sequence[Detections]) -> Score:
    box_hits: list[tuple[float, bool]] = []
    mask_hits: list[tuple[float, bool]] = []
    mask75_hits: list[tuple[float, bool]] = []
    dices: list[float] = []
    support = mask_support = centres = 0
    for truth, detections in zip(truths, found, strict=True):
        if not truth.known[label]:
            continue
        own, rows = truth.labels == label, detections.labels == label
        boxes, scores = torch.from_numpy(truth.boxes[own]), detections.scores[rows]
        support += len(boxes)
        box_hits += _match_best_first(scores, box_iou(detections.boxes[rows], boxes))
        if len(scores):
            x, y = ((detections.boxes[rows][0, :2] + detections.boxes[rows][0, 2:]) / 2).tolist()
            centres += int(((boxes[:, 0] <= x) & (x < boxes[:, 2]) & (boxes[:, 1] <= y) & (y < boxes[:, 3])).sum())
        if truth.has_mask[own].all():
            overlap = _mask_iou(detections.masks[rows], torch.from_numpy(truth.masks[own]).bool())
            mask_support += len(boxes)
            mask_hits += _match_best_first(scores, overlap)
            mask75_hits += _match_best_first(scores, overlap, 0.75)
            if len(boxes):
                dices.append(_dice(overlap))
    return Score(
        structure=name,
        support=support,
        box=average_precision(box_hits, support),
        mask=average_precision(mask_hits, mask_support) if mask_support else None,
        mask75=average_precision(mask75_hits, mask_support) if mask_support else None,
        dice=sum(dices) / len(dices) if dices else None,
        centre=centres / max(1, support),
    )


def _dice(overlap: Tensor) -> float:
    """Of the first of N detections with the nearest of M masks, from IoU [N, M]."""
    if len(overlap) == 0:
        return 0.0
    iou = float(overlap[0].max())
    return 2 * iou / (1 + iou)


def _match_best_first(scores: Tensor, overlap: Tensor, threshold: float = 0.5) -> list[tuple[float, bool]]:
    """Score of each detection, best first, and whether it hits a ground truth that no better one took; IoU [N, M]."""
    taken = torch.zeros(overlap.shape[1], dtype=torch.bool)
    hits = []
    for score, row in zip(scores.tolist(), overlap, strict=True):
        free = row.masked_fill(taken, -1)
        hit = len(free) > 0 and float(free.max()) >= threshold
        if hit:
            taken[free.argmax()] = True
        hits.append((score, hit))
    return hits


def _mask_iou(found: Tensor, truths: Tensor) -> Tensor:
    """IoU [N, M] of bool masks [N, Hp, Wp] and [M, Hp, Wp]."""
    a, b = found.flatten(1).float(), truths.flatten(1).float()
    inner = a @ b.T
    return inner / (a.sum(1)[:, None] + b.sum(1)[None] - inner).clamp(min=1)


def average_precision(hits: Sequence[tuple[float, bool]], support: int) -> float:
    """Mean over 101 recalls of the best precision at that recall or beyond, as COCO computes it.

    Args:
        hits: score and correctness of each detection, any order.
        support: ground truths, above 0.
    """
    if not hits:
        return 0.0
    ordered = sorted(hits, key=lambda hit: -hit[0])
    correct: npt.NDArray[np.int64] = np.cumsum([hit for _, hit in ordered])
    recall = correct / max(1, support)
    precision = correct / np.arange(1, len(ordered) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    place = np.searchsorted(recall, _RECALLS, side="left")
    reached = place < len(recall)
    return float(np.where(reached, envelope[np.minimum(place, len(recall) - 1)], 0).mean())
