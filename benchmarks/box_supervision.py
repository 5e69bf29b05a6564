"""How good masks get that were learnt from boxes: the same training with the masks of a set, and with them hidden.

    python -m benchmarks.box_supervision --data DIR (--minutes M | --steps N) [--variant V] [--json FILE]

Both runs start from the same weights and see the same frames for as long. The second is given the boxes only, and so
turns frames by a few degrees at the most, as for any set without masks. Both are scored on the same held-out frames
with their masks, from the weights at the end of the run: nothing is chosen by the held-out part. The third row is what
the second model scores if its boxes are taken for masks: what the box-supervised loss adds is the difference.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.machine import this_machine
from benchmarks.record import commit_of, write_record
from fetalseg.data.coco import read_coco
from fetalseg.data.frames import load_frames
from fetalseg.data.records import CocoSet
from fetalseg.data.splits import Split, split_set
from fetalseg.errors import FetalsegError
from fetalseg.evaluation.evaluator import Evaluation, Evaluator
from fetalseg.evaluation.scored_frames import MAX_DETECTIONS
from fetalseg.instances import Instances
from fetalseg.model.variants import Variant, variant
from fetalseg.segmenter import Segmenter
from fetalseg.training.allocator import keep_freed_memory
from fetalseg.training.batches import FrameSet
from fetalseg.training.build import build_trainer
from fetalseg.training.options import TrainOptions
from fetalseg.training.schedule import Budget
from fetalseg.training.training_data import TrainingData

_SCORE_FLOOR = 0.05


@dataclass(frozen=True)
class Figures:
    """Of one row; means over the structures that occur in the held-out frames, None where nothing can be computed.

    Attributes:
        name: of the row.
        steps: optimiser steps.
        box_ap50: 0..1.
        mask_ap50: 0..1.
        mask_ap75: 0..1.
        dice: of the best detection of a structure in a frame, 0 where there is none.
    """

    name: str
    steps: int
    box_ap50: float | None
    mask_ap50: float | None
    mask_ap75: float | None
    dice: float | None


def hide_masks(source: CocoSet) -> CocoSet:
    """The same set with boxes alone."""
    images = tuple(
        replace(image, annotations=tuple(replace(a, segmentation=None) for a in image.annotations))
        for image in source.images
    )
    return replace(source, images=images)


def train(
    chosen: Variant, source: CocoSet, out: Path, options: TrainOptions, *, random_init: bool, threads: int | None
) -> tuple[Path, int]:
    """Trains on a set; the checkpoint at the end and the number of steps."""
    frames = FrameSet(source.name, load_frames(source, chosen.input), 1.0, source.sha256)
    data = TrainingData((frames,), {}, source.structures)
    trainer = build_trainer(chosen, data, out, options, imagenet=not random_init, threads=threads)
    trainer.run()
    return trainer.folder.last, trainer.progress.step


def evaluate(checkpoint: Path, truth: CocoSet, *, threads: int | None) -> tuple[Evaluation, Evaluation]:
    """Scores a checkpoint on annotated frames: with its masks, and with its boxes taken for masks."""
    with_masks, with_boxes = Evaluator(truth), Evaluator(truth)
    with Segmenter.load(checkpoint, "torch", threads=threads) as segmenter:
        options = replace(
            segmenter.default_options,
            single_structures=False,
            min_score=_SCORE_FLOOR,
            max_detections=MAX_DETECTIONS,
        )
        for image in truth.images:
            found = segmenter.segment(image.pixels(), options)
            with_masks.process(image, found)
            with_boxes.process(image, fill_boxes(found))
    return with_masks.evaluate(), with_boxes.evaluate()


def fill_boxes(found: Instances) -> Instances:
    """The same instances, each as large as its box."""
    return replace(found, crops=[np.ones_like(crop) for crop in found.crops])


def figures(name: str, steps: int, evaluation: Evaluation) -> Figures:
    """The row of an evaluation."""
    dices = [result.dice for result in evaluation.structures.values() if result.dice is not None]
    mask = evaluation.mask
    return Figures(
        name=name,
        steps=steps,
        box_ap50=evaluation.box.ap50,
        mask_ap50=None if mask is None else mask.ap50,
        mask_ap75=None if mask is None else mask.ap75,
        dice=float(np.mean(dices)) if dices else None,
    )


def table(rows: Sequence[Figures]) -> str:
    """The rows in Markdown."""
    lines = ["| masks learnt from | steps | box AP50 | mask AP50 | mask AP75 | Dice |", "|---|---|---|---|---|---|"]
    for row in rows:
        values = ["-" if v is None else f"{v:.3f}" for v in (row.box_ap50, row.mask_ap50, row.mask_ap75, row.dice)]
        lines.append(f"| {row.name} | {row.steps} | {' | '.join(values)} |")
    return "\n".join(lines)


def compare(source: CocoSet, split: Split, chosen: Variant, out: Path, args: argparse.Namespace) -> list[Figures]:
    """Trains and scores both ways.

    Args:
        source: the set, with masks.
        split: what is trained on and what is held out.
        chosen: which network.
        out: folder of the two runs.
        args: the command's.
    """
    options = TrainOptions(
        Budget(steps=args.steps, minutes=args.minutes),
        batch=args.batch,
        validations=1,
        seed=args.seed,
        device=args.device,
    )
    training, held_out = source.subset(split.train), source.subset(split.held_out)
    rows = []
    for name, frames in (("masks", training), ("boxes", hide_masks(training))):
        print(f"training with {name} on {len(frames.images)} frames ...", file=sys.stderr)
        checkpoint, steps = train(
            chosen, frames, out / name, options, random_init=args.random_init, threads=args.threads
        )
        print(f"scoring on {len(held_out.images)} held-out frames ...", file=sys.stderr)
        own, filled = evaluate(checkpoint, held_out, threads=args.threads)
        rows.append(figures(name, steps, own))
    return [*rows, figures("boxes, and the box taken for the mask", steps, filled)]


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.box_supervision", description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="COCO set with masks")
    parser.add_argument("--variant", default="fetalseg-s", help="which network (default: %(default)s)")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--minutes", type=float, help="length of each of the two runs")
    length.add_argument("--steps", type=int, help="the same in steps")
    parser.add_argument("--batch", type=int, default=16, help="frames in a step (default: %(default)s)")
    parser.add_argument("--holdout", type=float, default=0.2, help="share that is scored on (default: %(default)s)")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N frames of the set")
    parser.add_argument("--seed", type=int, default=0, help="of both runs (default: %(default)s)")
    parser.add_argument("--random-init", action="store_true", help="start the backbone without ImageNet weights")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="of the computation (default: PyTorch's choice)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="keep the two runs here")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows there")
    args = parser.parse_args(argv)
    keep_freed_memory()
    try:
        source = read_coco(args.data, limit=args.limit)
        split = split_set(source, args.holdout)
        _check(source, split)
        with tempfile.TemporaryDirectory() as folder:
            rows = compare(source, split, variant(args.variant), args.out or Path(folder), args)
    except (FetalsegError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    length_of_run = f"{args.minutes:g} minutes" if args.minutes else f"{args.steps} steps"
    print(
        f"{source.name}: {args.variant}, {length_of_run} each, {len(split.train)} training and "
        f"{len(split.held_out)} held-out frames by {split.unit}\n\n{table(rows)}"
    )
    if args.json is not None:
        content = {"set": source.name, "variant": args.variant, "length": length_of_run, "seed": args.seed}
        content |= {"training": len(split.train), "held_out": len(split.held_out), "rows": list(map(asdict, rows))}
        write_record(args.json, tool="box_supervision", machine=this_machine(), commit=commit_of(), content=content)
    return 0


def _check(source: CocoSet, split: Split) -> None:
    """Refuses a set that nothing can be learnt from here.

    Raises:
        ValueError: no masks, or no frames on one side of the split.
    """
    without = sum(a.segmentation is None for image in source.images for a in image.annotations)
    if not source.has_masks or without:
        raise ValueError(f"{source.name}: every annotation must have a mask to compare with; {without} have none")
    if not split.train or not split.held_out:
        raise ValueError(f"{len(split.train)} training and {len(split.held_out)} held-out frames: both must be above 0")


if __name__ == "__main__":
    sys.exit(main())
