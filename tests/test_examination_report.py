"""The report of an examination: what it says, and that it is closed to everything else."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from fetalseg.anatomy import STRUCTURES, VIEWS, structure
from fetalseg.examination import CheckList, FrameId
from fetalseg.examination_report import (
    CONTENT_SECURITY_POLICY,
    Picture,
    ReportFacts,
    UsedModel,
    render_report,
    shown_frames,
)

FACTS = ReportFacts(
    session="0123456789abcdef0123456789abcdef",
    started=datetime(2026, 3, 4, 15, 16, 17, tzinfo=UTC),
    start_us=1_000_000,
    duration_s=754.32,
    finished=True,
    results=18_000,
    skipped=58,
    models=(UsedModel("fetalseg-s", "1.2.0", "ab" * 32), UsedModel("fetalseg-s", "1.3.0", "cd" * 32)),
    engine="openvino bf16 (CPU, 2 threads)",
)
FIRST, SECOND = FrameId(25, 2_000_000), FrameId(1903, 77_200_000)
JPEG = b"\xff\xd8 a picture \xff\xd9"


class Page(HTMLParser):
    """What a page consists of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.style = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.style += data
        elif data.strip():
            self.words.append(data.strip())

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def check_list() -> CheckList:
    """A head with its midline in one frame, a hand and a part of the neck in another."""
    result = CheckList()
    result.update(FIRST, findings(("cranium", 0.91), ("midline_falx", 0.82)), ("head", 0.91))
    result.update(SECOND, findings(("palate", 0.85), ("hand", 0.8)), ("neck", 0.85))
    return result


def findings(*pairs: tuple[str, float]) -> list[tuple[int, float, float]]:
    return [(structure(name).label, score, 20.0) for name, score in pairs]


@pytest.fixture(scope="module")
def page() -> Page:
    pictures = {FIRST: Picture(JPEG, 640, 480), SECOND: Picture(JPEG + b"2", 640, 480)}
    return Page(render_report(FACTS, check_list(), pictures))


def test_it_says_what_was_examined_with_what(page: Page) -> None:
    assert page.open == []
    for words in (
        "1 of 6 views complete, 4 of 17 structures seen",
        "2026-03-04 15:16:17 UTC",
        "12:34.3",
        FACTS.session,
    ):
        assert words in page.text
    assert "Engine openvino bf16 (CPU, 2 threads)" in page.text
    assert f"Model fetalseg-s 1.2.0, SHA-256 {'ab' * 32} Model fetalseg-s 1.3.0, SHA-256 {'cd' * 32}" in page.text
    assert "18000 worked on, 58 skipped" in page.text
    assert "For research use only." in page.text


def test_every_view_and_structure_is_listed(page: Page) -> None:
    assert [section["id"] for section in page.all("section")] == [view.name for view in VIEWS]
    assert [known.title for known in STRUCTURES if known.title not in page.words] == []


def test_a_part_of_a_view_is_named_as_such(page: Page) -> None:
    assert "Not seen in this view: nasal bone, nuchal translucency." in page.text
    assert page.words.count("◐ seen in part") == 3  # the card, the heading and the row of the neck


def test_a_frame_that_is_best_for_several_things_is_shown_once(page: Page) -> None:
    assert shown_frames(check_list()) == (FIRST, SECOND)
    images = page.all("img")
    assert [image["src"] for image in images] == [
        "data:image/jpeg;base64," + base64.b64encode(data).decode() for data in (JPEG, JPEG + b"2")
    ]
    assert (
        "Figure 1. Best frame of the head view (0.91), cranium (0.91), midline with falx (0.82). At 0:01.0, frame 25."
        in (page.text)
    )
    assert (
        "Figure 2. Best frame of the neck view (0.85), palate (0.85), hand (0.80). At 1:16.2, frame 1903." in page.text
    )
    # Cranium, midline and head point to figure 1; palate, neck and hand to figure 2.
    links = [link["href"] for link in page.all("a") if (link["href"] or "").startswith("#figure")]
    assert links == ["#figure-1"] * 3 + ["#figure-2"] * 3


def test_a_frame_without_a_picture_is_still_listed() -> None:
    page = Page(render_report(FACTS, check_list(), {FIRST: Picture(JPEG, 640, 480)}))
    assert len(page.all("img")) == 1
    assert "This frame could not be drawn. Figure 2. Best frame of the neck view" in page.text


def test_a_finding_that_may_be_a_mistake_has_no_figure() -> None:
    examined = CheckList()
    examined.update(FIRST, findings(("heart", 0.5)), None)  # one frame, and no strong score
    assert shown_frames(examined) == ()
    page = Page(render_report(FACTS, examined, {FIRST: Picture(JPEG, 640, 480)}))
    assert page.all("img") == page.all("figure") == []
    assert "0 of 17 structures seen" in page.text


def test_an_examination_that_saw_nothing_has_a_report() -> None:
    page = Page(render_report(FACTS, CheckList(), {}))
    assert "0 of 6 views complete, 0 of 17 structures seen" in page.text
    assert page.all("figure") == []


def test_nothing_comes_from_elsewhere_and_nothing_runs(page: Page) -> None:
    assert {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "embed", "form", "base"} == set()
    for _, attributes in page.tags:
        assert "style" not in attributes
        assert [name for name in attributes if name.startswith("on")] == []
        for name in ("src", "href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/jpeg;base64,"))
    assert not re.search(r"url\(|@import", page.style)


def test_the_policy_allows_this_style_alone_and_travels_in_the_page(page: Page) -> None:
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    policy = dict(directive.split(" ", 1) for directive in CONTENT_SECURITY_POLICY.split("; "))
    assert policy == {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": f"'sha256-{digest}'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    (inside,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert f"{inside}; frame-ancestors 'none'" == CONTENT_SECURITY_POLICY


def test_names_are_text_and_never_markup() -> None:
    hostile = ReportFacts(
        **{**FACTS.__dict__, "session": "<script>alert(1)</script>", "engine": '"><img src=x onerror=y>'}
    )
    page = Page(render_report(hostile, check_list(), {}))
    assert page.all("script") == page.all("img") == []
    assert "<script>alert(1)</script>" in page.text


@pytest.mark.parametrize(
    ("seconds", "clock"), [(0.04, "0:00.0"), (59.96, "1:00.0"), (3599.9, "59:59.9"), (3600.0, "1:00:00.0")]
)
def test_lengths_are_minutes_and_hours(seconds: float, clock: str) -> None:
    page = Page(render_report(ReportFacts(**{**FACTS.__dict__, "duration_s": seconds}), CheckList(), {}))
    assert clock in page.words


def test_the_report_leaves_the_check_list_as_it_is() -> None:
    examined = check_list()
    before = examined.to_json()
    render_report(FACTS, examined, {})
    assert examined.to_json() == before
