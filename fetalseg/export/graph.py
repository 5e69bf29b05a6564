"""What is exported: uint8 frames in, the best candidates out."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from fetalseg.model.anchors import decode
from fetalseg.model.yolact import RawPredictions, Yolact

__all__ = ["CandidateGraph", "CandidateTensors", "ranking_key"]

FLOOR = 0.05  # the lowest score of an evaluation: what stays below it is noise and needn't be kept for its own sake


class CandidateTensors(NamedTuple):
    """The outputs, with the names and shapes of `fetalseg.candidates.Candidates`."""

    scores: Tensor
    boxes: Tensor
    coefficients: Tensor
    prototypes: Tensor


def ranking_key(scores: Tensor) -> Tensor:
    """How much an anchor deserves to be kept: [B, A] for scores [B, A, C].

    The largest over the structures of score / max(0.05, best score of that structure in the frame): the best anchors of
    a faint structure rank beside the best of a clear one, so that none is starved by the cut.
    """
    best = scores.amax(dim=1, keepdim=True).clamp(min=FLOOR)
    return (scores / best).amax(dim=-1)


class CandidateGraph(nn.Module):
    """The network with its beginning and its end: normalises frames, ranks, cuts and decodes candidates.

    Scores, ranking and decoding are float32 whatever the network computes in.

    Args:
        network: in evaluation mode.
        candidates: n, rows a frame; if there are fewer anchors, the rest is padding with score 0.
        mask_type: of the outputs that masks are made of, coefficients and prototypes. They are nearly all that is
            copied back from a GPU, and float16 halves it.
    """

    def __init__(self, network: Yolact, candidates: int, mask_type: torch.dtype = torch.float32) -> None:
        super().__init__()
        if candidates < 1:
            raise ValueError(f"candidates must be at least 1, got {candidates}")
        self.network = network
        self.candidates = candidates
        self.mask_type = mask_type

    def forward(self, images: Tensor) -> CandidateTensors:
        """Candidates of uint8 images [B, h, w, c]."""
        raw: RawPredictions = self.network(images.permute(0, 3, 1, 2).float())
        scores = self._scores(raw.class_logits.float())
        kept = min(self.candidates, scores.shape[1])
        chosen = ranking_key(scores).topk(kept, dim=1).indices  # [B, kept]
        boxes = decode(_rows(raw.box_deltas.float(), chosen), self.network.anchors[chosen])
        coefficients = _rows(raw.coefficients.to(self.mask_type), chosen)
        return CandidateTensors(
            self._pad(_rows(scores, chosen)),
            self._pad(boxes),
            self._pad(coefficients),
            raw.prototypes.to(self.mask_type),
        )

    def _scores(self, logits: Tensor) -> Tensor:
        """Probabilities [B, A, C] of the structures."""
        if self.network.variant.score == "softmax":
            return torch.softmax(logits, dim=-1)[..., 1:]
        return torch.sigmoid(logits)

    def _pad(self, rows: Tensor) -> Tensor:
        """Rows [B, kept, D] filled up with zeros to [B, n, D]."""
        missing = self.candidates - rows.shape[1]
        return functional.pad(rows, (0, 0, 0, missing)) if missing else rows


def _rows(table: Tensor, index: Tensor) -> Tensor:
    """Rows [B, kept, D] of a table [B, A, D] at `index` [B, kept]."""
    return table.gather(1, index[..., None].expand(-1, -1, table.shape[-1]))
