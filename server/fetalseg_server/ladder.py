"""The quality ladder: what a session gives up under load, rung by rung, so that its pictures stay fresh.

A rung is written as words, and keeps what the rungs before it changed:

- `candidates=N`: of each structure the N best candidates enter suppression.
- `detections=N`: at most N structures are returned.
- `no_masks`: boxes without outlines.
- `model=NAME`: a smaller network of the same structures. The input size of a model file is fixed, so a smaller
  input is another model.
- `half_rate`: every other frame is answered `skipped: overloaded`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

__all__ = ["FULL_QUALITY", "Rung", "parse_ladder"]


@dataclass(frozen=True)
class Rung:
    """How frames are worked on.

    Attributes:
        candidates: of a structure that enter suppression; None the model's choice.
        detections: instances of a frame at the most; None the model's choice.
        no_masks: boxes without outlines.
        model: name or path of another model; None the server's.
        half_rate: work on every other frame only.
    """

    candidates: int | None = None
    detections: int | None = None
    no_masks: bool = False
    model: str | None = None
    half_rate: bool = False


FULL_QUALITY = Rung()


def parse_ladder(texts: Sequence[str]) -> tuple[Rung, ...]:
    """All rungs, full quality first.

    Args:
        texts: one for each further rung: words separated by spaces.

    Raises:
        ValueError: an unknown word (the known ones are listed), a value that is none, or a rung that changes nothing.
    """
    rungs = [FULL_QUALITY]
    for number, text in enumerate(texts, 1):
        rung = rungs[-1]
        for word in text.split():
            rung = _change(rung, word, number)
        if rung == rungs[-1]:
            raise ValueError(f"rung {number} of the ladder changes nothing: {text!r}")
        rungs.append(rung)
    return tuple(rungs)


def _change(rung: Rung, word: str, number: int) -> Rung:
    name, _, value = word.partition("=")
    if name not in _CHANGES:
        raise ValueError(f"unknown word {word!r} in rung {number} of the ladder; known words are {', '.join(_KNOWN)}")
    try:
        return _CHANGES[name](rung, value)
    except ValueError:
        raise ValueError(f"expected {_KNOWN[list(_CHANGES).index(name)]} in rung {number}, got {word!r}") from None


def _count(value: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        raise ValueError(value)
    return int(value)


def _name(value: str) -> str:
    if not value:
        raise ValueError(value)
    return value


def _yes(value: str) -> bool:
    if value:
        raise ValueError(value)
    return True


_CHANGES: dict[str, Callable[[Rung, str], Rung]] = {
    "candidates": lambda rung, value: replace(rung, candidates=_count(value)),
    "detections": lambda rung, value: replace(rung, detections=_count(value)),
    "no_masks": lambda rung, value: replace(rung, no_masks=_yes(value)),
    "model": lambda rung, value: replace(rung, model=_name(value)),
    "half_rate": lambda rung, value: replace(rung, half_rate=_yes(value)),
}
_KNOWN = ("candidates=N", "detections=N", "no_masks", "model=NAME", "half_rate")
