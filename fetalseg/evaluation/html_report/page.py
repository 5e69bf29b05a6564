"""Writes `report.html`: one page that holds everything it shows, and can be saved, mailed and printed as it is.

Style, script, pictures and curves are in the page; nothing comes from elsewhere. Its content security policy allows
exactly that, by the digests of the style and the script. The script chooses a structure, and the page is whole without.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any, NamedTuple

from fetalseg.errors import DataError, MissingExtraError
from fetalseg.evaluation.gallery import Gallery, GalleryKind, GalleryPicture
from fetalseg.evaluation.html_report.cells import Table, figure, number_of, title_of
from fetalseg.evaluation.html_report.charts import HEIGHT, TICKS, WIDTH, Chart
from fetalseg.evaluation.html_report.curve_charts import calibration_charts, f1_charts, precision_charts
from fetalseg.evaluation.html_report.fault_tables import error_tables, threshold_table
from fetalseg.evaluation.html_report.frame_tables import absence_table, head_table, structure_table, view_table
from fetalseg.evaluation.html_report.opening import facts, headlines, interval_words, rules, system
from fetalseg.evaluation.html_report.precision_tables import (
    overlap_table,
    precision_tables,
    size_table,
    slice_tables,
)

try:
    import jinja2
    from markupsafe import Markup
except ModuleNotFoundError:
    raise MissingExtraError("jinja2", "eval") from None

__all__ = ["REPORT_NAME", "render_html", "write_html"]

REPORT_NAME = "report.html"

_HERE = Path(__file__).parent

_KIND_WORDS: dict[GalleryKind, str] = {
    "best": "Best",
    "worst": "Worst",
    "missed": "Missed",
    "false": "Drawn where it is not",
}


class Section(NamedTuple):
    """A part of the page.

    Attributes:
        id: what links lead to.
        title: heading.
        lead: words below it.
        tables: of it.
        charts: each with the words above its charts.
    """

    id: str
    title: str
    lead: str
    tables: list[Table]
    charts: list[tuple[str, list[Chart]]]


class _Shown(NamedTuple):
    """A picture with its caption."""

    kind: str
    words: str
    caption: str
    source: str
    picture: GalleryPicture


def write_html(folder: Path, metrics: dict[str, Any], curves: dict[str, Any], gallery: Gallery) -> Path:
    """Writes `report.html` and gives its path; arguments as of `render_html`.

    Raises:
        DataError: it can't be written.
    """
    path = folder / REPORT_NAME
    try:
        path.write_text(render_html(metrics, curves, gallery), encoding="utf-8")
    except OSError as error:
        raise DataError(f"can't write {path}: {error.strerror}") from None
    return path


def render_html(metrics: dict[str, Any], curves: dict[str, Any], gallery: Gallery) -> str:
    """The page.

    Args:
        metrics: content of `metrics.json`, schema 2, see `fetalseg.evaluation.metrics_file`.
        curves: content of `curves.json`.
        gallery: pictures to look at.
    """
    style, script = (_HERE / name for name in ("style.css", "filter.js"))
    style_text, script_text = style.read_text(encoding="utf-8"), script.read_text(encoding="utf-8")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sections = _sections(metrics, curves)
    shown = {row.structure for section in sections for table in section.tables for row in table.rows}
    return environment.get_template("page.html.jinja").render(
        policy=(
            f"default-src 'none'; img-src data:; style-src {_digest(style_text)}; script-src {_digest(script_text)}; "
            "base-uri 'none'; form-action 'none'"
        ),
        # Our own text, and what the digests are of: escaping would change it.
        style=Markup(style_text),
        script=Markup(script_text),
        system=system(metrics),
        extent=_extent(metrics),
        headlines=headlines(metrics),
        facts=facts(metrics),
        rules=rules(metrics),
        intervals=interval_words(metrics),
        sections=sections,
        structures=[(name, title_of(name)) for name in metrics["structures"] if name in shown],
        gallery=_galleries(gallery),
        gallery_notes=_gallery_notes(gallery),
        ticks=TICKS,
        width=WIDTH,
        height=HEIGHT,
    )


def _sections(metrics: dict[str, Any], curves: dict[str, Any]) -> list[Section]:
    """All parts between the opening and the gallery; one that has nothing to show is left out."""
    by_rule = [structure_table(metrics, rule) for rule in metrics["table3"]]
    sections = [
        Section("precision", "Segmentation", "", precision_tables(metrics), []),
        Section("overlap", "Overlap and distance", "", [overlap_table(metrics)], []),
        Section("table-3", "Structures within their view", _TABLE_3, _there(*by_rule), []),
        Section("views", "Views", "", _there(view_table(metrics)), []),
        Section("absence", "Structures that are absent", _ABSENCE, _there(absence_table(metrics)), []),
        Section("head", "Head circumference", "", _there(head_table(metrics)), []),
        Section("errors", "Kinds of errors", _ERRORS, error_tables(metrics), []),
        Section(
            "thresholds",
            "Scores and thresholds",
            _CURVES,
            [threshold_table(metrics)],
            [
                ("Precision over recall", precision_charts(metrics, curves)),
                ("F1 over the threshold", f1_charts(metrics, curves)),
                ("Calibration", calibration_charts(metrics)),
            ],
        ),
        Section("sizes", "Sizes", "", [size_table(metrics)], []),
        Section("slices", "Slices", "", slice_tables(metrics), []),
    ]
    return [section for section in sections if section.tables]


_TABLE_3 = (
    "One cell a frame of the structure's view in which it is annotated or known to be absent, by its best detection "
    "from score 0.3 on. A detection that disagrees with the annotation counts as FP only. Wrong view: detections per "
    "100 frames of other views, where a limb or the spine may well be."
)
_ABSENCE = "From score 0.3 on every detection is false there, however it lies."
_ERRORS = (
    "In the manner of TIDE (Bolya et al., ECCV 2020): what AP50 gains if an oracle mends the errors of one kind and "
    "leaves the rest. The costs don't add up."
)
_CURVES = "All at IoU 0.5. Dashed uprights stand at the threshold of the highest F1."


def _there(*tables: Table | None) -> list[Table]:
    return [table for table in tables if table is not None]


def _galleries(gallery: Gallery) -> list[tuple[str, str, list[_Shown]]]:
    """Name, title and pictures of each structure, in the gallery's order."""
    names = dict.fromkeys(picture.structure for picture in gallery.pictures)
    return [
        (name, title_of(name), [_shown(picture) for picture in gallery.pictures if picture.structure == name])
        for name in names
    ]


def _shown(picture: GalleryPicture) -> _Shown:
    words = [f"{picture.measure} {figure(picture.overlap, 2)}"] if picture.overlap is not None else []
    if picture.kind == "missed":
        words.append("no detection" if picture.score is None else f"highest score {picture.score:.2f}")
    elif picture.score is not None:
        words.append(f"score {picture.score:.2f}")
    words += [f"{picture.view} view"] if picture.view else []
    words += [f"image {picture.image}", picture.file_name, f"{picture.zoom:.1f}×"]
    return _Shown(
        picture.kind,
        _KIND_WORDS[picture.kind],
        ", ".join(words),
        f"data:image/jpeg;base64,{base64.b64encode(picture.jpeg).decode()}",
        picture,
    )


def _gallery_notes(gallery: Gallery) -> list[str]:
    notes = []
    if gallery.left_out:
        notes.append(f"Left out, to keep the page small: {number_of(gallery.left_out, 'picture')}.")
    if gallery.unreadable:
        notes.append(f"Without an image file that can be read: {number_of(gallery.unreadable, 'picture')}.")
    return notes


def _extent(metrics: dict[str, Any]) -> str:
    structures = sum(bool(row["support"]) for row in metrics["structures"].values())
    return f"{number_of(metrics['frames'], 'frame')}, {number_of(structures, 'structure')} with ground truth"


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
