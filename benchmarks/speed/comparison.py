"""Figures beside those of an earlier run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.live.table import markdown_table
from benchmarks.speed.intervals import change
from benchmarks.speed.rows import Row
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
        DataError: not such a file, or one of another version.
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
    found: dict[str, Any] = content
    return found


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What must be the same for a comparison and isn't, as "cores: 2 before, 16 now"."""
    pairs = [(name, before["machine"].get(name), after["machine"].get(name)) for name in _SAME_MACHINE]
    pairs += [(name, before.get(name), after.get(name)) for name in _SAME_RUN]
    earlier = {_key(row["setup"]): row["setup"] for row in before["rows"]}
    for row in after["rows"]:
        setup = row["setup"]
        if old := earlier.get(_key(setup)):
            pairs += [
                (f"{name} of {setup['model']}, {setup['engine']}", old[name], setup[name]) for name in _SAME_SETUP
            ]
    told = [f"{name}: {old} before, {new} now" for name, old, new in pairs if _plain(old) != _plain(new)]
    return list(dict.fromkeys(told))


def comparison_table(before: dict[str, Any], rows: Sequence[Row]) -> str:
    """Each stage of each configuration that both runs have, as a Markdown table.

    Raises:
        DataError: they have none in common.
    """
    earlier = {_key(row["setup"]): row for row in before["rows"]}
    cells = []
    for row in rows:
        old = earlier.get(_key(asdict(row.setup)))
        if old is None:
            continue
        for stage, medians in row.block_medians_ms.items():
            if stage not in old["block_medians_ms"]:
                continue
            held = change(old["block_medians_ms"][stage], medians, paired=False, level=_LEVEL)
            percent = f"{100 * (held.ratio - 1):+.1f} % ({100 * (held.low - 1):+.1f} to {100 * (held.high - 1):+.1f})"
            name = stage.replace("_", " ")
            cells.append([f"{row.setup}: {name}", f"{held.before:.2f}", f"{held.after:.2f}", percent, held.verdict])
    if not cells:
        raise DataError("the earlier run has none of these configurations (model, engine, precision, batch)")
    return markdown_table(
        ["median ms a batch", "before", "now", f"change ({100 * _LEVEL:g} % interval)", "verdict"], cells
    )


def _key(setup: dict[str, Any]) -> tuple[Any, ...]:
    return setup["model"], setup["engine"], setup["precision"], setup["batch"]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
