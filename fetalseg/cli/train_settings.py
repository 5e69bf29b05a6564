"""What the options of `fetalseg train` mean."""

from __future__ import annotations

import argparse
import datetime
import math
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from fetalseg.data.augment import AugmentOptions
from fetalseg.data.coco import read_coco
from fetalseg.engines.base import usable_cores
from fetalseg.postprocess.options import PostprocessOptions
from fetalseg.training.options import TrainOptions
from fetalseg.training.schedule import Budget
from fetalseg.training.training_data import SharedSet, common_structures

__all__ = ["augmentation", "facts", "postprocessing", "read_sets", "train_options"]


def read_sets(texts: Sequence[str]) -> list[SharedSet]:
    """The sets of `DIR[:SHARE]`.

    Raises:
        DataError: see `read_coco`; sets with different structures.
        ValueError: a share that is not above 0, or shares for some of the sets only.
    """
    pairs = [_folder_and_share(text) for text in texts]
    given = [share for _, share in pairs if share is not None]
    if given and len(given) != len(pairs):
        raise ValueError("give a share to every set or to none")
    total = sum(given) or len(pairs)
    sets = [SharedSet(read_coco(folder), (share or 1.0) / total) for folder, share in pairs]
    common_structures([each.source for each in sets])
    return sets


def train_options(args: argparse.Namespace, frames: int, *, repeat: int = 0) -> TrainOptions:
    """The numbers of a run.

    Args:
        args: of the command.
        frames: to learn from, of all sets: an epoch.
        repeat: number of this run among several, 0 for the first; each has a seed of its own.

    Raises:
        ValueError: a number out of range.
    """
    for name in ("threads", "validation_frames"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    steps: int | None = args.steps
    if args.epochs is not None:
        if not 0 < args.epochs < math.inf:
            raise ValueError(f"epochs must be above 0, got {args.epochs:g}")
        # A batch below 1 is refused with the other numbers.
        steps = max(1, round(args.epochs * frames / max(1, args.batch)))
    return TrainOptions(
        budget=Budget(steps=steps, minutes=args.minutes),
        batch=args.batch,
        learning_rate=args.lr,
        seed=args.seed + repeat,
        precision=args.precision,
        validations=args.validations,
        patience=args.patience,
        ship=args.ship,
        loaders=max(1, usable_cores() // 4) if args.loaders is None else args.loaders,
        device=args.device,
    )


def augmentation(words: str) -> AugmentOptions:
    """The standard augmentation, or the part of it that `words` names: "all", "none", or groups with commas between.

    Raises:
        ValueError: an unknown group; the message lists the known ones.
    """
    if words == "all":
        return AugmentOptions()
    return AugmentOptions().only(*([] if words == "none" else words.split(",")))


def facts(args: argparse.Namespace, sets: Sequence[SharedSet]) -> dict[str, Any]:
    """What a checkpoint says of its origin, for `fetalseg export`.

    Raises:
        ValueError: see `postprocessing`.
    """
    lines = [f"{s.source.name}: {s.source.description}" if s.source.description else s.source.name for s in sets]
    values = {
        "training_data": [*lines, *args.attribution],
        "licence": args.licence or "",
        "postprocess": postprocessing(args.postprocess),
        "created": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": _commit(),
    }
    return {name: value for name, value in values.items() if value}


def postprocessing(texts: Sequence[str]) -> dict[str, Any]:
    """The defaults that a model brings along, from `NAME=VALUE`.

    Raises:
        ValueError: an unknown name, or a value that doesn't fit it.
    """
    standard = asdict(PostprocessOptions())
    chosen: dict[str, Any] = {}
    for text in texts:
        name, equals, word = text.partition("=")
        if not equals or name not in standard:
            known = ", ".join(field.name for field in fields(PostprocessOptions))
            raise ValueError(f"expected NAME=VALUE of post-processing, got {text!r}; known names are {known}")
        chosen[name] = _value(text, word, standard[name])
    replace(PostprocessOptions(), **chosen)  # refuses what is out of range
    return chosen


def _value(text: str, word: str, like: Any) -> Any:
    """`word` as a value of the type of `like`."""
    if isinstance(like, bool):
        if word not in ("true", "false"):
            raise ValueError(f"expected true or false, got {text!r}")
        return word == "true"
    try:
        # An option that is off by default is a number once it is on.
        return float(word) if like is None else type(like)(word)
    except ValueError:
        raise ValueError(f"expected a number, got {text!r}") from None


def _folder_and_share(text: str) -> tuple[str, float | None]:
    folder, colon, word = text.rpartition(":")
    try:
        share = float(word)
    except ValueError:
        return text, None
    if not colon:
        return text, None
    if not share > 0:
        raise ValueError(f"the share of a set must be above 0, got {text!r}")
    return folder, share


def _commit() -> str:
    """The commit of the checkout that this file belongs to, "" outside of one."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
