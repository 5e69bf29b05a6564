"""Mask R-CNN (He et al., ICCV 2017) with ResNet-50 and a feature pyramid, torchvision's, and the mask scoring one."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchvision.models.detection import maskrcnn_resnet50_fpn
from torchvision.models.detection.image_list import ImageList

from benchmarks.peer_models.mask_iou_head import MaskIouHead
from benchmarks.peer_models.peer import KEPT, MADE_UP, Found, PeerFacts
from benchmarks.peer_models.place import Place, fold_batch_norm, stretched
from benchmarks.speed.networks import RANDOM
from benchmarks.speed.random_weights import settle_batch_norm
from benchmarks.speed.stand_in import stand_in_boxes
from fetalseg.anatomy import structure_names
from fetalseg.preprocess import FrameGeometry, InputRule

__all__ = ["PROPOSALS", "MaskRcnn", "made_up_boxes"]

PROPOSALS = 1000  # of a frame, the published number

_CLASSES = len(structure_names()) + 1  # and the background


class Detections(NamedTuple):
    """What the network says of one frame.

    Attributes:
        found: torchvision's: boxes [N, 4] in pixels of the input, labels, scores, masks [N, 1, 28, 28].
        proposals: number that went into the heads.
    """

    found: dict[str, Tensor]
    proposals: int


class MaskRcnn:
    """torchvision's Mask R-CNN with seeded random weights, for its speed.

    "The network" is normalisation, backbone, region proposals and heads, up to masks of 28x28; behind it these are
    brought into the frame. Its cost depends on what it finds, so that is fixed: the number of proposals, no score
    threshold, and the best `KEPT` detections behind suppression (IoU 0.5). Their boxes are nonsense: before their masks
    are brought into the frame they get made-up ones.

    Args:
        size: (h, w) of its input; frames are stretched to it, and padded to a multiple of 32 as torchvision does.
        place: where it runs.
        proposals: regions of a frame at the most, before and behind their suppression.
        mask_scoring: with the head of Mask Scoring R-CNN (Huang et al., CVPR 2019) behind it, whose prediction is
            multiplied to the scores.

    Attributes:
        facts: see `Peer`.
        proposals: that were really looked at, of each frame so far.
    """

    def __init__(
        self, size: tuple[int, int], place: Place, *, proposals: int = PROPOSALS, mask_scoring: bool = False
    ) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network: Any = maskrcnn_resnet50_fpn(
                weights=None,
                weights_backbone=None,
                num_classes=_CLASSES,
                rpn_pre_nms_top_n_test=proposals,
                rpn_post_nms_top_n_test=proposals,
                box_score_thresh=0.0,
                box_detections_per_img=KEPT,
            )
            settle_batch_norm(network.backbone, torch.randn(2, 3, 128, 128))
            self._iou_head = place.house(MaskIouHead(_CLASSES)) if mask_scoring else None
        fold_batch_norm(network.backbone.body)
        self._network = network
        place.house(network)
        self._pooled: list[Tensor] = []
        if mask_scoring:
            self._network.roi_heads.mask_roi_pool.register_forward_hook(self._keep)
        self._place = place
        self._size = size
        self.proposals: list[int] = []
        self.facts = PeerFacts(
            name="mask-scoring-rcnn" if mask_scoring else "mask-rcnn",
            runtime="torch",
            precision=place.precision,
            input=(size[1], size[0]),
            weights=RANDOM,
            kept=MADE_UP,
        )

    def prepare(self, frame: npt.NDArray[np.uint8]) -> Tensor:
        """See `Peer`: uint8 [h, w, 3]."""
        return self._place.put(stretched(frame, self._size))

    def infer(self, prepared: Tensor, stages: dict[str, float]) -> Detections:
        """See `Peer`."""
        with self._place.computing():
            network = self._network
            image = network.transform.normalize(prepared.permute(2, 0, 1).float() / 255)
            images = ImageList(network.transform.batch_images([image]), [self._size])
            features = network.backbone(images.tensors)
            proposals, _ = network.rpn(images, features)
            found, _ = network.roi_heads(features, proposals, images.image_sizes)
            if self._iou_head is not None:
                self._rescore(found[0])
        return Detections(found[0], len(proposals[0]))

    def finish(self, outputs: Detections, frame_shape: tuple[int, int]) -> Found:
        """See `Peer`."""
        boxes = self._place.put(made_up_boxes(self._size, frame_shape))[: len(outputs.found["boxes"])]
        with self._place.computing():
            made_up = outputs.found | {"boxes": boxes}
            found = self._network.transform.postprocess([made_up], [self._size], [frame_shape])[0]
            masks = (found["masks"][:, 0] > 0.5).cpu().numpy()
            placed = found["boxes"].cpu().numpy()
        self.proposals.append(outputs.proposals)
        sides = placed[:, 2:] - placed[:, :2]
        return Found(len(masks), float(sides.prod(axis=1).sum()) / (frame_shape[0] * frame_shape[1]))

    def _keep(self, module: object, inputs: object, pooled: Tensor) -> None:
        self._pooled = [pooled]

    def _rescore(self, found: dict[str, Tensor]) -> None:
        """Multiplies each score with the IoU that the head expects of its mask (Huang et al., section 3.2)."""
        assert self._iou_head is not None
        ious = self._iou_head(self._pooled.pop(), found["masks"])
        found["scores"] = found["scores"] * ious.gather(1, found["labels"][:, None])[:, 0]


def made_up_boxes(size: tuple[int, int], frame_shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """The boxes that masks of random weights are put into, [KEPT, 4] xyxy in pixels of an input (h, w)."""
    return stand_in_boxes(FrameGeometry.of(frame_shape, InputRule(*size, channels=3, resize="stretch")))
