import math
from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from fetalseg.anatomy import VIEWS, structure_names, view
from fetalseg.phantom.dataset import still
from fetalseg.phantom.display import stored
from fetalseg.phantom.examination import Examination, draw_examination
from fetalseg.phantom.frames import PhantomFrame, make_frame
from fetalseg.phantom.motion import STILL
from fetalseg.phantom.speckle import Speckle

VIEW_NAMES = [v.name for v in VIEWS]


@cache
def drawn(view_name: str, index: int) -> tuple[PhantomFrame, Examination]:
    frame, examination, _ = still(index, 77, height=216, width=320, views=(view_name,))
    return frame, examination


def frames(view_name: str) -> list[PhantomFrame]:
    return [drawn(view_name, index)[0] for index in range(12)]


@pytest.mark.parametrize("name", VIEW_NAMES)
def test_every_frame_shows_an_essential_structure_of_its_view(name: str) -> None:
    for frame in frames(name):
        found = {n for n, ignored in zip(frame.names, frame.ignored, strict=True) if not ignored}
        assert found & set(view(name).essential)


def test_all_seventeen_structures_are_drawn() -> None:
    found = Counter(n for name in VIEW_NAMES for frame in frames(name) for n in frame.names)
    assert set(found) == set(structure_names())


@pytest.mark.parametrize("name", VIEW_NAMES)
def test_labels_follow_the_view(name: str) -> None:
    known = view(name)
    for frame in frames(name):
        assert set(frame.names) <= set(known.annotated)
        assert set(frame.names) <= set(frame.visible)
        labelled = {n for n, ignored in zip(frame.names, frame.ignored, strict=True) if not ignored}
        assert labelled <= set(frame.annotated)
        # what an annotator of this view leaves out is neither present nor absent
        unlabelled = set(frame.visible) - set(frame.names)
        assert not unlabelled & set(frame.annotated)


def test_structures_that_cannot_be_in_a_view_are_known_to_be_absent() -> None:
    assert {"nasal_bone", "palate", "nuchal_translucency", "heart", "stomach"} <= set(drawn("head", 0)[0].annotated)
    assert {"cranium", "choroid_plexus", "midline_falx"} <= set(drawn("neck", 0)[0].annotated)
    assert not {"heart", "stomach"} & set(drawn("neck", 0)[0].annotated)
    assert not {"hand", "foot", "thigh"} & set(drawn("spine", 0)[0].annotated)
    assert "cranium" in drawn("spine", 0)[0].annotated


@pytest.mark.parametrize("name", VIEW_NAMES)
def test_masks_lie_in_the_frame_and_single_structures_come_once(name: str) -> None:
    singles = set(structure_names()) - {"choroid_plexus", *view("extremity").annotated}
    for frame in frames(name):
        assert frame.pixels.shape == (216, 320)
        assert frame.masks.shape == (len(frame.names), 216, 320)
        assert frame.masks.any(axis=(1, 2)).all()
        counts = Counter(frame.names)
        assert all(counts[n] == 1 for n in counts if n in singles)
        assert all(number <= 2 for number in counts.values())


def test_the_spacing_agrees_with_the_size_of_the_head() -> None:
    checked = 0
    for index in range(12):
        frame, examination = drawn("head", index)
        at = frame.names.index("cranium")
        mask = frame.masks[at]
        if mask[[0, -1]].any() or mask[:, [0, -1]].any() or mask.sum() == 0:
            continue
        area = math.pi / 4 * examination.sizes["ofd"] * examination.sizes["bpd"]
        measured = mask.sum() * frame.spacing_mm[0] * frame.spacing_mm[1]
        if measured > 0.9 * area:  # else something lies over its edge
            assert measured == pytest.approx(area, rel=0.015)
            checked += 1
    assert checked >= 5


@pytest.mark.parametrize(("view_name", "name"), [("thorax", "thoracic"), ("abdomen", "abdominal")])
def test_the_spacing_agrees_with_the_circumference_of_the_trunk(view_name: str, name: str) -> None:
    checked = 0
    for index in range(12):
        frame, examination = drawn(view_name, index)
        mask = frame.masks[frame.names.index(f"{name}_circumference")]
        # half-axes w r and r / w enclose the circle of radius r, whatever w; the back's flattening takes 1.5 %
        area = 0.985 * examination.sizes[f"{name}_circumference"] ** 2 / (4 * math.pi)
        measured = mask.sum() * frame.spacing_mm[0] * frame.spacing_mm[1]
        edges = mask[[0, -1]].any() or mask[:, [0, -1]].any()
        if not edges and measured > 0.9 * area:  # else the frame, the fan or an overlay cuts it
            assert measured == pytest.approx(area, rel=0.04)
            checked += 1
    assert checked >= 5


def test_overlays_are_stored_with_the_picture_and_masks_know_nothing_of_it() -> None:
    examination = draw_examination(np.random.default_rng(5))
    plain = replace(examination.console.display, levels=256, sharpness=1.0, jpeg_quality=None)
    lossy = replace(plain, levels=20, sharpness=0.5, jpeg_quality=40)
    both = [
        make_frame(
            "neck",
            replace(examination, console=replace(examination.console, display=display)),
            plan=np.random.SeedSequence(6),
            speckle=Speckle(np.random.SeedSequence(7)),
            noise=np.random.default_rng(8),
            motion=STILL,
            height=144,
            width=212,
            measured=1.0,
        )
        for display in (plain, lossy)
    ]
    np.testing.assert_array_equal(both[1].pixels, stored(both[0].pixels, lossy))
    np.testing.assert_array_equal(both[1].masks, both[0].masks)
    assert both[1].names == both[0].names


@pytest.mark.parametrize("size", [(64, 64), (96, 64), (4096, 64), (64, 4096)])
def test_frames_of_all_allowed_sizes_are_drawn(size: tuple[int, int]) -> None:
    for index, name in enumerate(VIEW_NAMES):
        frame, _, _ = still(index, 3, height=size[1], width=size[0], views=(name,))
        assert frame.masks.shape == (len(frame.names), size[1], size[0])
        assert frame.pixels.std() > 3.0


def test_the_falx_is_a_straight_thin_line_inside_the_skull() -> None:
    for frame in frames("head"):
        masks = dict(zip(frame.names, frame.masks, strict=True))
        if "midline_falx" not in masks or frame.ignored.any():
            continue
        falx, cranium = masks["midline_falx"], masks["cranium"]
        assert (falx & cranium).sum() > 0.97 * falx.sum()
        y, x = np.nonzero(falx)
        spread = np.linalg.eigvalsh(np.cov(np.stack([x, y]) * frame.spacing_mm[0]))
        # a uniform strip of length l has variance l^2 / 12 along it; 1.3 + 0.4 mm wide at most, pixels add a little
        assert math.sqrt(12 * spread[0]) < 2.2
        assert math.sqrt(12 * spread[1]) > 12.0


def test_the_translucency_is_dark_between_two_brighter_lines() -> None:
    darker = 0
    shown = [f for f in frames("neck") if "nuchal_translucency" in f.names]
    for frame in shown:
        mask = frame.masks[frame.names.index("nuchal_translucency")]
        core = np.zeros_like(mask)
        inner = mask.copy()
        for _ in range(max(1, round(0.8 / frame.spacing_mm[0]))):
            shrunk = inner.copy()
            shrunk[1:] &= inner[:-1]
            shrunk[:-1] &= inner[1:]
            if not shrunk.any():
                break
            inner = shrunk
        core |= inner
        darker += int(np.median(frame.pixels[core]) < np.percentile(frame.pixels[mask], 85))
    assert len(shown) >= 8
    assert darker >= len(shown) - 1


def test_heart_and_stomach_lie_inside_the_trunk() -> None:
    for name, organ, trunk in (
        ("thorax", "heart", "thoracic_circumference"),
        ("abdomen", "stomach", "abdominal_circumference"),
    ):
        for frame in frames(name):
            masks = dict(zip(frame.names, frame.masks, strict=True))
            if organ in masks and trunk in masks:
                assert not (masks[organ] & ~masks[trunk]).any()


def test_an_unknown_view_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown view 'kidney'"):
        still(0, 1, height=96, width=128, views=("kidney",))


def test_the_instances_of_a_frame_are_its_masks() -> None:
    for frame in frames("abdomen")[:3]:
        instances = frame.instances()
        np.testing.assert_array_equal(instances.masks, frame.masks)
        assert [structure_names()[label] for label in instances.labels] == list(frame.names)
