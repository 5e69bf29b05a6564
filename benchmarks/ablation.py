"""What each group of augmentations is worth: one recipe trained with all, without each of them, and with none.

    python -m benchmarks.ablation --data shared/data/nt --data shared/data/hc18 --steps 3000 --seeds 0,1 --out ablation
    python -m benchmarks.ablation --data phantom-frames --test shared/data/nt --minutes 30 --out ablation-phantom

Every arm is `fetalseg train` with the same options, then `fetalseg export` of its last weights (the best ones were
chosen on the frames that are scored here), then `fetalseg eval` on the frames held out of each set and on the whole
sets of `--test`. Options that are not listed go to `fetalseg train`. A run that was stopped goes on where it stood:
arms that are finished are kept, one that was training is resumed. Written are `ablation.csv`, a row for each arm, seed,
set and structure, and `ablation.md`, the table that is printed: means over seeds and, for several seeds, their standard
deviation, against which a difference has to be held.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fetalseg.cli import main as fetalseg
from fetalseg.cli.interruption import INTERRUPTED
from fetalseg.data.augment import AugmentOptions
from fetalseg.errors import FetalsegError

_RESERVED = ("--out", "--seed", "--augment", "--resume", "--repeats", "--epochs")
_COLUMNS = ("box_AP50", "box_AP", "mask_AP50", "mask_AP75", "mask_AP", "dice", "centre_hit")
_SHOWN = ("box_AP50", "centre_hit", "mask_AP75", "dice")
_LOG_LINES = 15


class ArmError(FetalsegError):
    """A command of an arm failed."""


@dataclass(frozen=True)
class Arm:
    """One augmentation to train with.

    Attributes:
        name: "all", "none" or "without GROUP".
        words: for `fetalseg train --augment`.
    """

    name: str
    words: str


@dataclass(frozen=True)
class Recipe:
    """What all arms share.

    Attributes:
        data: `DIR[:SHARE]` of the sets to learn from.
        test: folders of further sets to score on.
        train_options: of `fetalseg train`, its length among them.
        seeds: each arm is trained once with each.
    """

    data: tuple[str, ...]
    test: tuple[str, ...]
    train_options: tuple[str, ...]
    seeds: tuple[int, ...]


def arms(chosen: Sequence[str] | None = None) -> list[Arm]:
    """With all augmentations, without each group that does anything by default, and with none.

    Args:
        chosen: groups to leave out in turn; all of them if None.

    Raises:
        ValueError: a group that is unknown or off by default, so that there is nothing to leave out.
    """
    groups = AugmentOptions().groups
    wanted = groups if chosen is None else tuple(chosen)
    if unknown := [group for group in wanted if group not in groups]:
        raise ValueError(f"nothing to leave out: {', '.join(unknown)}; groups that are on are {', '.join(groups)}")
    rest = {group: ",".join(other for other in groups if other != group) for group in wanted}
    return [Arm("all", "all"), *(Arm(f"without {group}", words) for group, words in rest.items()), Arm("none", "none")]


def run_arm(arm: Arm, seed: int, recipe: Recipe, folder: Path) -> list[dict[str, Any]]:
    """Trains, exports and scores what of it isn't done yet.

    Returns:
        A row for each set and structure with ground truth.

    Raises:
        ArmError: a command failed; the message ends with the last lines of its log.
    """
    run, model, log = folder / "run", folder / "model.onnx", folder / "log.txt"
    folder.mkdir(parents=True, exist_ok=True)
    if not model.exists():
        data = [part for text in recipe.data for part in ("--data", text)]
        more = ["--resume"] if (run / "state.safetensors").exists() else []
        options = ["--out", str(run), "--seed", str(seed), "--augment", arm.words, *recipe.train_options, *more]
        _command(["train", *data, *options], log)
        _command(["export", str(run / "last.safetensors"), "--out", str(model)], log)
    rows: list[dict[str, Any]] = []
    for name, truth in _scored_sets(run, recipe):
        metrics = folder / name / "metrics.json"
        if not metrics.exists():
            _command(["eval", "--data", str(truth), "--model", str(model), "--out", str(metrics.parent)], log)
        rows += _rows(arm, seed, name, json.loads(metrics.read_text(encoding="utf-8")))
    return rows


def _scored_sets(run: Path, recipe: Recipe) -> Iterator[tuple[str, Path]]:
    """Name and COCO file or folder of each set to score on; those held out of the training come first."""
    for file in sorted((run / "holdout").glob("*/instances.json")):
        if json.loads(file.read_text(encoding="utf-8"))["images"]:
            yield file.parent.name, file
    for folder in recipe.test:
        yield f"{Path(folder).name} (whole)", Path(folder)


def _command(arguments: list[str], log: Path) -> None:
    """Runs `fetalseg`; what it prints is appended to the log.

    Raises:
        ArmError: it failed.
        KeyboardInterrupt: it was interrupted, and has saved its state.
    """
    with log.open("a", encoding="utf-8") as file, redirect_stdout(file), redirect_stderr(file):
        print(f"\n$ fetalseg {' '.join(arguments)}", flush=True)
        try:
            status = fetalseg(arguments)
        except SystemExit as wrong_usage:
            status = int(wrong_usage.code or 0)
    if status == INTERRUPTED:
        raise KeyboardInterrupt
    if status != 0:
        last = "\n".join(log.read_text(encoding="utf-8").splitlines()[-_LOG_LINES:])
        raise ArmError(f"fetalseg {arguments[0]} ended with {status}; the end of {log}:\n{last}")


def _rows(arm: Arm, seed: int, name: str, metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for structure, found in metrics["structures"].items():
        if found["support"]:
            figures = {f"box_{key}": value for key, value in found["box"].items()}
            figures |= {f"mask_{key}": value for key, value in (found["mask"] or {}).items()}
            figures |= {"dice": found["dice"], "centre_hit": found["centre_hit"]}
            row = {"arm": arm.name, "seed": seed, "set": name, "structure": structure, "support": found["support"]}
            rows.append({**row, **{column: figures.get(column) for column in _COLUMNS}})
    return rows


def table(rows: Sequence[Mapping[str, Any]], order: Sequence[str]) -> str:
    """A Markdown table: a line for each arm, and for each structure of each set the figures that it has.

    Args:
        rows: of all arms.
        order: names of the arms, top to bottom; those without rows are left out.
    """
    columns = [
        (name, structure, figure)
        for name, structure in dict.fromkeys((row["set"], row["structure"]) for row in rows)
        for figure in _SHOWN
        if any(row[figure] is not None for row in rows if (row["set"], row["structure"]) == (name, structure))
    ]
    lines = [
        "| augmentation | " + " | ".join(f"{n}: {s} {figure.replace('_', ' ')}" for n, s, figure in columns) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for arm in order:
        own = [row for row in rows if row["arm"] == arm]
        if own:
            cells = [
                _cell([row[figure] for row in own if (row["set"], row["structure"]) == (name, structure)])
                for name, structure, figure in columns
            ]
            lines.append(f"| {arm} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(values: Sequence[float | None]) -> str:
    """The mean, and the standard deviation of several."""
    given = [value for value in values if value is not None]
    if not given:
        return "-"
    spread = f" ± {statistics.stdev(given):.3f}" if len(given) > 1 else ""
    return f"{statistics.mean(given):.3f}{spread}"


def _check_folder(out: Path, recipe: Recipe) -> None:
    """Notes the recipe in a new folder; refuses one that holds arms of another.

    Raises:
        ValueError: another recipe was run there; the message names what differs.
    """
    path = out / "recipe.json"
    # Through JSON, as it will be read again. More seeds and more sets to score on may be added later.
    told = json.loads(json.dumps({"data": recipe.data, "train_options": recipe.train_options}))
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        if differ := [key for key in told if told[key] != before.get(key)]:
            changes = "; ".join(f"{key} {before.get(key)}, now {told[key]}" for key in differ)
            raise ValueError(f"{out} holds the arms of another recipe: {changes}")
    out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def _write(out: Path, rows: Sequence[Mapping[str, Any]], text: str) -> None:
    with (out / "ablation.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["arm", "seed", "set", "structure", "support", *_COLUMNS], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    (out / "ablation.md").write_text(text + "\n", encoding="utf-8")


def run(recipe: Recipe, chosen: Sequence[Arm], out: Path) -> int:
    """All arms, seed by seed, so that a stopped run has whole comparisons; the tables are written after each.

    Returns:
        0, or 1 where an arm failed; the others are run all the same.

    Raises:
        ValueError: the folder holds another recipe.
    """
    _check_folder(out, recipe)
    rows: list[dict[str, Any]] = []
    order = [arm.name for arm in chosen]
    failures = 0
    for seed in recipe.seeds:
        for arm in chosen:
            start = time.monotonic()
            try:
                rows += run_arm(arm, seed, recipe, out / arm.name.replace(" ", "-") / f"seed-{seed}")
            except ArmError as error:
                failures += 1
                print(f"{arm.name}, seed {seed}: {error}", file=sys.stderr)
                continue
            print(f"{arm.name}, seed {seed}: {(time.monotonic() - start) / 60:.1f} minutes", flush=True)
            _write(out, rows, table(rows, order))
    print(f"\n{table(rows, order)}")
    return 1 if failures else 0


def main(argv: list[str] | None = None) -> int:
    """Runs the ablation that the arguments describe."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ablation", description=__doc__.splitlines()[0], allow_abbrev=False,
        epilog="All other options go to fetalseg train.",
    )  # fmt: skip
    parser.add_argument("--data", action="append", required=True, metavar="DIR[:SHARE]", help="as of fetalseg train")
    parser.add_argument("--test", action="append", default=[], metavar="DIR", help="set to score on as a whole")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the arms and tables")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--minutes", type=float, help="of training for each arm")
    length.add_argument("--steps", type=int, help="of training for each arm: the same on any machine")
    parser.add_argument("--seeds", default="0", metavar="N,...", help="one training of each arm for each (0)")
    parser.add_argument("--leave-out", metavar="GROUP,...", help="groups to leave out in turn (all)")
    args, others = parser.parse_known_args(argv)
    # Before a command does it, whose log is closed when the next one warns.
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    if taken := [option for option in others if option.partition("=")[0] in _RESERVED]:
        parser.error(f"{', '.join(taken)} can't be given: the arms differ in it, or need it for themselves")
    span = ["--minutes", f"{args.minutes:g}"] if args.minutes is not None else ["--steps", str(args.steps)]
    try:
        seeds = tuple(int(word) for word in args.seeds.split(","))
        chosen = arms(None if args.leave_out is None else args.leave_out.split(","))
        return run(Recipe(tuple(args.data), tuple(args.test), (*span, *others), seeds), chosen, args.out)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    raise SystemExit(main())
