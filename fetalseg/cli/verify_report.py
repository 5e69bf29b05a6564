"""What `fetalseg verify` prints and writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fetalseg.cli.tables import plain_table, table_console
from fetalseg.evaluation.provenance import provenance
from fetalseg.model_file import file_digest
from fetalseg.verification.verifier import NotRun, Row, Verifier

__all__ = ["print_report", "report"]

# What is printed of an engine: heading, keys of `_figures` that are added up, format.
_COLUMNS = (
    ("score", ("score",), ".2g"),
    ("box px", ("box_px",), ".2g"),
    ("mask IoU", ("mask_iou",), ".4f"),
    ("off", ("off_share",), ".1%"),
    ("mean IoU", ("mean_mask_iou",), ".5f"),
    ("absent", ("missing", "extra"), "d"),
    ("close calls", ("near_threshold", "ties"), "d"),
    ("candidates off", ("unusual_share",), ".2%"),
)


def print_report(
    verifier: Verifier, about: tuple[str, str, str], rows: Sequence[Row], not_run: Sequence[NotRun]
) -> None:
    """The table, the tolerances, what failed and why, and what could not be run."""
    console = table_console()
    facts = verifier.facts
    console.print(
        f"{facts.name} {facts.version}: {verifier.instances} instances in {len(verifier.frames)} frames, held against "
        f"{' '.join(about[:2])} on {about[2]}",
        markup=False,
    )
    figures = verifier.average_precision
    files = len({row.file for row in rows}) > 1
    table = plain_table(
        *(["file"] if files else []),
        "engine",
        "precision",
        "device",
        *(heading for heading, _, _ in _COLUMNS),
        *figures,
        "",
    )
    for row in rows:
        changes = [f"{row.average_precision[name].value:+.4f}" if row.average_precision else "" for name in figures]
        cells = [row.engine, row.precision, row.device, *_cells(row), *changes, "pass" if row.passed else "FAIL"]
        table.add_row(*([row.file] if files else []), *cells)
    table.add_section()
    for word, limits in {row.tolerance: row.limits for row in rows}.items():
        allowed = [f"{limits.ap_tolerance(figure.one_detection):.4f}" for figure in figures.values()]
        cells = ["tolerance", word, "", *_cells_of(_tolerance(limits)), *allowed, ""]
        table.add_row(*([""] if files else []), *cells)
    console.print(table)
    if figures:
        console.print(_ap_rule(verifier, rows), markup=False, soft_wrap=True)
    for row in rows:
        for fault in row.faults:
            where = f"{row.file} on {row.engine} {row.precision}" if files else f"{row.engine} {row.precision}"
            console.print(f"FAIL {where}: {fault}", markup=False, soft_wrap=True)
    for words in dict.fromkeys(map(str, not_run)):  # once for all files
        console.print(f"not run: {words}", markup=False, soft_wrap=True)


def _ap_rule(verifier: Verifier, rows: Sequence[Row]) -> str:
    """How the tolerances of average precision come about."""
    limits = {row.tolerance: row.limits for row in rows}
    costs = ", ".join(f"{one.ap:g} in {word}" for word, one in limits.items())
    chance = {name.partition(" ")[0]: figure.one_detection for name, figure in verifier.average_precision.items()}
    return (
        f"average precision may change by {costs}; in all but fp32 also by what one detection more or less in each "
        "structure, which of the two by chance, makes with so many annotations: "
        + ", ".join(f"{value:.4f} by {kind}" for kind, value in chance.items())
    )


def report(
    path: Path, verifier: Verifier, about: tuple[str, str, str], rows: Sequence[Row], not_run: Sequence[NotRun],
    *, passed: bool,
) -> dict[str, Any]:  # fmt: skip
    """The same for a file; of paths only names."""
    return {
        "schema": 1,
        "tool": "verify",
        **provenance(),
        "model": {"name": verifier.facts.name, "version": verifier.facts.version, "sha256": file_digest(path)},
        "reference": dict(zip(("engine", "precision", "device"), about, strict=True))
        | {"instances": verifier.instances}
        | {name: figure.value for name, figure in verifier.average_precision.items()},
        "frames": len(verifier.frames),
        "options": asdict(verifier.options),
        "rows": [_row(row) for row in rows],
        "not_run": [
            {"file": one.contender.path.name, "engine": one.contender.engine, "device": one.contender.device,
             "precision": one.contender.precision, "reason": one.reason}
            for one in not_run
        ],
        "passed": passed,
    }  # fmt: skip


def _row(row: Row) -> dict[str, Any]:
    return {
        "file": row.file,
        "engine": row.engine,
        "precision": row.precision,
        "device": row.device,
        **_figures(row),
        "average_precision_change": {name: change.value for name, change in row.average_precision.items()},
        "average_precision_tolerance": {name: change.tolerance for name, change in row.average_precision.items()},
        "tolerance": {"precision": row.tolerance, **asdict(row.limits)},
        "passed": row.passed,
        "faults": list(row.faults),
    }


def _figures(row: Row) -> dict[str, float | int | None]:
    differences = row.differences
    if differences is None:
        return {}
    return {
        "score": differences.score,
        "box_px": differences.box_px,
        "mask_iou": differences.smallest_mask_iou,
        "off_share": differences.off_share if differences.compared else None,
        "mean_mask_iou": differences.mean_mask_iou,
        "missing": differences.missing,
        "extra": differences.extra,
        "near_threshold": differences.near_threshold,
        "ties": differences.ties,
        "candidates": differences.candidates,
        "unusual_share": differences.unusual_share if differences.candidates else None,
    }


def _tolerance(limits: Any) -> dict[str, float | int | None]:
    return {
        "score": limits.score, "box_px": limits.box_px, "mask_iou": limits.mask_iou, "off_share": limits.off,
        "mean_mask_iou": limits.mean_mask_iou, "missing": 0, "extra": 0, "near_threshold": None, "ties": None,
        "unusual_share": limits.unusual,
    }  # fmt: skip


def _cells(row: Row) -> list[str]:
    return _cells_of(_figures(row))


def _cells_of(figures: Mapping[str, float | int | None]) -> list[str]:
    cells = []
    for _, keys, form in _COLUMNS:
        values = [value for key in keys if (value := figures.get(key)) is not None]
        cells.append(_number(sum(values), form) if values else "")
    return cells


def _number(value: float | int | None, form: str) -> str:
    return "" if value is None else format(value, form)
