"""What a model finds or a data set labels: the seventeen structures of `fetalseg.anatomy`, or a hospital's own names.

A taxonomy is a tuple of names in label order. Users see ids: label plus one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from fetalseg.anatomy import STRUCTURES, Structure, structure_names

__all__ = ["MAX_STRUCTURES", "check_names", "describe", "is_standard"]

MAX_STRUCTURES = 255  # ids are grey levels of a label map
MAX_NAME = 64  # characters; a name has to fit into a table and onto a tag

_BY_NAME = {structure.name: structure for structure in STRUCTURES}
# Ten colours, in the order of the seventeen; all bright enough for a dark image.
_PALETTE = tuple(dict.fromkeys(structure.color for structure in STRUCTURES))


def is_standard(names: Sequence[str]) -> bool:
    """Whether these are the seventeen names in id order, so that views can be told from them."""
    return tuple(names) == structure_names()


def check_names(names: Sequence[str]) -> None:
    """Refuses names that can't be told apart or shown.

    Raises:
        ValueError: none or more than 255, a name twice, or one that is no text of 1 to 64 printable characters.
    """
    if not 1 <= len(names) <= MAX_STRUCTURES:
        raise ValueError(f"expected 1 to {MAX_STRUCTURES} structures, got {len(names)}")
    seen: set[str] = set()
    for name in names:
        if not (isinstance(name, str) and name == name.strip() and 1 <= len(name) <= MAX_NAME and name.isprintable()):
            raise ValueError(f"the name of a structure must be 1 to {MAX_NAME} printable characters, got {name!r}")
        if name in seen:
            raise ValueError(f"structure {name!r} is named twice")
        seen.add(name)


@lru_cache(maxsize=16)  # asked for each drawn line of a frame
def describe(names: tuple[str, ...]) -> tuple[Structure, ...]:
    """Title, group and colour of each name; `id` is its place plus one.

    A name of `fetalseg.anatomy` keeps what is said of it there. Any other may occur several times in a frame, belongs
    to no view, and takes the next colour that no known name here has; with more than ten structures colours repeat.
    """
    taken = {_BY_NAME[name].color for name in names if name in _BY_NAME}
    free = [color for color in _PALETTE if color not in taken] or list(_PALETTE)
    described: list[Structure] = []
    others = 0
    for number, name in enumerate(names, 1):
        if name in _BY_NAME:
            described.append(replace(_BY_NAME[name], id=number))
            continue
        title = name.replace("_", " ")
        color = free[others % len(free)]
        described.append(Structure(number, name, title[:1].upper() + title[1:], "", False, color))
        others += 1
    return tuple(described)
