"""The network in half precision, between a beginning and an end in float32."""

from __future__ import annotations

import copy

import torch

from fetalseg.export.graph import CandidateGraph
from fetalseg.model.precision import compute_in

__all__ = ["half_graph"]


def half_graph(graph: CandidateGraph) -> CandidateGraph:
    """A copy of a graph, whose network computes in float16 from the normalised frame to the raw predictions.

    The type of every tensor is then in the graph itself, as runtimes with strong typing (TensorRT) want it. The frame
    is normalised before it becomes float16, and the anchors stay float32.
    """
    return CandidateGraph(
        compute_in(copy.deepcopy(graph.network), torch.float16), graph.candidates, torch.float16
    ).eval()
