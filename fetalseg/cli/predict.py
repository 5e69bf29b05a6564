"""`fetalseg predict SOURCE...`: finds the structures in images, videos, folders and DICOM files."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fetalseg.cli.engine_arguments import add_engine_arguments, engine_choices
from fetalseg.cli.overlays import OverlayWriter
from fetalseg.cli.whole_number import whole_number
from fetalseg.errors import FetalsegError, FrameError, MissingExtraError
from fetalseg.frame import Frame
from fetalseg.instances import Instances
from fetalseg.postprocess.options import NMS_KINDS, PostprocessOptions
from fetalseg.render import draw
from fetalseg.segmenter import Segmenter
from fetalseg.sources import Source, open_source
from fetalseg.sources.folder import FolderSource
from fetalseg.views import view_of

__all__ = ["add_arguments", "record", "run"]

# Sources longer than this, or of unknown length, show a progress bar instead of a line a frame.
LINES_AT_MOST = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `fetalseg predict`."""
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="image, video or DICOM file, folder, phantom[:seed=N,frames=N], camera:N or pydicom:NAME",
    )
    parser.add_argument("--model", default="fetalseg-s", help="name or path of a model (fetalseg-s)")
    add_engine_arguments(parser)
    parser.add_argument("--save", type=Path, metavar="DIR", help="write overlays: PNG of stills, MP4 of cines")
    parser.add_argument("--json", metavar="FILE", help="write one JSON object a frame; - is standard output")
    parser.add_argument(
        "--masks", choices=("polygon", "rle", "none"), default="polygon", help="how masks are written in JSON (polygon)"
    )
    parser.add_argument("--min-score", type=float, metavar="S", help="0..1; by default the model's own")
    parser.add_argument("--nms", choices=NMS_KINDS, help="non-maximum suppression; by default the model's own")
    parser.add_argument("--iou-threshold", type=float, metavar="T", help="0..1, of the suppression")
    parser.add_argument("--limit", type=whole_number, metavar="N", help="at most N frames of each source")
    parser.add_argument("--every", type=whole_number, default=1, metavar="K", help="only each K-th frame (1)")
    parser.add_argument("--quiet", action="store_true", help="print errors only")
    parser.epilog = "Exit code 1 if a source or a file in a folder could not be read. Research use only."


def run(args: argparse.Namespace) -> int:
    """Predicts every source; one that can't be read doesn't stop the rest.

    Returns:
        0, or 1 if any source or any file of a folder failed.

    Raises:
        FetalsegError, ValueError: the model, an option or an output is no good.
    """
    with ExitStack() as stack:
        lines = _open_json(args.json, stack)
        if args.save is not None:
            _make_folder(args.save)
        segmenter = stack.enter_context(Segmenter.load(args.model, **engine_choices(args)))
        job = _Job(segmenter, _options(args, segmenter.default_options), args, lines)
        for spec in args.sources:
            job.predict(spec)
    job.print_summary()
    return 1 if job.failures else 0


def record(frame: Frame, instances: Instances, *, source: str, masks: str = "polygon") -> dict[str, Any]:
    """One frame's result as a JSON object.

    Args:
        frame: what was looked at.
        instances: what was found; their masks must be there unless `masks` is "none".
        source: goes into the object as it is.
        masks: "polygon", "rle" or "none".

    Returns:
        Boxes and polygons in frame pixels, scores 0..1, areas in mm2 where the frame's spacing is known.
    """
    encoded: list[dict[str, Any]] = [{}] * len(instances)
    if masks == "polygon":
        encoded = [{"polygon": rings} for rings in instances.polygons()]
    elif masks == "rle":
        encoded = [{"rle": rle} for rle in instances.rle()]
    found = []
    for i, label in enumerate(instances.labels.tolist()):
        entry: dict[str, Any] = {
            "structure": instances.structures[label],
            "structure_id": label + 1,
            "score": round(float(instances.scores[i]), 4),
            "box": [round(float(edge), 2) for edge in instances.boxes[i]],
            **encoded[i],
        }
        if masks != "none" and frame.spacing_mm is not None:
            y_mm, x_mm = frame.spacing_mm
            entry["area_mm2"] = round(float(instances.crops[i].sum()) * y_mm * x_mm, 2)
        found.append(entry)
    view = view_of(instances)
    height, width = frame.shape
    return {
        "source": source,
        "index": frame.index,
        "timestamp_ms": None if frame.timestamp_ms is None else round(frame.timestamp_ms, 3),
        "width": width,
        "height": height,
        "spacing_mm": frame.spacing_mm,
        "view": None if view is None else {"name": view[0], "score": round(view[1], 4)},
        "instances": found,
        "timing_ms": {stage: round(ms, 3) for stage, ms in instances.timing_ms.items()},
    }


@dataclass
class _Tally:
    """What one source gave."""

    frames: int = 0
    views: Counter[str] = field(default_factory=Counter)
    structures: Counter[str] = field(default_factory=Counter)
    times_ms: list[float] = field(default_factory=list)

    def add(self, instances: Instances) -> None:
        view = view_of(instances)
        self.frames += 1
        self.views["none" if view is None else view[0]] += 1
        self.structures.update(set(instances.names))
        self.times_ms.append(sum(instances.timing_ms.values()))


class _Job:
    """Predicts one source after the other and keeps count."""

    def __init__(
        self, segmenter: Segmenter, options: PostprocessOptions, args: argparse.Namespace, lines: IO[str] | None
    ) -> None:
        self.failures = 0
        self._segmenter, self._options, self._args, self._lines = segmenter, options, args, lines
        self._tallies: list[_Tally] = []
        # JSON lines on standard output stay alone there.
        self._console = Console(file=sys.stderr if args.json == "-" else sys.stdout, quiet=args.quiet, highlight=False)

    def predict(self, spec: str) -> None:
        """Predicts one source; what can't be read is told and counted."""
        tally = _Tally()
        self._tallies.append(tally)
        try:
            with open_source(spec) as source:
                try:
                    self._predict_frames(spec, source, tally)
                finally:
                    self.failures += len(source.failures)  # the folder has logged them
        except (FrameError, MissingExtraError) as error:
            self._tell(error)
        else:
            if tally.frames == 0:
                self._tell(FrameError(f"{spec}: no frame came from it"))

    def print_summary(self) -> None:
        """The last line: how much, and how long a frame took in the median."""
        frames = sum(tally.frames for tally in self._tallies)
        times = [ms for tally in self._tallies for ms in tally.times_ms]
        text = f"{_number(frames, 'frame')} of {_number(len(self._tallies), 'source')}"
        if times:
            engine = self._segmenter.engine
            text += f", median {statistics.median(times):.1f} ms a frame ({engine.name} {engine.precision})"
        if self.failures:
            text += f", {self.failures} failed"
        self._console.print(text, markup=False, soft_wrap=True)

    def _predict_frames(self, spec: str, source: Source, tally: _Tally) -> None:
        total = self._expected(source)
        is_long = total is None or total > LINES_AT_MOST
        in_folder = isinstance(source, FolderSource)
        with ExitStack() as stack:
            overlays = None
            if self._args.save is not None:
                pace = None if source.fps is None else source.fps / self._args.every
                numbered = source.length != 1 and not in_folder
                overlays = stack.enter_context(OverlayWriter(self._args.save, fps=pace, numbered=numbered))
            progress = stack.enter_context(self._progress(shown=is_long))
            task = progress.add_task(source.name, total=total)
            for frame in self._chosen(source):
                instances = self._segmenter.segment(frame, self._options)
                tally.add(instances)
                if self._lines is not None:
                    name = str(Path(spec) / frame.source) if in_folder else spec
                    entry = record(frame, instances, source=name, masks=self._args.masks)
                    print(json.dumps(entry), file=self._lines, flush=True)
                if overlays is not None:
                    overlays.write(frame, draw(frame.pixels, instances))
                progress.advance(task)
                if not is_long:
                    self._console.print(_line(frame, instances, source), markup=False, soft_wrap=True)
        if is_long and tally.frames:
            self._console.print(_digest(source, tally), markup=False, soft_wrap=True)

    def _chosen(self, source: Source) -> Iterator[Frame]:
        """The frames that `--every` and `--limit` leave."""
        left = self._args.limit
        for position, frame in enumerate(source):
            if position % self._args.every:
                continue
            yield frame
            if left is not None:
                left -= 1
                # Asking for the next one would decode it first.
                if left == 0:
                    return

    def _expected(self, source: Source) -> int | None:
        chosen = None if source.length is None else -(-source.length // self._args.every)
        known = [n for n in (chosen, self._args.limit) if n is not None]
        return min(known, default=None)

    def _progress(self, *, shown: bool) -> Progress:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        visible = shown and not self._args.quiet and sys.stderr.isatty()
        return Progress(*columns, console=Console(stderr=True), transient=True, disable=not visible)

    def _tell(self, error: FetalsegError) -> None:
        self.failures += 1
        print(f"fetalseg predict: {error}", file=sys.stderr)


def _line(frame: Frame, instances: Instances, source: Source) -> str:
    where = frame.source if source.length == 1 or isinstance(source, FolderSource) else f"{frame.source}[{frame.index}]"
    names = [f"{name} {score:.2f}" for name, score in zip(instances.names, instances.scores, strict=True)]
    view = view_of(instances)
    shown = "no view" if view is None else f"{view[0]} view"
    return f"{where}: {shown}; {', '.join(names) or 'nothing found'}; {sum(instances.timing_ms.values()):.1f} ms"


def _digest(source: Source, tally: _Tally) -> str:
    """One line about a long source: in how many frames what was seen."""
    views = ", ".join(f"{name} {count}" for name, count in tally.views.most_common())
    structures = ", ".join(f"{name} {count}" for name, count in tally.structures.most_common()) or "nothing found"
    median = statistics.median(tally.times_ms)
    return f"{source.name}: {_number(tally.frames, 'frame')}; views: {views}; {structures}; median {median:.1f} ms"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _options(args: argparse.Namespace, default: PostprocessOptions) -> PostprocessOptions:
    given = {"min_score": args.min_score, "nms": args.nms, "iou_threshold": args.iou_threshold}
    if args.masks == "none" and args.save is None:
        given["masks"] = False
    return replace(default, **{name: value for name, value in given.items() if value is not None})


def _open_json(target: str | None, stack: ExitStack) -> IO[str] | None:
    if target is None:
        return None
    if target == "-":
        return sys.stdout
    try:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        return stack.enter_context(Path(target).open("w", encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"can't write {target}: {error.strerror}") from None


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"can't make the folder {folder}: {error.strerror}") from None
