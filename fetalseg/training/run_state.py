"""What a run needs to go on where it stopped, as one safetensors file: no pickle."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.optim import Optimizer

from fetalseg.errors import DataError
from fetalseg.model.tensor_file import write_tensors
from fetalseg.model.yolact import Yolact
from fetalseg.training.ema import MovingAverage
from fetalseg.training.mixed_precision import MixedPrecision
from fetalseg.training.progress import Progress
from fetalseg.training.settings import differences

__all__ = ["load_state", "save_state"]

_KEY = "fetalseg-run"
_SCHEMA = 2


def save_state(
    path: Path,
    network: Yolact,
    average: MovingAverage,
    optimizer: Optimizer,
    mixed: MixedPrecision,
    progress: Progress,
    identity: dict[str, Any],
) -> None:
    """Writes weights, averages, optimiser and progress; the file appears whole or not at all.

    Args:
        path: to write.
        network: as it is trained.
        average: of its weights.
        optimizer: with its moments.
        mixed: with the factor of the loss.
        progress: of the run.
        identity: what must be the same when the run goes on; JSON values.

    Raises:
        OSError: the file can't be written; the one before it stays.
    """
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in average.network.state_dict().items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in moments.items()}
    header = {
        "schema": _SCHEMA,
        "progress": asdict(progress),
        "updates": average.updates,
        "scaling": mixed.state(),
        "identity": identity,
    }
    # The average starts as a copy; safetensors refuses tensors that share memory.
    whole = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
    write_tensors(path, whole, {_KEY: json.dumps(header)})


def load_state(
    path: Path,
    network: Yolact,
    average: MovingAverage,
    optimizer: Optimizer,
    mixed: MixedPrecision,
    identity: dict[str, Any],
) -> Progress:
    """Fills network, average, optimiser and factor of the loss from a file that `save_state` wrote.

    Raises:
        DataError: no such file, not a run's state, or of a run with other settings; the message names them.
    """
    if not path.is_file():
        raise DataError(f"nothing to resume: no {path}")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            header = json.loads((file.metadata() or {}).get(_KEY, "null"))
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise DataError(f"{path} is not a safetensors file: {error}") from None
    if not isinstance(header, dict) or header.get("schema") != _SCHEMA:
        raise DataError(f"{path} is not the state of a run with schema {_SCHEMA}")
    if changed := differences(header["identity"], identity):
        raise DataError(
            f"{path} belongs to a run with other settings: {changed}; remedy: give its settings, or another folder"
        )
    network.load_state_dict(_under(tensors, "network."))
    average.network.load_state_dict(_under(tensors, "average."))
    average.updates = header["updates"]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in _under(tensors, "optimizer.").items():
        index, moment = name.split(".", 1)
        state.setdefault(int(index), {})[moment] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    mixed.restore(header["scaling"])
    return Progress(**header["progress"])


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
