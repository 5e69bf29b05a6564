"""The folder of a run: which file is what, and what may be written where.

`best.safetensors` and `last.safetensors` hold averaged weights, ready for `fetalseg export`; `VARIANT.safetensors` one
of the two in half precision, to ship; `state.safetensors` what a run needs to go on; `log.csv` the losses,
`validation.csv` the scores, `tensorboard/` both; `holdout/SET/` what was never trained on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fetalseg.model.tensor_file import is_partial
from fetalseg.training.errors import TrainingError

__all__ = ["RunFolder"]


@dataclass(frozen=True)
class RunFolder:
    """Names in the folder of a run.

    Attributes:
        path: of the folder; nothing is made before `create`.
    """

    path: Path

    @property
    def state(self) -> Path:
        """What a run needs to go on."""
        return self.path / "state.safetensors"

    @property
    def best(self) -> Path:
        """The averaged weights with the best score."""
        return self.path / "best.safetensors"

    @property
    def last(self) -> Path:
        """The newest averaged weights."""
        return self.path / "last.safetensors"

    @property
    def losses(self) -> Path:
        """A row a step."""
        return self.path / "log.csv"

    @property
    def scores(self) -> Path:
        """A row for each structure, set and validation."""
        return self.path / "validation.csv"

    @property
    def tensorboard(self) -> Path:
        """A folder of event files."""
        return self.path / "tensorboard"

    def shipped(self, variant: str) -> Path:
        """The best or the last weights in half precision, see `TrainOptions.ship`."""
        return self.path / f"{variant}.safetensors"

    def check_unused(self) -> None:
        """Refuses a folder that holds a run already: two runs in one folder would mix their curves.

        Raises:
            TrainingError: the message says what was found.
        """
        found = [p.name for p in (self.state, self.best, self.last, self.losses, self.scores) if p.exists()]
        if found:
            raise TrainingError(
                f"{self.path} already holds a run ({', '.join(found)}); go on with it by --resume, or choose another "
                "folder"
            )

    def create(self) -> None:
        """Makes the folder, and clears away what a killed process left half written."""
        self.path.mkdir(parents=True, exist_ok=True)
        for path in self.path.iterdir():
            if is_partial(path):
                path.unlink()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Within it a failure to write ends in one clear message.

        Raises:
            TrainingError: the disk is full, or the folder can't be written to.
        """
        try:
            yield
        except BrokenPipeError:
            raise  # of a reader of what is printed
        except OSError as error:
            where = error.filename or self.path
            kept = "; the last good checkpoint is intact, make room and go on with --resume" * self.state.is_file()
            raise TrainingError(f"can't write {where}: {error.strerror or error}{kept}") from None
