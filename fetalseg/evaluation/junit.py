"""An evaluation as JUnit XML, which every CI shows: a test case for each requirement, and one for each structure.

The form is that of the `testsuite` element which Ant introduced and CI systems read; requirements that aren't met are
failures, structures without ground truth are skipped, all others pass and hold their figures as output.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from fetalseg.evaluation.gate import Verdict
from fetalseg.evaluation.requirements import Requirement

__all__ = ["junit_text"]

_SUITE = "fetalseg eval"


def junit_text(metrics: Mapping[str, Any], verdicts: Mapping[Requirement, Verdict]) -> str:
    """The content of `junit.xml`.

    Args:
        metrics: what `metrics.json` holds.
        verdicts: by requirement.
    """
    without = [name for name, row in metrics["structures"].items() if not row["support"]]
    numbers = {
        "tests": len(verdicts) + len(metrics["structures"]),
        "failures": sum(not one.passed for one in verdicts.values()),
        "errors": 0,
        "skipped": len(without),
    }
    attributes: dict[str, Any] = {name: str(number) for name, number in numbers.items()}
    root = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(root, "testsuite", name=_SUITE, timestamp=_timestamp(metrics), **attributes)
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in _facts(metrics).items():
        ElementTree.SubElement(properties, "property", name=name, value=value)
    for requirement, verdict in verdicts.items():
        case = ElementTree.SubElement(suite, "testcase", classname=f"{_SUITE}.requirements", name=requirement.text)
        if verdict.passed:
            ElementTree.SubElement(case, "system-out").text = verdict.reason
        else:
            ElementTree.SubElement(case, "failure", message=verdict.reason).text = f"{verdict.text}: {verdict.reason}"
    for name, row in metrics["structures"].items():
        case = ElementTree.SubElement(suite, "testcase", classname=f"{_SUITE}.structures", name=name)
        if row["support"]:
            ElementTree.SubElement(case, "system-out").text = _figures(row)
        else:
            ElementTree.SubElement(case, "skipped", message="no ground truth in this set")
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _timestamp(metrics: Mapping[str, Any]) -> str:
    """Of the form's own: without a zone."""
    return str(metrics["provenance"]["date"])[:19]


def _facts(metrics: Mapping[str, Any]) -> dict[str, str]:
    system = metrics.get("model") or metrics.get("detections") or {}
    facts = {
        "model": " ".join(str(system[key]) for key in ("name", "version") if key in system),
        "system_sha256": system.get("sha256", ""),
        "data_sha256": metrics["data"]["sha256"],
        "frames": metrics["frames"],
        "fetalseg": metrics["provenance"]["fetalseg"],
        "commit": metrics["provenance"]["commit"],
    }
    return {name: str(value) for name, value in facts.items() if value not in (None, "")}


def _figures(row: Mapping[str, Any]) -> str:
    lines = [f"n {row['support']}"]
    for kind in ("box", "mask", "boundary"):
        if row[kind] is not None:
            lines += [f"{kind} {name} {_text(row[kind][name])}" for name in ("AP50", "AP75", "AP", "AR100")]
    lines += [f"Dice {_text(row['dice'])}", f"centre hit {_text(row['centre_hit'])}"]
    return "\n".join(lines)


def _text(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.4f}"
