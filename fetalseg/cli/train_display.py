"""What `fetalseg train` shows: a live line while it runs, tables, and where everything lies at the end."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table

from fetalseg.training.repeats import TableRow
from fetalseg.training.run_log import StepReport, read_scores
from fetalseg.training.trainer import Ending, Trainer
from fetalseg.training.validation import Score

__all__ = ["LiveLine", "print_summary", "repeats_table", "scores_table"]

_LINE_EVERY = 20  # steps between two lines where the output is no terminal


class LiveLine:
    """One line that moves on a terminal, plain lines elsewhere; a context manager.

    Attributes:
        last: the newest report.
    """

    def __init__(self, console: Console) -> None:
        self.last: StepReport | None = None
        self._console = console
        self._bar = Progress(
            BarColumn(16), TaskProgressColumn(), TextColumn("{task.description}"),
            console=console, disable=not console.is_terminal,
        )  # fmt: skip
        self._task = self._bar.add_task("", total=1.0)

    def __enter__(self) -> LiveLine:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def step(self, report: StepReport) -> None:
        """Shows a step."""
        self.last = report
        speed = (
            f"{report.images_per_s:.1f} images/s, {report.waiting:.1%} waiting, {_duration(report.time_left_s)} left"
        )
        self._bar.update(
            self._task,
            completed=report.progress,
            description=f"step {report.step} epoch {report.epoch:.1f} loss {report.losses['total']:.3f} | {speed}",
        )
        if not self._console.is_terminal and report.step % _LINE_EVERY == 0:
            terms = " ".join(f"{name} {value:.3f}" for name, value in report.losses.items())
            line = f"{100 * report.progress:5.1f} % step {report.step} epoch {report.epoch:.1f} {terms} | {speed}"
            self._console.print(line, soft_wrap=True, highlight=False)


def scores_table(scores: Mapping[str, Sequence[Score]], title: str) -> Table:
    """Scores of the held-out frames, one row a structure; empty cells where there is no mask to compare with."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for heading in ("set", "structure"):
        table.add_column(f"\n{heading}")
    for heading in ("\nn", "box\nAP50", "mask\nAP50", "\nAP75", "\nDice", "centre\nhit"):
        table.add_column(heading, justify="right")
    for name, rows in scores.items():
        for row in rows:
            figures = (row.box, row.mask, row.mask75, row.dice, row.centre)
            table.add_row(name, row.structure, str(row.support), *("" if f is None else f"{f:.3f}" for f in figures))
    return table


def print_summary(console: Console, trainer: Trainer, ending: Ending, last: StepReport | None) -> None:
    """How the run ended, the best scores, and which file is what."""
    progress, folder = trainer.progress, trainer.folder
    if ending == "stopped":
        console.print(f"stopped after step {progress.step}; to go on, give the same command with --resume")
        return
    why = {"budget": "finished", "patience": "no better for long enough: ended early"}[ending]
    speed = f", {last.images_per_s:.1f} images/s, {last.waiting:.1%} of the time waiting for data" if last else ""
    console.print(
        f"{why} after {progress.step} steps in {_duration(progress.elapsed_s)}{speed}", soft_wrap=True, highlight=False
    )
    if progress.best >= 0:
        best = f"best, step {progress.best_step}: score {progress.best:.3f}"
        console.print(scores_table(read_scores(folder, progress.best_step), best))
    else:
        console.print("no frame was held out to validate on: the newest weights are shipped")
    shipped = folder.shipped(trainer.network.variant.name)
    rows = [
        ("best weights", folder.best if progress.best >= 0 else None),
        ("newest weights", folder.last),
        (f"to ship, half precision, {shipped.stat().st_size / 1e6:.1f} MB", shipped),
        ("losses", folder.losses),
        ("scores", folder.scores if folder.scores.exists() else None),
        ("curves (tensorboard --logdir)", folder.tensorboard),
    ]
    for what, path in rows:
        if path is not None:
            console.print(f"{what:<32} {path}", soft_wrap=True, highlight=False)
    console.print(
        f"next: fetalseg export {shipped} --out {shipped.with_suffix('.onnx')}", soft_wrap=True, highlight=False
    )


def repeats_table(name: str, rows: Sequence[TableRow], repeats: int) -> Table:
    """Table 4 of one set: mean and sample SD of the repeats, n/a without ground truth."""
    title = f"{name}: AP50, mean ± SD of {repeats} runs" if repeats > 1 else f"{name}: AP50 of one run"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    if repeats > 1:
        table.caption, table.caption_justify = "SD with n - 1 in the denominator", "left"
    table.add_column("structure")
    for heading in ("n", "box", "mask"):
        table.add_column(heading, justify="right")
    for row in rows[:-1]:
        table.add_row(row.structure, str(row.support), str(row.box or "n/a"), str(row.mask or "n/a"))
    table.add_section()
    mean = rows[-1]
    of = f"mean of {mean.support}"
    if mean.mask is not None and mean.mask_support != mean.support:
        of += f" ({mean.mask_support} by mask)"
    table.add_row(of, "", str(mean.box or "n/a"), str(mean.mask or "n/a"), style="bold")
    return table


def _duration(seconds: float) -> str:
    return str(datetime.timedelta(seconds=round(seconds)))
