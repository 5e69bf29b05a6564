"""The report as a page: what it says, that it is closed to everything else, and that its filter works."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from fetalseg.evaluation.assessment import AssessmentOptions, assess
from fetalseg.evaluation.evaluator import evaluate_frames
from fetalseg.evaluation.gallery import Gallery, GalleryPicture
from fetalseg.evaluation.html_report.charts import bars, line
from fetalseg.evaluation.html_report.page import render_html, write_html
from fetalseg.evaluation.metrics_file import curves, metrics
from fetalseg.evaluation.provenance import provenance
from fetalseg.evaluation.scored_frames import ScoredFrame
from tests.evaluation.handmade_frames import HERE, THERE, Box, detections, frame, present, rectangle, set_of
from tests.server.page import chromium, missing_browser, requested

JPEG = b"\xff\xd8 a picture \xff\xd9"
NOTHING = Gallery((), 0, 0)
RUN = {
    "model": {"name": "fetalseg-s", "version": "1.2.0", "sha256": "ab" * 32},
    "engine": {"name": "openvino", "precision": "bf16", "device": "CPU, 2 threads"},
    "data": {"path": "/somewhere/private/hospital/instances.json", "sha256": "cd" * 32, "images": 4},
    "options": {"min_score": 0.05, "nms": "fast"},
    "provenance": provenance(),
}


class Page(HTMLParser):
    """What a page consists of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.inside = {"style": "", "script": ""}
        self.rows: list[list[str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in self.inside:
            self.inside[self.open[-1]] += data
        elif data.strip():
            self.words.append(data.strip())
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data
        elif self.open[-2:] == ["td", "span"]:
            self.rows[-1][-1] += f" {data}"

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def text(self) -> str:
        return " ".join(self.words)


def heart(box: Box = HERE) -> Any:
    return present("heart", box, rectangle(box))


def hand_made_frames() -> list[ScoredFrame]:
    """Two hearts found, one missed and one drawn where none is; all four are thorax views."""
    circle = present("thoracic_circumference", THERE, rectangle(THERE), number=2)
    both = detections(("thoracic_circumference", 0.95, THERE), ("heart", 0.9, HERE))
    frames = [
        frame("thorax", [heart(), circle], both, number=1),
        frame("thorax", [heart(), circle], both, number=2),
        frame("thorax", [heart()], number=3),
        frame("thorax", [], detections(("heart", 0.6, HERE)), number=4),
    ]
    return [replace(one, image=replace(one.image, patient=f"p{one.image.id}")) for one in frames]


@cache
def hand_made() -> tuple[dict[str, Any], dict[str, Any]]:
    """metrics.json and curves.json, as they come out of their files."""
    frames = hand_made_frames()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "instances.json"  # slices are read from there
        path.write_text(json.dumps({"images": [{"id": one.image.id, "view": one.image.view} for one in frames]}))
        truth = replace(set_of(frames), path=path)
        assessment = assess(evaluate_frames(frames, truth), truth, AssessmentOptions(resamples=50, seed=3))
    return json.loads(json.dumps(metrics(assessment, RUN))), json.loads(json.dumps(curves(assessment)))


def picture(structure: str = "heart", kind: Any = "missed", file_name: str = "3.png") -> GalleryPicture:
    return GalleryPicture(structure, kind, 3, file_name, "thorax", None, "Dice", 0.21, JPEG, 400, 300, 2.5)


def page(gallery: Gallery = NOTHING, **changed: Any) -> Page:
    figures, lines = hand_made()
    return Page(render_html({**figures, **changed}, lines, gallery))


def test_page_states_system_data_digests_and_its_purpose() -> None:
    text = page().text()
    assert "Evaluation of fetalseg-s 1.2.0" in text
    assert "ab" * 32 in text
    assert "hospital/instances.json, 4 frames, SHA-256 " + "cd" * 32 in text
    assert "For research use only." in text
    assert "private" not in text, "where the data lay on some computer is nobody's business"
    assert "50 resamples of 4 units (by patient), seed 3" in text


def test_table_of_a_structure_holds_its_figures() -> None:
    figures, _ = hand_made()
    row = figures["structures"]["heart"]
    low, high = row["mask"]["interval"]["AP50"]
    # Two of three hearts are found before a false one: precision is 1 up to recall 2/3, at 67 of 101 points.
    assert row["mask"]["AP50"] == pytest.approx(67 / 101)
    assert ["Heart", "3", "0.663", f"{low:.3f} – {high:.3f}"] in [cells[:4] for cells in page().rows]


def test_table_3_and_the_confusion_matrix_count_frames() -> None:
    rows = page().rows
    counts = ["Heart", "thorax", "2", "1", "1", "0"]
    shares = [cells[6:8] for cells in rows if cells[:6] == counts]
    assert len(shares) == 2, "by both match rules"
    for accuracy, recall in shares:
        assert accuracy.startswith("0.500")
        assert recall.startswith("0.667")
        assert "–" in recall, "an interval"
    # The frame with a heart alone shows no view: the thoracic circumference makes it.
    assert ["thorax", "·", "·", "2", "·", "·", "·", "2", "4", "0.500", "1.000", "0.500"] in rows


def test_a_structure_without_ground_truth_is_named_and_has_no_row() -> None:
    shown = page()
    columns = shown.rows[0]
    assert columns[:3] == ["", "n", "AP50"]
    assert not any(cells[0] == "Spine" for cells in shown.rows if len(cells) == len(columns))
    assert re.search(r"No ground truth in this set, and not in the mean: Cranium, .*Spine\.", shown.text())


def test_a_figure_that_cannot_be_computed_is_n_a_and_never_minus_one() -> None:
    figures, _ = hand_made()
    structures = json.loads(json.dumps(figures["structures"]))
    structures["heart"]["mask"].update({"AP50": None, "interval": {"AP50": None, "AP": None}})
    rows = page(structures=structures).rows
    assert ["Heart", "3", "n/a", ""] in [cells[:4] for cells in rows]
    assert not any(cell.startswith("-1") for cells in rows for cell in cells)


def test_sections_without_content_are_left_out() -> None:
    linked = {attributes["href"] for attributes in page().of("a")}
    assert "#head" not in linked, "no circumference is annotated"
    assert "#gallery" not in linked
    assert {"#precision", "#table-3", "#views", "#errors", "#slices", "#rules"} <= linked
    sections = {f"#{attributes['id']}" for attributes in page().of("section")}
    assert linked == sections


def test_head_circumference_has_its_own_table_and_headline() -> None:
    agreement = {"n": 9, "mean": -0.5, "sd": 1.25, "mae": 1.0, "low": -2.95, "high": 1.95}
    shown = page(head_circumference={"frames": 10, "missed": 1, "found": agreement, "annotated": agreement})
    assert ["Cranium found", "9", "-0.50", "1.25", "1.00", "-2.95 to 1.95"] in shown.rows
    assert "1.00 mm" in shown.words
    assert "bias -0.50, SD 1.25 mm" in shown.words
    assert "9 of 10 heads" in shown.words


def test_intervals_stand_below_figures_of_overlap_absence_heads_and_slices() -> None:
    low, high = hand_made()[0]["structures"]["heart"]["overlap"]["interval"]["dice"]
    agreement = {"n": 9, "mean": -0.5, "sd": 1.25, "mae": 1.0, "low": -2.95, "high": 1.95}
    bounds = {"mean": [-1.0, 0.2], "sd": [0.8, 1.6], "mae": [0.7, 1.4], "dropped": 0}
    head = {"frames": 10, "missed": 1, "found": {**agreement, "interval": bounds}, "annotated": agreement}
    shown = page(head_circumference=head)
    heart = next(cells for cells in shown.rows if cells[0] == "Heart" and len(cells) == 12)
    # Two of three are found, and exactly so.
    assert heart[4] == f"0.667 {low:.3f} – {high:.3f}"
    assert ["Cranium found", "9", "-0.50 -1.00 to 0.20", "1.25 0.80 – 1.60", "1.00 0.70 – 1.40"] in [
        cells[:5] for cells in shown.rows
    ]
    # In the one frame without a heart one is drawn, in every resample that has the frame.
    assert any(cells[3:5] == ["0.000 0.000 – 0.000", "100.0 100.0 – 100.0"] for cells in shown.rows)
    assert any(cells[1].startswith("0.663 (3) 0.") for cells in shown.rows if cells[0] == "Heart")


def test_a_set_without_masks_and_views_is_shown_by_box() -> None:
    frames = [frame(None, [present("heart", HERE)], detections(("heart", 0.9, HERE), masks=False))]
    truth = set_of(frames)
    assessment = assess(evaluate_frames(frames, truth), truth, AssessmentOptions(resamples=5))
    figures = json.loads(json.dumps(metrics(assessment, {"data": RUN["data"]})))
    shown = Page(render_html(figures, json.loads(json.dumps(curves(assessment))), NOTHING))
    assert "AP50 by box" in shown.words
    assert "AP50 by mask" not in shown.words
    assert "Views" not in shown.words
    assert "no interval" not in shown.words


def test_detections_of_another_system_are_named_by_their_file() -> None:
    found = {"path": "/private/results/dets.json", "sha256": "ef" * 32, "results": 1234}
    shown = page(model=None, detections=found)
    assert "Evaluation of results/dets.json" in shown.text()
    assert "1,234 results, SHA-256 " + "ef" * 32 in shown.text()


def test_gallery_holds_pictures_as_data_with_what_they_show() -> None:
    shown = page(Gallery((picture(), picture(kind="false")), left_out=7, unreadable=1))
    sources = [attributes["src"] for attributes in shown.of("img")]
    assert sources == ["data:image/jpeg;base64," + base64.b64encode(JPEG).decode()] * 2
    assert "highest score 0.21, thorax view, image 3, 3.png, 2.5×" in shown.words
    assert "Drawn where it is not" in shown.words
    assert "to keep the page small: 7 pictures." in shown.text()
    assert "an image file that can be read: 1 picture." in shown.text()


def test_page_needs_nothing_from_elsewhere() -> None:
    shown = page(Gallery((picture(),), 0, 0))
    for tag, attributes in shown.tags:
        assert tag not in ("link", "iframe", "object", "base", "form")
        assert "style" not in attributes, "its policy would refuse it"
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/jpeg;base64,"))
    assert "url(" not in shown.inside["style"]
    assert "@import" not in shown.inside["style"]


def test_policy_of_the_page_allows_its_own_style_and_script_and_nothing_else() -> None:
    shown = page()
    (policy,) = [tag["content"] for tag in shown.of("meta") if tag.get("http-equiv") == "Content-Security-Policy"]
    digests = {
        name: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for name, text in shown.inside.items()
    }
    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digests['style']}'; "
        f"script-src 'sha256-{digests['script']}'; base-uri 'none'; form-action 'none'"
    )


def test_names_from_files_cannot_become_markup() -> None:
    evil = "<script>alert(1)</script>"
    shown = page(
        Gallery((picture(file_name=evil),), 0, 0),
        model={"name": evil, "version": '"><img src=x>', "sha256": "0"},
        slices={evil: {}},
    )
    assert len(shown.of("script")) == 1
    assert len(shown.of("img")) == 1
    assert any(evil in words for words in shown.words)


def test_every_row_chart_and_picture_of_a_structure_can_be_filtered() -> None:
    shown = page(Gallery((picture(),), 0, 0))
    options = [attributes["value"] for attributes in shown.of("option")]
    rows = {attributes["data-structure"] for attributes in shown.of("tr") if "data-structure" in attributes}
    assert {"thoracic_circumference", "heart"} < rows, "what is absent everywhere has rows as well"
    assert options[0] == ""
    assert set(options[1:]) == rows
    marked = [(tag, attributes["data-structure"]) for tag, attributes in shown.tags if "data-structure" in attributes]
    assert {("tr", "heart"), ("figure", "heart"), ("div", "heart")} <= set(marked)
    (label,) = shown.of("label")
    assert "hidden" in label, "a reader without scripts gets no control that does nothing"


def test_file_is_written_beside_the_others(tmp_path: Path) -> None:
    path = write_html(tmp_path, *hand_made(), NOTHING)
    assert path == tmp_path / "report.html"
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert len(path.read_bytes()) < 200_000


def test_a_line_runs_from_the_lower_left_to_the_upper_right() -> None:
    assert line("", "", [0, 1], [0, 1]).points == "42.0,158.0 220.0,6.0"


def test_a_long_line_is_thinned_and_keeps_its_highest_point() -> None:
    up = [0.0] * 5000
    up[3333] = 0.75
    drawn = line("", "", [place / 4999 for place in range(5000)], up).points.split()
    assert len(drawn) <= 161
    assert min(float(point.split(",")[1]) for point in drawn) == pytest.approx(158 - 0.75 * 152)


def test_a_line_of_unequal_lengths_is_refused() -> None:
    with pytest.raises(ValueError, match="2 places across and 1 up"):
        line("", "", [0, 1], [0])


def test_a_bin_without_detections_has_no_bar() -> None:
    (bar,) = bars([0, 0.5, 1], [None, 0.5], ["", "4 detections"])
    assert (bar.x, bar.y, bar.width, bar.height) == (131.5, 82.0, 88.0, 76.0)


@pytest.mark.skipif(missing_browser() is not None, reason=str(missing_browser()))
def test_choosing_a_structure_hides_the_others(tmp_path: Path) -> None:
    path = write_html(tmp_path, *hand_made(), Gallery((picture(), picture("thoracic_circumference")), 0, 0))
    with chromium(tmp_path / "profile", tmp_path) as driver:
        driver.get(path.as_uri())
        shown = (
            "return [...document.querySelectorAll('[data-structure]')].filter(part => part.offsetParent || "
            "part.getClientRects().length).map(part => part.dataset.structure)"
        )
        assert {"heart", "thoracic_circumference"} < set(driver.execute_script(shown))
        driver.find_element("css selector", "#structure option[value=heart]").click()
        assert set(driver.execute_script(shown)) == {"heart"}
        asked = {address for address in requested(driver) if not address.startswith(("data:", "chrome:"))}
        assert asked == {path.as_uri()}
