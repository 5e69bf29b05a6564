import itertools
import math
from functools import cache

import numpy as np
import pytest

from fetalseg.phantom.examination import Examination, draw_examination
from fetalseg.phantom.lie import Lie, draw_lie
from fetalseg.phantom.motion import STILL
from fetalseg.phantom.scanner import draw_sector
from fetalseg.phantom.scene import Scene
from fetalseg.phantom.shapes import Pose
from fetalseg.phantom.views import abdomen, extremity, head, neck, spine

LIES = [draw_lie(np.random.default_rng([seed, 3])) for seed in range(2000)]
MODULES = {"head": head, "neck": neck, "abdomen": abdomen, "spine": spine, "extremity": extremity}


@cache
def examination(seed: int) -> Examination:
    return draw_examination(np.random.default_rng(seed))


@cache
def painted(view: str, patient: int, frame: int) -> Scene:
    rng = np.random.default_rng([patient, frame, 41])
    module, fetus = MODULES[view], examination(patient)
    sector = draw_sector(rng, fetus, 144, 212, module.field_mm(fetus, rng))
    scene = Scene(sector, frame)
    module.paint(scene, fetus, rng, STILL)
    return scene


def middle(scene: Scene, name: str) -> tuple[float, float] | None:
    """(x, y) in px of a labelled structure, of a pair the left one, that is in the frame."""
    for shape in scene.shapes:
        if (shape.name, shape.side) == (name, 0) and shape.mask.sum() > 0.5 * shape.whole_px:
            y, x = np.argwhere(shape.mask).mean(axis=0).tolist()
            return x, y
    return None


def test_over_examinations_faces_look_up_and_fifteen_in_a_hundred_down_or_upright() -> None:
    assert np.mean([lie.facing == "down" for lie in LIES]) == pytest.approx(0.10, abs=0.02)
    assert np.mean([lie.facing == "upright" for lie in LIES]) == pytest.approx(0.05, abs=0.015)
    assert all((lie.on_end != 0) == (lie.facing == "upright") for lie in LIES)
    assert np.mean([lie.head_right for lie in LIES]) == pytest.approx(0.5, abs=0.035)
    assert np.mean([lie.near for lie in LIES]) == pytest.approx(0.5, abs=0.035)


def test_profiles_are_tilted_by_up_to_25_degrees_and_axial_cuts_come_at_any_angle() -> None:
    tilts = np.array([lie.tilt for lie in LIES])
    assert np.abs(tilts).max() < math.radians(25)
    assert np.mean(np.abs(tilts) > math.radians(5)) == pytest.approx(0.13, abs=0.03)
    for turns in ([lie.head_turn for lie in LIES], [lie.trunk_turn for lie in LIES]):
        counts, _ = np.histogram(turns, np.linspace(-math.pi, math.pi, 9))
        assert counts.min() > 0.04 * len(LIES)


def test_the_back_is_up_in_four_of_ten_examinations_of_the_spine_and_whenever_the_face_is_down() -> None:
    assert np.mean([lie.back_up for lie in LIES]) == pytest.approx(0.4, abs=0.035)
    assert all(lie.back_up for lie in LIES if lie.facing == "down")


def test_from_frame_to_frame_a_hand_changes_the_angle_by_a_few_degrees() -> None:
    lie = Lie(head_turn=1.0, trunk_turn=-2.0, back_tilt=0.3)
    rng = np.random.default_rng(2)
    for held, wanted in (
        ([lie.head(rng) for _ in range(200)], 1.0),
        ([lie.trunk(rng) for _ in range(200)], -2.0),
        ([lie.back(rng, from_behind=True) for _ in range(200)], 0.3),
        ([lie.profile(rng) for _ in range(200)], 0.0),
    ):
        turns = np.array([turn for turn, _ in held])
        assert turns.mean() == pytest.approx(wanted, abs=0.02)
        assert 0.01 < turns.std() < math.radians(5)
        assert len({mirror for _, mirror in held}) == 1


@pytest.mark.parametrize("head_right", [False, True])
@pytest.mark.parametrize("facing", ["up", "down"])
def test_head_and_back_lie_where_the_lie_says(head_right: bool, facing: str) -> None:
    lie = Lie(facing="down" if facing == "down" else "up", head_right=head_right, back_up=facing == "down")
    rng = np.random.default_rng(3)
    for turn, mirror in (lie.profile(rng), lie.back(rng, from_behind=False)):
        # views along the body are drawn with the crown at negative x and the back at positive y
        crown, back = Pose(turn=turn, mirror=mirror).apply(np.array([[-10.0, 0.0], [0.0, 10.0]]))
        assert (crown[0] > 0) == head_right
        assert (back[1] < 0) == (facing == "down")


def test_an_upright_body_stands_on_end() -> None:
    for lie in LIES:
        if lie.facing == "upright":
            turn, mirror = lie.profile(np.random.default_rng(1))
            x, y = Pose(turn=turn, mirror=mirror).apply(np.array([[10.0, 0.0]]))[0]
            assert abs(y) > abs(x) or abs(lie.tilt) > 0.05


def test_in_all_profiles_of_an_examination_the_translucency_lies_on_the_same_side_of_the_palate() -> None:
    for patient in range(6):
        ways = []
        for frame in range(4):
            scene = painted("neck", patient, frame)
            palate, band = middle(scene, "palate"), middle(scene, "nuchal_translucency")
            if palate is not None and band is not None:
                ways.append(math.atan2(band[1] - palate[1], band[0] - palate[0]))
        assert len(ways) >= 2
        assert np.ptp(np.unwrap(ways)) < 0.9  # the band's own place along the back varies by a few millimetres


def test_axial_cuts_of_an_examination_lie_at_the_same_angle() -> None:
    for view, first, second in (("head", "choroid_plexus", "cranium"), ("abdomen", "spine", "abdominal_circumference")):
        checked = 0
        for patient in range(10):
            ways = []
            for frame in range(4):
                scene = painted(view, patient, frame)
                organ, body = middle(scene, first), middle(scene, second)
                if organ is not None and body is not None:
                    ways.append(math.atan2(organ[1] - body[1], organ[0] - body[0]))
            if len(ways) >= 2:
                assert np.ptp(np.unwrap(ways)) < 1.0
                checked += 1
        assert checked >= 6


def test_the_structure_of_interest_stays_near_the_same_place_of_the_frame_in_an_examination() -> None:
    within, means = [], []
    for patient in range(6):
        places = []
        for frame in range(4):
            palate = middle(painted("neck", patient, frame), "palate")
            if palate is not None:
                places.append(palate[0] / 212)
        if len(places) > 1:
            within.append(np.std(places))
            means.append(np.mean(places))
    assert np.mean(within) < 0.5 * np.std(means)


def test_a_limb_beside_the_belly_is_of_the_side_on_which_it_lies() -> None:
    sides = set()
    for patient, frame in itertools.product(range(10), range(4)):
        scene = painted("abdomen", patient, frame)
        limbs = [shape for shape in scene.shapes if shape.name in ("thigh", "calf", "foot", "upper_arm", "forearm")]
        spine_at, stomach = middle(scene, "spine"), middle(scene, "stomach")
        limb = next((shape for shape in limbs if shape.mask.any()), None)
        if spine_at is None or stomach is None or limb is None:
            continue
        y, x = np.argwhere(limb.mask).mean(axis=0).tolist()
        body_x, body_y = middle(scene, "abdominal_circumference") or (0.0, 0.0)
        # the stomach lies left of the line from the spine to the front
        axis = body_x - spine_at[0], body_y - spine_at[1]

        def beside(px: float, py: float, axis: tuple[float, float], at: tuple[float, float]) -> float:
            return axis[0] * (py - at[1]) - axis[1] * (px - at[0])

        on_stomach_side = beside(x, y, axis, spine_at) * beside(*stomach, axis, spine_at) > 0
        far = abs(beside(x, y, axis, spine_at)) > 0.5 * math.hypot(*axis) ** 2
        if far:
            assert limb.side == (0 if on_stomach_side else 1)
            sides.add(limb.side)
    assert sides == {0, 1}


def test_a_single_enlarged_limb_is_the_near_one_in_the_whole_examination() -> None:
    seen = set()
    for patient in range(6):
        for frame in range(4):
            shapes = painted("extremity", patient, frame).shapes
            assert examination(patient).lie.near in {shape.side for shape in shapes}
            if len({shape.side for shape in shapes}) == 1:
                seen.add(shapes[0].side)
    assert seen == {0, 1}
