"""The check list of an examination, on findings made by hand."""

from __future__ import annotations

import json

import pytest

from fetalseg.anatomy import VIEWS, View, structure, structure_names
from fetalseg.examination import Changes, CheckList, FrameId, StructureEntry

PERIOD_US = 40_000  # 25 FPS
Finding = tuple[str, float, float]  # structure, score, sharpness


class Examination:
    """A check list that is fed frame after frame."""

    def __init__(self) -> None:
        self.list = CheckList()
        self.sequence = 0
        self.time_us = 0

    def see(
        self,
        *findings: Finding,
        view: tuple[str, float] | None = None,
        frames: int = 1,
        after_us: int = PERIOD_US,
        frozen: bool = False,
        room_for: int = 1000,
    ) -> Changes:
        """Shows the same picture for some frames; the changes are those of the last one."""
        changes = Changes()
        for _ in range(frames):
            self.sequence += 1
            self.time_us += after_us
            changes = self.list.update(
                FrameId(self.sequence, self.time_us),
                [(structure(name).label, score, sharpness) for name, score, sharpness in findings],
                view,
                frozen=frozen,
                may_keep=lambda frames: len(frames) <= room_for,
            )
        return changes

    def best(self, name: str) -> int | None:
        """Sequence of the best frame of a structure."""
        return sequence_of(self.list.structures[name])

    def best_view(self, name: str) -> int | None:
        """Sequence of the best frame of a view."""
        return sequence_of(self.list.views[name])


def sequence_of(entry: StructureEntry) -> int | None:
    return None if entry.best is None else entry.best.frame.sequence


WEAK: Finding = ("spine", 0.5, 10.0)


def test_at_first_nothing_has_been_seen() -> None:
    values = CheckList().to_json()
    assert tuple(values["structures"]) == structure_names()
    assert list(values["views"]) == ["head", "neck", "thorax", "abdomen", "extremity", "spine"]
    assert values["structures"]["heart"] == {
        "status": "not_yet",
        "frames": 0,
        "times": 0,
        "first_us": None,
        "last_us": None,
        "best": None,
    }
    assert values["views"]["neck"] == {
        **values["structures"]["heart"],
        "missing": ["nasal_bone", "nuchal_translucency", "palate"],
    }


def test_a_structure_is_seen_with_its_fifth_frame() -> None:
    examination = Examination()
    assert examination.see(WEAK, frames=4) == Changes()
    assert examination.list.structures["spine"].status == "not_yet"
    assert examination.see(WEAK) == Changes(structures=("spine",))
    assert examination.list.structures["spine"].status == "seen"


def test_a_strong_score_is_enough_for_one_frame() -> None:
    examination = Examination()
    examination.see(("spine", 0.79, 10.0))
    assert examination.list.structures["spine"].status == "not_yet"
    examination.see(("spine", 0.8, 10.0))
    assert examination.list.structures["spine"].status == "seen"


def test_findings_now_and_then_do_not_add_up() -> None:
    examination = Examination()
    examination.see(WEAK, frames=100, after_us=500_001)
    spine = examination.list.structures["spine"]
    assert (spine.status, spine.appearances.frames, spine.appearances.times) == ("not_yet", 100, 100)
    examination.see(WEAK, frames=4, after_us=500_000)  # no gap longer than half a second: one appearance of five
    assert (spine.status, spine.appearances.frames, spine.appearances.times) == ("seen", 104, 100)


def test_what_was_seen_stays_seen() -> None:
    examination = Examination()
    examination.see(("spine", 0.9, 10.0))
    examination.see(frames=100)
    assert examination.list.structures["spine"].status == "seen"


def test_findings_below_0_3_do_not_count() -> None:
    examination = Examination()
    examination.see(("spine", 0.2999, 50.0), frames=50)
    assert examination.list.structures["spine"].appearances.frames == 0
    assert examination.list.frames == frozenset()


def test_times_are_those_of_the_first_and_last_frame() -> None:
    examination = Examination()
    examination.see(frames=2)
    examination.see(WEAK, frames=3)
    examination.see(frames=50)
    examination.see(WEAK)
    values = examination.list.to_json()["structures"]["spine"]
    assert (values["first_us"], values["last_us"]) == (3 * PERIOD_US, 56 * PERIOD_US)
    assert (values["frames"], values["times"]) == (4, 2)


def test_two_instances_in_one_frame_count_once_and_the_better_one_is_kept() -> None:
    examination = Examination()
    # 0.9^2 * 10 = 8.1 against 0.6^2 * 20 = 7.2: the square keeps a doubtful finding from winning by sharpness.
    examination.see(("hand", 0.6, 20.0), ("hand", 0.9, 10.0))
    hand = examination.list.structures["hand"]
    assert hand.appearances.frames == 1
    assert hand.best is not None
    assert (hand.best.score, hand.best.sharpness) == (0.9, 10.0)
    assert hand.best.quality == pytest.approx(8.1)


def test_the_best_frame_changes_only_for_one_that_is_10_per_cent_better() -> None:
    examination = Examination()
    examination.see(("heart", 0.5, 10.0))
    assert examination.see(("heart", 0.5, 11.0)) == Changes()
    assert examination.best("heart") == 1
    assert examination.see(("heart", 0.5, 11.01)) == Changes(structures=("heart",))
    assert examination.best("heart") == 3
    examination.see(("heart", 0.4, 12.0))
    assert examination.best("heart") == 3


def test_a_picture_that_creeps_up_replaces_its_best_frame_a_few_times_only() -> None:
    examination = Examination()
    replaced = 0
    for step in range(10_000):  # qualities from 0.25 to 25
        replaced += bool(examination.see(("heart", 0.5, 1 + 99 * step / 9999)).structures)
    assert 30 <= replaced <= 50  # ln 100 / ln 1.1 = 48.3 and the first one; steps overshoot a little


def test_the_head_with_what_belongs_to_it_is_better_than_a_bare_cranium() -> None:
    examination = Examination()
    head = ("head", 0.9)
    examination.see(("cranium", 0.9, 10.0), view=head)
    examination.see(("cranium", 0.9, 10.0), ("midline_falx", 0.5, 10.0), view=head)  # 8.1 and 8.1 + 2.5 = 10.6
    assert (examination.best("cranium"), examination.best_view("head")) == (1, 2)
    # A limb beside it adds nothing: it isn't tested in this view.
    examination.see(("cranium", 0.9, 10.0), ("hand", 0.9, 90.0), view=head)
    assert examination.best_view("head") == 2


def test_a_view_is_complete_with_all_its_essential_structures() -> None:
    examination = Examination()
    neck = ("neck", 0.9)
    first = examination.see(("palate", 0.9, 10.0), view=neck)
    assert first == Changes(structures=("palate",), views=("neck",))
    entry = examination.list.views["neck"]
    assert (entry.status, entry.missing) == ("seen", ("nasal_bone", "nuchal_translucency"))
    examination.see(("nasal_bone", 0.5, 10.0), view=neck, frames=5)
    assert (entry.status, entry.missing) == ("seen", ("nuchal_translucency",))
    assert "neck" in examination.see(("nuchal_translucency", 0.9, 10.0), view=neck).views
    assert (entry.status, entry.missing) == ("complete", ())


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_one_clear_frame_of_everything_essential_completes_its_view_alone(view: View) -> None:
    examination = Examination()
    examination.see(*[(name, 0.9, 10.0) for name in view.essential], view=(view.name, 0.9))
    statuses = {name: entry.status for name, entry in examination.list.views.items()}
    assert statuses == {known.name: "complete" if known is view else "not_yet" for known in VIEWS}


def test_a_hand_beside_the_head_is_seen_but_makes_no_extremity_view() -> None:
    examination = Examination()
    examination.see(("cranium", 0.9, 10.0), ("hand", 0.9, 10.0), view=("head", 0.9))
    assert examination.list.structures["hand"].status == "seen"
    assert examination.list.views["extremity"].status == "not_yet"
    examination.see(("foot", 0.9, 10.0), view=("extremity", 0.9))
    assert examination.list.views["extremity"].missing == ("upper_arm", "forearm", "hand", "thigh", "calf")


def test_a_view_needs_five_frames_or_a_strong_score_like_a_structure() -> None:
    examination = Examination()
    examination.see(("cranium", 0.5, 10.0), view=("head", 0.5), frames=4)
    assert examination.list.views["head"].status == "not_yet"
    examination.see(("cranium", 0.5, 10.0), view=("head", 0.5))
    assert examination.list.views["head"].status == "complete"


def test_a_standing_picture_counts_once() -> None:
    examination = Examination()
    examination.see(WEAK, frames=100, frozen=True)
    spine = examination.list.structures["spine"]
    assert (spine.status, spine.appearances.frames) == ("not_yet", 1)
    assert examination.best("spine") == 1
    examination.see(WEAK)
    examination.see(WEAK, frames=3, frozen=True)
    assert spine.appearances.frames == 3


def test_only_the_best_frames_are_worth_keeping() -> None:
    examination = Examination()
    examination.see(("cranium", 0.9, 10.0), ("hand", 0.9, 10.0), view=("head", 0.9))
    assert examination.list.frames == {FrameId(1, PERIOD_US)}
    examination.see(("hand", 0.9, 20.0), view=("extremity", 0.9))
    assert {frame.sequence for frame in examination.list.frames} == {1, 2}
    examination.see(("cranium", 0.9, 20.0), view=("head", 0.9))
    assert {frame.sequence for frame in examination.list.frames} == {2, 3}


def test_without_room_the_best_frames_stay_and_counting_goes_on() -> None:
    examination = Examination()
    examination.see(("hand", 0.9, 10.0), room_for=1)
    changes = examination.see(("foot", 0.9, 10.0), room_for=1)
    assert changes == Changes(structures=("foot",))  # seen, but without a frame
    assert (examination.best("hand"), examination.best("foot")) == (1, None)
    # A frame that takes the place of another needs no more room.
    examination.see(("hand", 0.9, 20.0), ("foot", 0.9, 10.0), room_for=1)
    assert (examination.best("hand"), examination.best("foot")) == (3, 3)


def test_the_json_form_is_whole_and_in_parts_the_same() -> None:
    examination = Examination()
    examination.see(("cranium", 0.91234, 12.3456), view=("head", 0.91234))
    values = json.loads(json.dumps(examination.list.to_json()))
    assert values["structures"]["cranium"] == {
        "status": "seen",
        "frames": 1,
        "times": 1,
        "first_us": PERIOD_US,
        "last_us": PERIOD_US,
        "best": {"sequence": 1, "time_us": PERIOD_US, "score": 0.9123, "sharpness": 12.35},
    }
    assert values["views"]["head"] == {**values["structures"]["cranium"], "status": "complete", "missing": []}
    part = examination.list.part(Changes(structures=("cranium",)))
    assert part == {"structures": {"cranium": values["structures"]["cranium"]}, "views": {}}
