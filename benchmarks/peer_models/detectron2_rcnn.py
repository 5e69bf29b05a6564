"""Mask R-CNN R50-FPN of detectron2, the implementation that papers compare with, where the user has it installed."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmarks.peer_models.peer import KEPT, MADE_UP, Found, PeerFacts
from benchmarks.peer_models.place import Place, stretched
from benchmarks.peer_models.rcnn import PROPOSALS, made_up_boxes
from benchmarks.speed.networks import RANDOM
from fetalseg.anatomy import structure_names

__all__ = ["Detectron2MaskRcnn"]

_CONFIG = "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml"


class Detectron2MaskRcnn:
    """With seeded random weights, for its speed; what is measured and kept is that of `benchmarks.peer_models.rcnn`.

    Args:
        size: (h, w) of its input.
        place: where it runs.

    Raises:
        ModuleNotFoundError: detectron2 isn't installed. It has no wheel on the package index: it is built from source.
    """

    def __init__(self, size: tuple[int, int], place: Place) -> None:
        model_zoo: Any = importlib.import_module("detectron2.model_zoo")
        modeling: Any = importlib.import_module("detectron2.modeling")
        config = model_zoo.get_config(_CONFIG, trained=False)
        config.MODEL.DEVICE = place.device.type
        config.MODEL.ROI_HEADS.NUM_CLASSES = len(structure_names())
        config.MODEL.ROI_HEADS.SCORE_THRESH_TEST = 0.0
        config.MODEL.RPN.PRE_NMS_TOPK_TEST = PROPOSALS
        config.MODEL.RPN.POST_NMS_TOPK_TEST = PROPOSALS
        config.TEST.DETECTIONS_PER_IMAGE = KEPT
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self._network: Any = place.house(modeling.build_model(config))
        self._to_frame: Any = importlib.import_module("detectron2.modeling.postprocessing").detector_postprocess
        self._place = place
        self._size = size
        name = "detectron2 mask-rcnn"
        self.facts = PeerFacts(name, "torch", place.precision, (size[1], size[0]), RANDOM, MADE_UP)

    def prepare(self, frame: npt.NDArray[np.uint8]) -> Tensor:
        """See `Peer`: uint8 [3, h, w], blue first as this network has learnt it."""
        return self._place.put(stretched(frame, self._size)[:, :, ::-1].transpose(2, 0, 1))

    def infer(self, prepared: Tensor, stages: dict[str, float]) -> Any:
        """See `Peer`."""
        with self._place.computing():
            return self._network.inference([{"image": prepared}], do_postprocess=False)[0]

    def finish(self, outputs: Any, frame_shape: tuple[int, int]) -> Found:
        """See `Peer`."""
        boxes = self._place.put(made_up_boxes(self._size, frame_shape))
        with self._place.computing():
            outputs.pred_boxes.tensor = boxes[: len(outputs)]
            found = self._to_frame(outputs, *frame_shape)
            masks = found.pred_masks.cpu().numpy()
            area = float(found.pred_boxes.area().sum())
        return Found(len(masks), area / (frame_shape[0] * frame_shape[1]))
