"""Holds one engine after another against the reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from fetalseg.errors import EngineError, ModelFileError
from fetalseg.model_file import ModelFacts
from fetalseg.postprocess.options import PostprocessOptions
from fetalseg.preprocess import FrameGeometry
from fetalseg.segmenter import Segmenter
from fetalseg.verification.answers import FrameAnswer, answers_of, comparable
from fetalseg.verification.contenders import Contender
from fetalseg.verification.decisions import Decisions
from fetalseg.verification.differences import Differences, compare
from fetalseg.verification.figures import Change, Figures
from fetalseg.verification.tolerances import Limits, limits_for

__all__ = ["NotRun", "Row", "Verifier", "check_same_network"]


@dataclass(frozen=True, eq=False)
class Row:
    """What one engine's answers amount to.

    Attributes:
        file: name of the model file, or the server's address.
        engine: word.
        precision: that it computes in; with that of the file where this is another.
        device: in words.
        tolerance: the precision whose tolerance holds.
        limits: that tolerance, box in px of the frames.
        differences: None where the engine failed.
        average_precision: what became of each figure, by its name; empty without a data set.
        faults: what is beyond the tolerance, in words.
    """

    file: str
    engine: str
    precision: str
    device: str
    tolerance: str
    limits: Limits
    differences: Differences | None
    average_precision: Mapping[str, Change] = field(default_factory=dict)
    faults: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Nothing is beyond the tolerance."""
        return not self.faults


@dataclass(frozen=True)
class NotRun:
    """A way to run a file that this machine hasn't got, and why."""

    contender: Contender
    reason: str

    def __str__(self) -> str:
        return f"{self.contender}: {self.reason}"


class Verifier:
    """The reference and its answers.

    Args:
        reference: what the others are held against.
        frames: uint8 [H, W] or [H, W, 3], of any sizes.
        min_score: 0..1, from which on instances are shown; None the model's.
        figures: average precision of a model on a data set, or None.

    Raises:
        ValueError: no frames, or nothing is shown in any of them.
        EngineError: the reference failed.
    """

    def __init__(
        self,
        reference: Segmenter,
        frames: Sequence[npt.NDArray[np.uint8]],
        *,
        min_score: float | None = None,
        figures: Callable[[Segmenter], Figures] | None = None,
    ) -> None:
        if not frames:
            raise ValueError("no frames; expected at least one to compare engines on")
        self.facts: ModelFacts = reference.facts
        self.precision = reference.engine.precision
        self.frames = frames
        self.options = _options(reference, min_score)
        self.answers: Sequence[FrameAnswer] = answers_of(reference, frames, self.options)
        self.instances = sum(len(answer.shown) for answer in self.answers)
        if self.instances == 0:
            raise ValueError(
                f"the reference ({reference.engine.name}) finds nothing with a score of {self.options.min_score:g} or "
                f"more in {len(frames)} frames, so that there is nothing to compare; remedy: frames that show "
                "structures (--source), or a lower --min-score"
            )
        self._figures = figures
        self.average_precision: Figures = figures(reference) if figures else {}
        self._scale = max(1 / min(FrameGeometry.of(_size(f), self.facts.input).scale) for f in frames)
        self._decisions = Decisions.of(self.facts, self.options)

    def check(self, segmenter: Segmenter, file: str) -> Row:
        """Runs one engine over the frames, and over the data set if there is one.

        Args:
            segmenter: of the same structures and input, see `check_same_network`.
            file: its model file's name.
        """
        engine = segmenter.engine
        precisions = list(dict.fromkeys([segmenter.facts.precision, engine.precision]))
        try:
            answers = answers_of(segmenter, self.frames, self.options)
            figures = self._figures(segmenter) if self._figures else {}
        except EngineError as error:
            tolerance, limits = self._limits(precisions)
            words = _words(precisions)
            return Row(file, engine.name, words, engine.device, tolerance, limits, None, faults=(str(error),))
        return self.check_answers(answers, precisions, figures, file=file, engine=engine.name, device=engine.device)

    def check_answers(
        self,
        answers: Sequence[FrameAnswer],
        precisions: Sequence[str],
        figures: Figures | None = None,
        *,
        file: str,
        engine: str,
        device: str,
    ) -> Row:
        """Holds answers to the frames against the reference's.

        Args:
            answers: in the order of the frames.
            precisions: of the file and of the engine, each once.
            figures: of the engine on the data set.
            file: see `Row`.
            engine: see `Row`.
            device: see `Row`.

        Raises:
            ValueError: a precision without a tolerance.
        """
        tolerance, limits = self._limits(precisions)
        differences = compare(self.answers, answers, limits, self._decisions)
        changes = {
            name: Change(found.value - self.average_precision[name].value, limits.ap_tolerance(found.one_detection))
            for name, found in (figures or {}).items()
        }
        faults = differences.faults(limits)
        faults += [
            f"{name} changes by {change.value:+.4f}, tolerance {change.tolerance:.4f}"
            for name, change in changes.items()
            if abs(change.value) > change.tolerance
        ]
        return Row(file, engine, _words(precisions), device, tolerance, limits, differences, changes, tuple(faults))

    def _limits(self, precisions: Sequence[str]) -> tuple[str, Limits]:
        return limits_for([self.facts.precision, self.precision, *precisions], self._scale)


def check_same_network(reference: ModelFacts, other: ModelFacts, file: str) -> None:
    """Refuses a file whose answers can't be held against the reference's.

    Raises:
        ModelFileError: other structures, or another input.
    """
    if other.structures != reference.structures:
        raise ModelFileError(
            f"{file} finds {', '.join(other.structures)}; expected the structures of {reference.name}: "
            f"{', '.join(reference.structures)}"
        )
    if other.input != reference.input:
        raise ModelFileError(f"{file} takes {other.input}; expected the input of {reference.name}: {reference.input}")


def _options(reference: Segmenter, min_score: float | None) -> PostprocessOptions:
    options = comparable(reference.default_options)
    if min_score is None:
        return options
    return replace(options, min_score=min_score, structure_thresholds=False)


def _words(precisions: Sequence[str]) -> str:
    """What is computed in; a file that already holds less than fp32 is named as well."""
    file, engine = precisions[0], precisions[-1]
    return engine if file in ("fp32", engine) else f"{engine} ({file} file)"


def _size(frame: npt.NDArray[np.uint8]) -> tuple[int, int]:
    return frame.shape[0], frame.shape[1]
