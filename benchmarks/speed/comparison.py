"""Figures beside those of an earlier run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.live.table import markdown_table
from benchmarks.speed.intervals import change
from benchmarks.speed.rows import Row, Setup
from fetalseg.errors import DataError

__all__ = ["comparison_table", "differences", "read_figures"]

SCHEMA = 2
_LEVEL = 0.99  # six stages of several configurations: at 0.95 one in three runs would see a change where there is none
_SAME_MACHINE = ("processor", "cores", "features")
_SAME_RUN = ("source", "frame", "gpu")
_SAME_SETUP = ("device", "threads", "weights", "input")


def read_figures(path: Path) -> dict[str, Any]:
    """What `--json` wrote.

    Raises:
        DataError: not such a file, one of another version, or a damaged one.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        tool, schema = content["tool"], content.get("schema")
    except OSError as error:
        raise DataError(f"can't read {path}: {error.strerror}") from None
    except (ValueError, TypeError, KeyError):
        raise DataError(f"{path.name} isn't a file of figures; expected one that --json of this tool wrote") from None
    if (tool, schema) != ("fps", SCHEMA):
        raise DataError(f"{path.name} holds figures of {tool}, schema {schema}; expected fps, schema {SCHEMA}")
    if not _is_complete(content):
        raise DataError(f"{path.name} is damaged: figures are missing or no numbers; remedy: measure it anew")
    found: dict[str, Any] = content
    return found


def _is_complete(content: dict[str, Any]) -> bool:
    """Whether all is there that a comparison reads."""
    try:
        rows = [Row(**{**row, "setup": Setup(**row["setup"])}) for row in content["rows"]]
        blocks = [medians for row in rows for medians in row.block_medians_ms.values()]
        return (
            {"commit", "date", *_SAME_RUN} <= set(content)
            and set(_SAME_MACHINE) <= set(content["machine"])
            and all(medians and all(ms >= 0 for ms in medians) for medians in blocks)
        )
    except (KeyError, TypeError, AttributeError):
        return False


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What must be the same for a comparison and isn't, as "cores: 2 before, 16 now"."""
    pairs = [(name, before["machine"][name], after["machine"][name]) for name in _SAME_MACHINE]
    pairs += [(name, before[name], after[name]) for name in _SAME_RUN]
    earlier = _by_setup(before["rows"])
    for key, row in _by_setup(after["rows"]).items():
        if key in earlier:
            old, new = earlier[key]["setup"], row["setup"]
            pairs += [(f"{name} of {new['model']}, {new['engine']}", old[name], new[name]) for name in _SAME_SETUP]
    told = [f"{name}: {old} before, {new} now" for name, old, new in pairs if _plain(old) != _plain(new)]
    return list(dict.fromkeys(told))


def comparison_table(before: dict[str, Any], rows: Sequence[Row]) -> str:
    """Each stage of each configuration that both runs have, as a Markdown table; below it what one run alone has.

    Raises:
        DataError: they have none in common.
    """
    earlier = _by_setup(before["rows"])
    now = _by_setup([asdict(row) for row in rows])
    alone = [f"not in this run: {_words(key)}" for key in earlier if key not in now]
    alone += [f"not in the earlier run: {_words(key)}" for key in now if key not in earlier]
    cells = []
    for row, key in zip(rows, now, strict=True):
        old = earlier[key]["block_medians_ms"] if key in earlier else {}
        for stage, medians in row.block_medians_ms.items():
            if stage not in old:
                continue
            held = change(old[stage], medians, paired=False, level=_LEVEL)
            percent = f"{100 * (held.ratio - 1):+.1f} % ({100 * (held.low - 1):+.1f} to {100 * (held.high - 1):+.1f})"
            name = stage.replace("_", " ")
            cells.append([f"{row.setup}: {name}", f"{held.before:.2f}", f"{held.after:.2f}", percent, held.verdict])
    if not cells:
        raise DataError("the earlier run has none of these configurations (model, engine, precision, batch)")
    heads = ["median ms a batch", "before", "now", f"change ({100 * _LEVEL:g} % interval)", "verdict"]
    return "\n".join([markdown_table(heads, cells), *alone])


def _by_setup(rows: Sequence[dict[str, Any]]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Rows, in their order, by what was run: models of one name, two files say, are told apart by their order."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        words = tuple(row["setup"][name] for name in ("model", "engine", "precision", "batch"))
        found[*words, sum(key[:-1] == words for key in found)] = row
    return found


def _words(key: tuple[Any, ...]) -> str:
    model, engine, precision, batch, _ = key
    return f"{model}, {engine} {precision}, batch {batch}"


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
