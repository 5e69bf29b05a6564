"""The report at the end of an examination: one HTML page with the check list and the best frames, for screen and paper.

The page holds everything it shows: style in the page, pictures as data URIs, no script, nothing from elsewhere. It can
be saved, mailed and printed as it is. Its content security policy allows exactly that, and travels inside the page too,
so that a saved copy is as restricted as the answer of a server.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import NamedTuple

from fetalseg.anatomy import STRUCTURES, VIEWS, Structure, View, structure
from fetalseg.examination import BestFrame, CheckList, FrameId, Status, StructureEntry, ViewEntry

__all__ = [
    "CONTENT_SECURITY_POLICY",
    "STYLE_SOURCE",
    "Picture",
    "ReportFacts",
    "UsedModel",
    "render_report",
    "shown_frames",
]


class Picture(NamedTuple):
    """A best frame with what was found drawn over it.

    Attributes:
        data: a JPEG.
        width: px.
        height: px.
    """

    data: bytes
    width: int
    height: int


class UsedModel(NamedTuple):
    """A model that results came from.

    Attributes:
        name: "fetalseg-s".
        version: of its weights.
        sha256: of the model file, hexadecimal.
    """

    name: str
    version: str
    sha256: str


@dataclass(frozen=True)
class ReportFacts:
    """What a report says beside the check list.

    Attributes:
        session: id of the session.
        started: when, with its time zone.
        start_us: the same moment on the clock of the check list.
        duration_s: until the end, or until now while it goes on.
        finished: the session has ended.
        results: frames that were worked on.
        skipped: frames that were not.
        models: that results came from, in order; more than one where the model was replaced meanwhile.
        engine: what the last of them runs on, in words.
    """

    session: str
    started: datetime
    start_us: int
    duration_s: float
    finished: bool
    results: int
    skipped: int
    models: tuple[UsedModel, ...]
    engine: str


_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 28px 32px 48px; max-width: 1080px; color: #1c2430; background: #fff;
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { margin: 0; font-size: 26px; font-weight: 650; letter-spacing: -.01em; }
h2 { margin: 0; font-size: 19px; font-weight: 650; }
header { border-bottom: 2px solid #1c2430; padding-bottom: 14px; }
header p { margin: 4px 0 0; color: #556070; }
.notice { margin: 16px 0; padding: 9px 14px; border: 1px solid #d9a400; border-left-width: 5px; background: #fff9e3; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 3px 18px; margin: 16px 0; }
dt { color: #556070; }
dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.views { display: grid; grid-template-columns: repeat(6, 1fr); gap: 10px; margin: 20px 0 8px; padding: 0;
  list-style: none; }
.views a { display: block; height: 100%; padding: 9px 12px; border: 1px solid #d5dae1; border-top: 5px solid #9aa5b1;
  border-radius: 4px; color: inherit; text-decoration: none; }
.views b { display: block; }
.views .seen { border-top-color: #d98a00; }
.views .complete { border-top-color: #1c7c4a; }
section { margin-top: 30px; border-top: 1px solid #d5dae1; padding-top: 16px; }
.head { display: flex; align-items: baseline; gap: 12px; flex-wrap: wrap; }
.plane, .missing { color: #556070; }
.missing { margin: 4px 0 0; }
.status { white-space: nowrap; font-weight: 600; }
.status.complete, .status.seen { color: #16673d; }
.status.partly { color: #8f5a00; }
.status.not_yet { color: #6b7683; font-weight: 400; }
table { width: 100%; margin: 12px 0 4px; table-layout: fixed; border-collapse: collapse;
  font-variant-numeric: tabular-nums; }
th { padding: 4px 10px 4px 0; border-bottom: 1px solid #9aa5b1; color: #556070; font-size: 13px; font-weight: 500;
  text-align: left; }
td { padding: 5px 10px 5px 0; border-bottom: 1px solid #e7eaee; }
th:first-child { width: 26%; }
th:nth-child(2) { width: 18%; }
.number { text-align: right; }
tr.whole td { font-weight: 600; }
.figures { display: grid; grid-template-columns: repeat(2, 1fr); gap: 18px; margin-top: 14px; }
figure { margin: 0; break-inside: avoid; }
figure img, figure .none { display: block; width: 100%; height: auto; border-radius: 3px; background: #0c0e12; }
figure .none { padding: 60px 20px; color: #c6ccd4; text-align: center; }
figcaption { padding-top: 6px; font-size: 13.5px; color: #3a4452; }
a { color: #0b57a4; }
footer { margin-top: 36px; border-top: 1px solid #d5dae1; padding-top: 10px; color: #556070; font-size: 13px; }
@media screen and (max-width: 760px) {
  .views { grid-template-columns: repeat(2, 1fr); } .figures { grid-template-columns: 1fr; }
}
@media print {
  @page { margin: 14mm; }
  body { max-width: none; padding: 0; font-size: 10.5pt; }
  .views { grid-template-columns: repeat(3, 1fr); }
  .notice, .views a, .status, figure img { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  section { break-inside: auto; } h2, .head, tr { break-inside: avoid; } .head { break-after: avoid; }
  a { color: inherit; text-decoration: none; }
}
"""

# The page's style in the words of a content security policy; no other style can pass for it.
STYLE_SOURCE = f"'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'"
_PAGE_POLICY = f"default-src 'none'; img-src data:; style-src {STYLE_SOURCE}; base-uri 'none'; form-action 'none'"
# For the answer of a server. A page itself can't say who may put it into a frame.
CONTENT_SECURITY_POLICY = f"{_PAGE_POLICY}; frame-ancestors 'none'"

_WORDS: dict[Status, str] = {"not_yet": "○ not yet", "seen": "✓ seen", "complete": "✓ complete"}
_NONE = "–"


def shown_frames(check_list: CheckList) -> tuple[FrameId, ...]:
    """The frames that a report shows, in its order: the best ones of all that counts as seen, each once."""
    frames: list[FrameId] = []
    for view in VIEWS:
        members = [check_list.structures[known.name] for known in STRUCTURES if known.group == view.name]
        bests = [_best(entry) for entry in (check_list.views[view.name], *members)]
        frames += [best.frame for best in bests if best is not None]
    return tuple(dict.fromkeys(frames))


def render_report(facts: ReportFacts, check_list: CheckList, pictures: Mapping[FrameId, Picture]) -> str:
    """The page.

    Args:
        facts: about the session.
        check_list: left as it is.
        pictures: of its `shown_frames`; one that is absent is named, with a blank in its place.
    """
    figures = {frame: number for number, frame in enumerate(shown_frames(check_list), 1)}
    shown: set[FrameId] = set()  # a frame that is the best of several things is shown with the first of them
    sections = [_section(view, check_list, facts, figures, pictures, shown) for view in VIEWS]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{escape(_PAGE_POLICY)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="referrer" content="no-referrer">',
            f"<title>Examination {escape(facts.session[:8])}</title>",
            f"<style>{_STYLE}</style></head><body>",
            _opening(facts, check_list),
            *sections,
            _closing(),
            "</body></html>",
        ]
    )


def _opening(facts: ReportFacts, check_list: CheckList) -> str:
    seen = sum(entry.status == "seen" for entry in check_list.structures.values())
    complete = sum(entry.status == "complete" for entry in check_list.views.values())
    state = "" if facts.finished else " (still going on)"
    rows = {
        "Session": facts.session,
        "Started": facts.started.strftime("%Y-%m-%d %H:%M:%S %Z"),
        "Length": _clock(facts.duration_s) + state,
        "Frames": f"{facts.results} worked on, {facts.skipped} skipped",
        "Engine": facts.engine,
    }
    lines = [
        *rows.items(),
        *(("Model", f"{name} {version}, SHA-256 {sha256}") for name, version, sha256 in facts.models),
    ]
    table = "".join(f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in lines)
    cards = "".join(
        f'<li><a class="{entry.status}" href="#{name}"><b>{name.capitalize()}</b>{_status(entry)}</a></li>'
        for name, entry in check_list.views.items()
    )
    return (
        "<header><h1>First-trimester examination</h1>"
        f"<p>{complete} of {len(VIEWS)} views complete, {seen} of {len(STRUCTURES)} structures seen</p></header>"
        '<p class="notice"><b>For research use only.</b> Not a medical device. Found by software, not checked by a '
        "person; a structure that is not listed as seen may still be there.</p>"
        f'<dl>{table}</dl><ul class="views">{cards}</ul>'
    )


def _closing() -> str:
    return (
        "<footer>A structure or view counts as seen after five frames without a gap of more than half a second, or "
        "with a score of 0.8. A view is complete when all its essential structures were seen in it. The best frame is "
        "the one with the highest score squared times sharpness; times count from the start of the session.</footer>"
    )


def _section(
    view: View,
    check_list: CheckList,
    facts: ReportFacts,
    figures: Mapping[FrameId, int],
    pictures: Mapping[FrameId, Picture],
    shown: set[FrameId],
) -> str:
    """A view, the structures tested in it, and their best frames."""
    entry = check_list.views[view.name]
    members = [known for known in STRUCTURES if known.group == view.name]
    rows = [_row("Whole view", entry, facts, figures, kind="whole")]
    rows += [_row(known.title, check_list.structures[known.name], facts, figures) for known in members]
    best = [_best(entry), *(_best(check_list.structures[known.name]) for known in members)]
    frames = list(dict.fromkeys(one.frame for one in best if one is not None and one.frame not in shown))
    shown.update(frames)
    drawn = "".join(_figure(frame, figures[frame], check_list, facts, pictures.get(frame)) for frame in frames)
    return (
        f'<section id="{view.name}"><div class="head"><h2>{view.name.capitalize()}</h2>'
        f'<span class="plane">{escape(view.plane)}</span>{_status(entry)}</div>{_missing(entry)}'
        '<table><thead><tr><th></th><th>Status</th><th class="number">Frames</th><th class="number">Times</th>'
        '<th class="number">First</th><th class="number">Last</th><th class="number">Best score</th>'
        f'<th class="number">Figure</th></tr></thead><tbody>{"".join(rows)}</tbody></table>'
        f'<div class="figures">{drawn}</div></section>'
    )


def _row(
    title: str, entry: StructureEntry, facts: ReportFacts, figures: Mapping[FrameId, int], *, kind: str = ""
) -> str:
    when, best = entry.appearances, _best(entry)
    number = None if best is None else figures[best.frame]
    cells = [
        str(when.frames),
        str(when.times),
        _moment(when.first_us, facts),
        _moment(when.last_us, facts),
        _NONE if best is None else f"{best.score:.2f}",
        _NONE if number is None else f'<a href="#figure-{number}">{number}</a>',
    ]
    numbers = "".join(f'<td class="number">{cell}</td>' for cell in cells)
    return f'<tr class="{kind}"><td>{escape(title)}</td><td>{_status(entry)}</td>{numbers}</tr>'


def _figure(frame: FrameId, number: int, check_list: CheckList, facts: ReportFacts, picture: Picture | None) -> str:
    names = _best_of(frame, check_list)
    listed = ", ".join(names)
    if picture is None:
        body = '<div class="none">This frame could not be drawn.</div>'
    else:
        data = base64.b64encode(picture.data).decode()
        body = (
            f'<img src="data:image/jpeg;base64,{data}" width="{picture.width}" height="{picture.height}" '
            f'alt="Best frame of {escape(listed)}">'
        )
    return (
        f'<figure id="figure-{number}">{body}<figcaption><b>Figure {number}.</b> Best frame of {escape(listed)}. '
        f"At {_moment(frame.time_us, facts)}, frame {frame.sequence}.</figcaption></figure>"
    )


def _best_of(frame: FrameId, check_list: CheckList) -> list[str]:
    """What a frame shows best, in words, each with its score."""
    views = [
        f"the {name} view ({best.score:.2f})"
        for name, entry in check_list.views.items()
        if (best := _best(entry)) is not None and best.frame == frame
    ]
    return views + [
        f"{_lower(structure(name))} ({best.score:.2f})"
        for name, entry in check_list.structures.items()
        if (best := _best(entry)) is not None and best.frame == frame
    ]


def _best(entry: StructureEntry) -> BestFrame | None:
    """The best frame, where there is more to it than a finding that may be a mistake."""
    return None if entry.status == "not_yet" else entry.best


def _status(entry: StructureEntry) -> str:
    partly = isinstance(entry, ViewEntry) and entry.status == "seen"
    words = "◐ seen in part" if partly else _WORDS[entry.status]
    return f'<span class="status {"partly" if partly else entry.status}">{words}</span>'


def _missing(entry: ViewEntry) -> str:
    if entry.status != "seen":
        return ""
    names = ", ".join(_lower(structure(name)) for name in entry.missing)
    return f'<p class="missing">Not seen in this view: {escape(names)}.</p>'


def _lower(known: Structure) -> str:
    return known.title[:1].lower() + known.title[1:]


def _moment(time_us: int | None, facts: ReportFacts) -> str:
    return _NONE if time_us is None else _clock((time_us - facts.start_us) / 1e6)


def _clock(seconds: float) -> str:
    """Minutes, seconds and tenths; hours where there are any."""
    tenths = round(max(0.0, seconds) * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    clock = f"{minutes}:{rest // 10:02}.{rest % 10}"
    return clock if hours == 0 else f"{hours}:{minutes:02}:{rest // 10:02}.{rest % 10}"
