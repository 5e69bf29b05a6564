"""What stands first on the page: the headline figures, what was evaluated, and by which rules."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any, NamedTuple

from fetalseg.evaluation.html_report.cells import at, figure, interval, number_of

__all__ = ["Headline", "facts", "headlines", "interval_words", "rules", "system"]


class Headline(NamedTuple):
    """A figure with what stands behind it.

    Attributes:
        title: what it is.
        value: of it.
        interval: its bounds, or its spread; nothing where there is none.
        basis: what it was counted over.
    """

    title: str
    value: str
    interval: str
    basis: str


def system(metrics: dict[str, Any]) -> str:
    """What was evaluated, in words."""
    model = metrics.get("model")
    if model is not None:
        return f"{model['name']} {model['version']}"
    return _end_of(at(metrics, "detections", "path") or "detections")


def headlines(metrics: dict[str, Any]) -> list[Headline]:
    """The figures that a reader looks for first; those that the set doesn't allow are left out."""
    shown = []
    for kind in ("mask", "box"):
        mean = metrics[kind]
        if mean is not None:
            basis = f"mean of {number_of(mean['n'], 'structure')}"
            for measure in ("AP50", "AP"):
                bounds = interval(at(mean, "interval", measure))
                shown.append(Headline(f"{measure} by {kind}", figure(mean[measure]), bounds, basis))
    views = metrics["views"]
    if views is not None and views["frames"]:
        basis = number_of(views["frames"], "frame")
        for key, words in (("accuracy", "View accuracy"), ("essential_found", "Essential structure found")):
            shown.append(Headline(words, figure(views[key]), interval(at(views, "interval", key)), basis))
    head = metrics["head_circumference"]
    if head is not None:
        basis = f"{head['found']['n']:,} of {head['frames']:,} heads"
        words = f"bias {figure(head['found']['mean'], 2)}, SD {figure(head['found']['sd'], 2)} mm"
        shown.append(Headline("Head circumference, error", f"{figure(head['found']['mae'], 2)} mm", words, basis))
    return shown


def facts(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """Where the figures come from, row by row."""
    rows: list[tuple[str, str]] = []
    model, engine, found = metrics.get("model"), metrics.get("engine"), metrics.get("detections")
    if model is not None:
        rows.append(("Model", f"{model['name']} {model['version']}, SHA-256 {model['sha256']}"))
    if found is not None:
        rows.append(
            ("Detections", f"{_end_of(found['path'])}, {found['results']:,} results, SHA-256 {found['sha256']}")
        )
    data = metrics["data"]
    rows.append(("Data", f"{_end_of(data['path'])}, {data['images']:,} frames, SHA-256 {data['sha256']}"))
    if engine is not None:
        rows.append(("Engine", f"{engine['name']} ({engine['precision']}, {engine['device']})"))
    if metrics.get("options"):
        rows.append(("Options", _flat(metrics["options"])))
    source = metrics.get("provenance") or {}
    if source:
        commit = f", commit {source['commit']}" if source.get("commit") else ""
        rows.append(("Computed", f"{source.get('date', '')} by fetalseg {source.get('fetalseg', '')}{commit}"))
        versions = _flat(source.get("packages") or {})
        rows.append(("Versions", f"Python {source.get('python', '')}, {versions}"))
        rows.append(("Processor", str(source.get("processor", ""))))
    return rows


def rules(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """The protocol, row by row, in the order in which the file has it."""
    return [(_words(key), _flat(value)) for key, value in (metrics.get("protocol") or {}).items()]


def interval_words(metrics: dict[str, Any]) -> str:
    """What intervals mean, in a sentence; nothing where there are none."""
    found = at(metrics, "protocol", "interval")
    if found is None:
        return ""
    return (
        f"Intervals: {found['level']:.0%}, {found['method']}, {found['resamples']:,} resamples of {found['units']:,} "
        f"units ({found['unit']}), seed {found['seed']}."
    )


def _end_of(path: str) -> str:
    """The last two parts of a path: where it lay on some computer says nothing to a reader elsewhere."""
    return "/".join(PurePath(path).parts[-2:])


def _flat(value: Any) -> str:
    """Any value of the file as words."""
    if isinstance(value, dict):
        return ", ".join(f"{_words(key)} {_flat(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(_flat, value))
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _words(key: str) -> str:
    return key.replace("_", " ")
