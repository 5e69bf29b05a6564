"""The seventeen structures of a first-trimester scan and the six views that show them.

Source of the sets: Hong et al., Prenatal Diagnosis 2026;46(7):966-973 (doi 10.1002/pd.70156), Table 1,
after the ISUOG guideline on the first-trimester scan. Everything that a user sees as a number is the
structure id 1..17, which is also the COCO category id and the value in a label map; arrays hold
labels 0..16 (id minus one).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["STRUCTURES", "VIEWS", "Structure", "View", "coco_categories", "structure", "structure_names", "view"]


@dataclass(frozen=True)
class Structure:
    """One anatomical structure.

    Attributes:
        id: 1..17, the COCO category id.
        name: lower-case word used in files, messages and the command line.
        title: words for a screen.
        group: COCO supercategory, the view the structure is tested in.
        single: whether one fetus has at most one of it in a frame (choroid plexuses and limb segments come in pairs).
        color: RGB 0..255, chosen so that structures of one view stay apart for red-green and blue-yellow blindness.
    """

    id: int
    name: str
    title: str
    group: str
    single: bool
    color: tuple[int, int, int]

    @property
    def label(self) -> int:
        """Index 0..16 in arrays."""
        return self.id - 1


@dataclass(frozen=True)
class View:
    """One standard view.

    Attributes:
        name: lower-case word.
        plane: how the image plane lies, for a screen.
        essential: names of the structures that make the view (any one of them).
        annotated: names of the structures annotated in frames of this view.
        tested: names of the structures whose detection is scored in this view.
    """

    name: str
    plane: str
    essential: tuple[str, ...]
    annotated: tuple[str, ...]
    tested: tuple[str, ...]


# Colours: seven for the limbs and the spine, which many views share, and three for what is special to a view; all
# bright enough for a dark image (L* above 50). They come out of a search, so that within each view every pair keeps a
# CIELAB distance of at least 20 after simulated protanopia, deuteranopia and tritanopia (tests/test_anatomy.py
# computes it).
STRUCTURES: tuple[Structure, ...] = (
    Structure(1, "cranium", "Cranium", "head", True, (72, 250, 250)),
    Structure(2, "choroid_plexus", "Choroid plexus", "head", False, (250, 72, 96)),
    Structure(3, "midline_falx", "Midline with falx", "head", True, (250, 216, 72)),
    Structure(4, "nasal_bone", "Nasal bone", "neck", True, (250, 216, 72)),
    Structure(5, "palate", "Palate", "neck", True, (250, 72, 96)),
    Structure(6, "nuchal_translucency", "Nuchal translucency", "neck", True, (72, 250, 250)),
    Structure(7, "thoracic_circumference", "Thoracic circumference", "thorax", True, (72, 250, 250)),
    Structure(8, "heart", "Heart", "thorax", True, (250, 72, 96)),
    Structure(9, "abdominal_circumference", "Abdominal circumference", "abdomen", True, (72, 250, 250)),
    Structure(10, "stomach", "Stomach", "abdomen", True, (250, 216, 72)),
    Structure(11, "upper_arm", "Upper arm", "extremity", False, (72, 192, 144)),
    Structure(12, "forearm", "Forearm", "extremity", False, (192, 250, 168)),
    Structure(13, "hand", "Hand", "extremity", False, (250, 168, 96)),
    Structure(14, "thigh", "Thigh", "extremity", False, (144, 96, 250)),
    Structure(15, "calf", "Calf", "extremity", False, (192, 168, 250)),
    Structure(16, "foot", "Foot", "extremity", False, (168, 120, 0)),
    Structure(17, "spine", "Spine", "spine", True, (216, 72, 168)),
)

_LIMBS = ("upper_arm", "forearm", "hand", "thigh", "calf", "foot")
_PROFILE = ("nasal_bone", "nuchal_translucency", "palate")

VIEWS: tuple[View, ...] = (
    View(
        "head",
        "axial, cranial bone",
        essential=("cranium",),
        annotated=("cranium", "midline_falx", "choroid_plexus", *_LIMBS),
        tested=("cranium", "midline_falx", "choroid_plexus"),
    ),
    View(
        "neck",
        "sagittal, head to chest",
        essential=_PROFILE,
        annotated=(*_PROFILE, "spine", *_LIMBS),
        tested=_PROFILE,
    ),
    View(
        "thorax",
        "axial",
        essential=("thoracic_circumference",),
        annotated=("thoracic_circumference", "heart", "spine", *_LIMBS),
        tested=("thoracic_circumference", "heart"),
    ),
    View(
        "abdomen",
        "axial",
        essential=("abdominal_circumference",),
        annotated=("abdominal_circumference", "stomach", "spine", *_LIMBS),
        tested=("abdominal_circumference", "stomach"),
    ),
    View("extremity", "enlarged limb", essential=_LIMBS, annotated=_LIMBS, tested=_LIMBS),
    View(
        "spine",
        "sagittal or coronal, whole fetus or focused",
        essential=("spine",),
        annotated=("spine",),
        tested=("spine",),
    ),
)

_STRUCTURE_BY_NAME = {s.name: s for s in STRUCTURES}
_VIEW_BY_NAME = {v.name: v for v in VIEWS}


def structure(name: str) -> Structure:
    """The structure called `name`.

    Raises:
        ValueError: no such structure; the message lists the known names.
    """
    try:
        return _STRUCTURE_BY_NAME[name]
    except KeyError:
        raise ValueError(f"unknown structure {name!r}; expected one of {', '.join(_STRUCTURE_BY_NAME)}") from None


def view(name: str) -> View:
    """The view called `name`.

    Raises:
        ValueError: no such view; the message lists the known names.
    """
    try:
        return _VIEW_BY_NAME[name]
    except KeyError:
        raise ValueError(f"unknown view {name!r}; expected one of {', '.join(_VIEW_BY_NAME)}") from None


def structure_names() -> tuple[str, ...]:
    """The seventeen names in id order."""
    return tuple(s.name for s in STRUCTURES)


def coco_categories() -> list[dict[str, int | str]]:
    """The `categories` list of a COCO file, ids 1..17."""
    return [{"id": s.id, "name": s.name, "supercategory": s.group} for s in STRUCTURES]
