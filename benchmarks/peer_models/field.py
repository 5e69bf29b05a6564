"""Who takes part: the networks that were asked for, in the runtimes that can run them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import torch

from benchmarks.peer_models.network_file import NetworkAlone
from benchmarks.peer_models.ours import EagerNetwork, ServedNetwork
from benchmarks.peer_models.peer import FrameToMasks, Peer
from benchmarks.peer_models.place import Place
from benchmarks.peer_models.plan import NETWORK_RUNTIMES, Plan
from benchmarks.peer_models.rcnn import MaskRcnn
from benchmarks.speed.networks import NetworkFile, find_network
from benchmarks.speed.stages import Frames
from fetalseg.engines import DEVICES, available_engines
from fetalseg.engines.base import usable_cores
from fetalseg.errors import EngineError
from fetalseg.model_file import list_models

__all__ = ["Field", "gather"]

_FOREIGN = ("mask-rcnn", "mask-scoring-rcnn", "detectron2")
_SEG = "-seg"  # ending of ultralytics' names

_Find = Callable[[str, tuple[int, int] | None], NetworkFile]


@dataclass
class Field:
    """Who takes part.

    Attributes:
        contestants: the first is the one that the others are held against.
        bars: pairs of places: our model, and a YOLO of the same input and runtime.
        left_out: who can't take part, and why.
    """

    contestants: list[FrameToMasks | NetworkAlone] = field(default_factory=list)
    bars: list[tuple[int, int]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def add(self, peer: Peer, frames: Frames) -> int:
        """Adds a peer; returns its place."""
        self.contestants.append(FrameToMasks(peer, frames))
        return len(self.contestants) - 1


def gather(plan: Plan, frames: Frames, folder: Path) -> Field:
    """Builds all of them; who isn't installed, or can't run here or in that precision, is left out.

    Args:
        plan: what to run.
        frames: that they share.
        folder: for files that are exported on the way.

    Raises:
        FetalsegError: no such network, or its file can't be used.
    """
    found = Field()
    torch.set_num_threads(plan.threads or usable_cores())

    @cache
    def find(name: str, size: tuple[int, int] | None) -> NetworkFile:
        return find_network(name, size, folder)

    if "torch" not in plan.runtimes:
        found.left_out += [f"{name}: it runs in torch alone" for name in plan.peers if _is_foreign(name)]
    for runtime in plan.runtimes:
        if runtime not in available_engines():
            found.left_out.append(f"{runtime}: it isn't installed")
        elif plan.device not in DEVICES[runtime]:
            found.left_out.append(f"{runtime}: it doesn't run on {plan.device}")
        elif runtime == "torch":
            _add_eager(found, plan, frames)
        else:
            try:
                _add_served(found, plan, frames, find, runtime)
            except (EngineError, ValueError) as error:
                found.left_out.append(f"{runtime}: {error}")
    return found


def _add_eager(found: Field, plan: Plan, frames: Frames) -> None:
    place = Place(plan.precision, plan.device)
    for name in plan.peers:
        if name in ("mask-rcnn", "mask-scoring-rcnn"):
            found.add(MaskRcnn(plan.size, place, mask_scoring=name == "mask-scoring-rcnn"), frames)
        elif name == "detectron2":
            if importlib.util.find_spec("detectron2") is None:
                found.left_out.append("detectron2's Mask R-CNN: it isn't installed (no wheel: built from its source)")
                continue
            from benchmarks.peer_models.detectron2_rcnn import Detectron2MaskRcnn

            found.add(Detectron2MaskRcnn(plan.size, place), frames)
        elif name.endswith(_SEG):
            if importlib.util.find_spec("ultralytics") is None:
                found.left_out.append(f"{name}: ultralytics isn't installed (AGPL-3.0: yours to install, never ours)")
                continue
            from benchmarks.peer_models.yolo import InstalledYolo

            yolo = InstalledYolo(name, plan.size, place)
            width, height = yolo.facts.input
            of_yolo = found.add(yolo, frames)
            found.bars.append((found.add(EagerNetwork(plan.bar_model, (height, width), place), frames), of_yolo))
        else:
            found.add(EagerNetwork(name, _own_size(name, plan.size), place), frames)


def _add_served(found: Field, plan: Plan, frames: Frames, find: _Find, runtime: str) -> None:
    def serve(file: NetworkFile, *, as_shipped: bool = False) -> ServedNetwork:
        words = {"device": plan.device, "precision": plan.precision}
        return ServedNetwork(file, runtime, **words, threads=plan.threads, as_shipped=as_shipped)

    for name in plan.peers:
        if not _is_foreign(name):
            found.add(serve(find(name, _own_size(name, plan.size))), frames)
    if plan.yolo_onnx is None or runtime not in NETWORK_RUNTIMES:
        return
    yolo = NetworkAlone(
        plan.yolo_onnx,
        runtime,
        device=plan.device,
        precision=plan.precision,
        threads=plan.threads,
        size=plan.size,
    )
    found.contestants.append(yolo)
    width, height = yolo.facts.input
    ours = serve(find(plan.bar_model, (height, width)), as_shipped=True)
    found.bars.append((found.add(ours, frames), len(found.contestants) - 2))


def _is_foreign(name: str) -> bool:
    """Not a network of ours."""
    return name in _FOREIGN or name.endswith(_SEG)


def _own_size(name: str, size: tuple[int, int]) -> tuple[int, int] | None:
    """None, its own, of a model that exists; the common one of a variant without weights."""
    is_file = name in list_models() or name.endswith((".onnx", ".safetensors"))
    return None if is_file else size
