"""What the views show, counted on drawn planes that are not scanned: a scan costs more and changes nothing here."""

import math
from collections import Counter
from functools import cache

import numpy as np
import pytest

from fetalseg.anatomy import VIEWS
from fetalseg.phantom.examination import Examination, draw_examination
from fetalseg.phantom.motion import STILL, Motion
from fetalseg.phantom.scanner import draw_sector
from fetalseg.phantom.scene import Scene, Shape
from fetalseg.phantom.views import abdomen, extremity, head, neck, nothing, spine, thorax
from fetalseg.phantom.views.extremity import draw_plan
from fetalseg.phantom.views.limbs import ARM, LEG, joints

MODULES = {"head": head, "neck": neck, "thorax": thorax, "abdomen": abdomen, "extremity": extremity, "spine": spine}


@cache
def painted(view: str, index: int, motion: Motion = STILL) -> tuple[Scene, Examination]:
    rng = np.random.default_rng([index, 31])
    examination = draw_examination(rng)
    module = MODULES.get(view, nothing)
    sector = draw_sector(rng, examination, 144, 212, module.field_mm(examination, rng))
    scene = Scene(sector, index)
    module.paint(scene, examination, np.random.default_rng([index, 32]), motion)
    return scene, examination


def in_frame(scene: Scene) -> list[Shape]:
    return [shape for shape in scene.shapes if shape.mask.sum() >= 0.3 * shape.whole_px]


# Hong et al., Table 3: frames of the test set with the structure, of the frames of its view. Of 100 drawn planes the
# standard deviation of a share of 0.8 is 0.04; faint ones are taken out later, by their contrast in the scan.
@pytest.mark.parametrize(
    ("view", "structure", "share"),
    [
        ("head", "cranium", 1.00),
        ("head", "midline_falx", 0.97),
        ("head", "choroid_plexus", 0.80),
        ("neck", "nuchal_translucency", 0.98),
        ("neck", "palate", 0.97),
        ("neck", "nasal_bone", 0.83),
        ("abdomen", "abdominal_circumference", 1.00),
        ("abdomen", "stomach", 0.57),
    ],
)
def test_structures_are_shown_as_often_as_in_the_published_test_set(view: str, structure: str, share: float) -> None:
    shown = [structure in {shape.name for shape in in_frame(painted(view, index)[0])} for index in range(100)]
    assert np.mean(shown) == pytest.approx(share, abs=0.12)


@pytest.mark.parametrize(
    ("segment", "share"),
    [("thigh", 0.52), ("hand", 0.46), ("calf", 0.39), ("forearm", 0.35), ("foot", 0.33), ("upper_arm", 0.29)],
)
def test_limb_segments_are_shown_as_often_as_in_the_published_test_set(segment: str, share: float) -> None:
    plans = [draw_plan(np.random.default_rng(index)) for index in range(2000)]
    shown = [any(segment in limb.segments for limb in plan.limbs) for plan in plans]
    assert np.mean(shown) == pytest.approx(share, abs=0.035)


@pytest.mark.parametrize(("view", "structure"), [("thorax", "heart"), ("thorax", "spine"), ("spine", "spine")])
def test_what_makes_a_view_is_always_there(view: str, structure: str) -> None:
    for index in range(15):
        assert structure in {shape.name for shape in painted(view, index)[0].shapes}


def test_limbs_hang_together_and_bend_as_joints_do() -> None:
    sizes = draw_examination(np.random.default_rng(1)).sizes
    for index in range(200):
        for limb in draw_plan(np.random.default_rng(index)).limbs:
            chain = LEG if limb.segments[0] in LEG else ARM
            first = chain.index(limb.segments[0])
            assert limb.segments == chain[first : first + len(limb.segments)]
            places = joints(limb, sizes)
            for name, start, end in zip(limb.segments, places[:-1], places[1:], strict=True):
                assert math.hypot(end.x - start.x, end.y - start.y) == pytest.approx(0.97 * sizes[name])
            if limb.segments[:2] == LEG[:2]:
                assert limb.turns[1] * limb.front < 0  # the heel comes to the buttock
            if limb.segments[:2] == ARM[:2]:
                assert limb.turns[1] * limb.front > 0  # the hand comes to the face


def test_boxes_of_the_profile_are_as_large_as_on_real_frames_and_lie_where_those_do() -> None:
    # medians of 898 real frames, all face up; lengths in lengths of the palate's box, x without its sign
    expected = {
        "nasal_bone": {"x": 0.17, "y": -0.58, "width": 0.38, "height": 0.12},
        "nuchal_translucency": {"x": 0.43, "y": 2.05, "width": 2.75, "height": 0.34},
    }
    tolerance = {"x": 0.15, "y": 0.2, "width": 0.5, "height": 0.16}
    found: dict[str, dict[str, list[float]]] = {name: {key: [] for key in tolerance} for name in expected}
    for index in range(100):
        scene, _ = painted("neck", index)
        boxes = {shape.name: box(shape.mask) for shape in in_frame(scene) if shape.name in (*expected, "palate")}
        if len(boxes) < 3 or boxes["nuchal_translucency"][1] < boxes["palate"][1] + boxes["palate"][3]:
            continue  # face down, upright, or something is missing
        unit = boxes["palate"][2]
        for name in expected:
            x, y = (
                boxes[name][axis] + boxes[name][axis + 2] / 2 - boxes["palate"][axis] - boxes["palate"][axis + 2] / 2
                for axis in (0, 1)
            )
            width, height = boxes[name][2:]
            for key, value in (("x", abs(x)), ("y", y), ("width", width), ("height", height)):
                found[name][key].append(value / unit)
    for name, figures in expected.items():
        assert len(found[name]["x"]) > 50
        for key, value in figures.items():
            assert np.median(found[name][key]) == pytest.approx(value, abs=tolerance[key]), (name, key)


def box(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1)


def test_heads_take_as_much_of_the_frame_as_real_ones() -> None:
    # first-trimester HC18: width of the box relative to the frame's, 10 %, median and 90 %: 0.26, 0.38, 0.56
    shares = []
    for index in range(100):
        scene, _ = painted("head", index)
        cranium = next(shape for shape in scene.shapes if shape.name == "cranium")
        shares.append(box(cranium.mask)[2] / cranium.mask.shape[1])
    np.testing.assert_allclose(np.percentile(shares, (10, 50, 90)), (0.26, 0.38, 0.56), atol=0.07)


@pytest.mark.parametrize("view", [v.name for v in VIEWS])
def test_each_structure_of_a_pair_is_drawn_once(view: str) -> None:
    for index in range(15):
        tracks = Counter((shape.name, shape.side) for shape in painted(view, index)[0].shapes)
        assert set(tracks.values()) == {1}


def test_a_plane_without_a_fetus_has_nothing_to_label() -> None:
    for index in range(15):
        scene, _ = painted("none", index)
        assert not scene.shapes
        assert not scene.seen


@pytest.mark.parametrize(
    ("view", "structure", "others"),
    [
        ("abdomen", "stomach", {"abdominal_circumference"}),
        ("thorax", "heart", {"thoracic_circumference"}),
        ("head", "choroid_plexus", {"cranium"}),
        ("neck", "nasal_bone", {"palate", "nuchal_translucency"}),
    ],
)
def test_a_structure_shrinks_as_the_plane_leaves_it_and_the_rest_of_the_picture_stays(
    view: str, structure: str, others: set[str]
) -> None:
    index = next(i for i in range(20) if structure in {s.name for s in painted(view, i)[0].shapes})
    areas = []
    for away in (0.0, 0.3, 0.5):
        shapes = painted(view, index, Motion(away=away))[0].shapes
        areas.append(sum(shape.whole_px for shape in shapes if shape.name == structure))
        assert others <= {shape.name for shape in shapes}
    assert areas[0] > areas[1] > areas[2] > 0
    left = {shape.name for shape in painted(view, index, Motion(away=1.0))[0].shapes}
    assert structure not in left


def test_of_crossing_limbs_each_pixel_belongs_to_the_one_in_front() -> None:
    crossing = 0
    for index in range(25):
        shapes = painted("extremity", index)[0].shapes
        assert not (np.sum([shape.mask for shape in shapes], axis=0) > 1).any()
        crossing += any(0 < shape.mask.sum() < 0.8 * shape.whole_px for shape in shapes)
    assert crossing > 5
