"""The best frames of an examination, in memory: which are kept, and what the client is told."""

from __future__ import annotations

import json
from typing import Any

from fetalseg.anatomy import structure
from fetalseg_server.live.examination import Examination, KeptFrame
from fetalseg_server.options import SessionOptions
from fetalseg_server.protocol import Codec, FrameFlag, FrameHeader
from fetalseg_server.worker.jobs import Answer, Finding

PERIOD_NS = 40_000_000


class Session:
    """Frames whose answers are made by hand."""

    def __init__(self, max_bytes: int = 1_000_000) -> None:
        self.examination = Examination(max_bytes)
        self.sequence = 0

    def frame(self, *findings: tuple[str, float, float], size: int = 1000, flags: int = 0) -> None:
        self.sequence += 1
        header = FrameHeader(Codec.JPEG, self.sequence, flags=flags)
        found = tuple(Finding(structure(name).label, score, sharp) for name, score, sharp in findings)
        kept = KeptFrame(header, memoryview(bytes(size)), SessionOptions())
        self.examination.note(kept, self.sequence * PERIOD_NS, Answer(self.sequence, "result", findings=found))

    def news(self) -> dict[str, Any] | None:
        text = self.examination.news()
        return None if text is None else json.loads(text)

    @property
    def kept(self) -> list[int]:
        return sorted(frame.sequence for frame in self.examination.frames)


def test_the_first_news_are_the_whole_list() -> None:
    news = Session().news()
    assert news is not None
    assert (len(news["structures"]), len(news["views"])) == (17, 6)
    assert {entry["status"] for part in news.values() for entry in part.values()} == {"not_yet"}


def test_then_only_changes_are_told_once() -> None:
    session = Session()
    session.news()
    session.frame(("hand", 0.5, 10.0))
    news = session.news()
    assert news is not None
    assert list(news["structures"]) == ["hand"]
    assert news["structures"]["hand"]["best"]["sequence"] == 1
    assert news["views"] == {}
    session.frame(("hand", 0.5, 10.0))
    assert session.news() is None


def test_news_that_nobody_fetched_add_up_and_are_those_of_now() -> None:
    session = Session()
    session.news()
    session.frame(("hand", 0.5, 10.0))
    session.frame(("foot", 0.5, 10.0))
    session.frame(("hand", 0.9, 10.0))
    news = session.news()
    assert news is not None
    assert list(news["structures"]) == ["hand", "foot"]
    assert (news["structures"]["hand"]["status"], news["structures"]["hand"]["frames"]) == ("seen", 2)


def test_a_new_reader_is_told_everything() -> None:
    session = Session()
    session.frame(("hand", 0.9, 10.0))
    session.news()
    session.examination.tell_everything()
    news = session.news()
    assert news is not None
    assert len(news["structures"]) == 17
    assert news["structures"]["hand"]["status"] == "seen"


def test_only_best_frames_stay_in_memory() -> None:
    session = Session()
    for step in range(100):
        session.frame(("hand", 0.5, 10.0 + step), ("foot", 0.5, 10.0))
        assert len(session.kept) <= 2
    assert session.kept[0] == 1  # of the foot
    assert session.examination.kept_bytes == 2000
    session.frame(("hand", 0.9, 500.0), ("foot", 0.9, 500.0))
    assert session.kept == [101]
    assert session.examination.kept_bytes == 1000


def test_a_frame_without_findings_is_not_kept() -> None:
    session = Session()
    session.frame()
    session.frame(("hand", 0.1, 10.0))
    assert session.kept == []


def test_the_bytes_kept_are_bounded() -> None:
    session = Session(max_bytes=2500)
    for name in ("hand", "foot", "calf", "thigh"):
        session.frame((name, 0.9, 10.0))
    assert session.kept == [1, 2]
    assert session.examination.kept_bytes == 2000
    # What has no frame is still seen, and a better frame takes the place of the one before.
    assert session.examination.check_list.structures["thigh"].status == "seen"
    session.frame(("hand", 0.9, 20.0))
    assert session.kept == [2, 5]


def test_a_frame_larger_than_the_bound_is_never_kept() -> None:
    session = Session(max_bytes=999)
    session.frame(("hand", 0.9, 10.0))
    assert session.kept == []
    assert session.examination.check_list.structures["hand"].best is None


def test_of_a_standing_picture_one_frame_counts() -> None:
    session = Session()
    for step in range(10):
        session.frame(("hand", 0.5, 10.0 + 10 * step), flags=FrameFlag.FROZEN)
    assert session.kept == [1]
    assert session.examination.check_list.structures["hand"].appearances.frames == 1


def test_a_frame_is_drawn_with_its_masks_and_without_a_deadline() -> None:
    options = SessionOptions(masks="none", deadline_ms=80, min_score=0.4, nms="greedy")
    to_draw = KeptFrame(FrameHeader(Codec.JPEG, 1), memoryview(b""), options).to_draw
    assert to_draw == SessionOptions(masks="polygon", deadline_ms=None, min_score=0.4, nms="greedy")
