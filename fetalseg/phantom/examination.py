"""One examination: one fetus, one probe, one set of console settings, drawn once and kept for all its frames.

Sizes are in mm and follow the crown-rump length (CRL); every size has its own spread of 6 % around the line.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fetalseg.phantom.console import Console, Probe, draw_console
from fetalseg.phantom.lie import Lie, draw_lie

__all__ = ["CRL_MM", "Examination", "Sizes", "draw_examination", "sizes_at"]

CRL_MM = (45.0, 84.0)  # the range in which the translucency is measured; 11+2 to 14+1 weeks

_GRID = (45.0, 55.0, 65.0, 75.0, 84.0)
# Published or measured means at these CRLs where there are any (Cicero 2004 for the palate, Clin Exp Obstet Gynecol
# 2014;41:556 for the nasal bone, doi 10.1002/jum.16605 for the heart, HC18 frames for the head), else usual ones.
_TABLE: dict[str, tuple[float, float, float, float, float]] = {
    "bpd": (18.5, 21.4, 24.1, 26.5, 28.5),
    "ofd": (22.6, 26.2, 29.4, 32.3, 34.8),
    "abdominal_circumference": (52, 60, 67, 74, 80),
    "thoracic_circumference": (47, 54, 61, 67, 72),
    "heart_length": (7.2, 8.2, 9.2, 10.0, 10.8),
    "heart_width": (6.3, 7.2, 8.0, 8.8, 9.4),
    "stomach_length": (3.5, 4.5, 5.5, 7.0, 8.0),
    "stomach_width": (2.5, 3.0, 3.5, 4.0, 5.0),
    "nt": (1.2, 1.4, 1.55, 1.75, 1.9),
    "nasal_bone": (2.1, 2.4, 2.7, 2.95, 3.2),
    "palate": (4.8, 5.7, 6.6, 7.5, 8.3),
    "thigh": (8, 10, 12.5, 14.5, 16),
    "thigh_width": (4, 5, 5.5, 6.5, 7),
    "upper_arm": (8, 10.5, 13, 15, 17),
    "upper_arm_width": (3, 3.5, 4, 4.5, 5),
    "calf": (6.5, 8.5, 10.5, 12.5, 14),
    "calf_width": (3, 3.5, 4, 4.5, 5),
    "forearm": (7, 9, 11, 12.5, 14.5),
    "forearm_width": (2.5, 3, 3, 3.5, 4),
    "hand": (5.5, 6.5, 8, 9.5, 11),
    "hand_width": (4, 4.5, 5, 5.5, 6),
    "foot": (7, 8.8, 10.5, 12.3, 14),
    "foot_width": (3, 3.5, 4, 4.5, 5),
    "spine": (27, 33, 39, 45, 50),
    "plexus": (11, 12, 13, 14, 14.5),
    "plexus_width": (4.5, 5, 5.5, 6, 6.5),
    "skull": (1.0, 1.1, 1.2, 1.3, 1.4),
}
_EXAMINATION_SPREAD = 0.06
_FILLED = 0.57  # share of belly frames that show a stomach in Hong et al., Table 3
_TISSUE_SPREAD_DB = {"brain": 2.0, "bone": 3.0, "plexus": 1.8, "wall": 1.8, "organ": 1.8, "line": 2.0}


class Sizes(dict[str, float]):
    """Sizes of one fetus in mm by name: `nt`, `bpd`, `thigh`, `thigh_width`, ..."""


@dataclass(frozen=True)
class Examination:
    """What stays the same in all frames of one fetus.

    Attributes:
        crl_mm: crown-rump length.
        probe: kind of probe.
        sizes: sizes of this fetus.
        console: settings of the scanner.
        nasal_bone: whether it is ossified; absent in about 5 % of fetuses.
        stomach: whether it is filled; an empty one isn't seen.
        tissue_db: shift of the level of each kind of tissue in this examination, by name.
        lie: how the fetus lies, and where the operator keeps it in the frame.
    """

    crl_mm: float
    probe: Probe
    sizes: Sizes
    console: Console
    nasal_bone: bool
    stomach: bool
    tissue_db: dict[str, float]
    lie: Lie


def sizes_at(crl_mm: float) -> Sizes:
    """Mean sizes in mm of a fetus of this crown-rump length."""
    return Sizes({name: float(np.interp(crl_mm, _GRID, row)) for name, row in _TABLE.items()})


def draw_examination(rng: np.random.Generator) -> Examination:
    """A fetus of 11 to 14 weeks, a probe and its settings."""
    crl = float(rng.uniform(*CRL_MM))
    sizes = sizes_at(crl)
    for name in sizes:
        sizes[name] *= float(np.clip(rng.normal(1.0, _EXAMINATION_SPREAD), 0.82, 1.18))
    if rng.random() < 0.12:
        sizes["nt"] = float(rng.uniform(3.0, 8.0))
    else:
        sizes["nt"] = sizes_at(crl)["nt"] * float(rng.lognormal(0.0, 0.2))
    if rng.random() < 0.05:
        sizes["nasal_bone"] *= 0.5
    for name in ("stomach_length", "stomach_width"):
        sizes[name] *= float(rng.uniform(0.7, 1.3))
    probe: Probe = "transvaginal" if rng.random() < 0.3 else "transabdominal"
    return Examination(
        crl_mm=crl,
        probe=probe,
        sizes=sizes,
        console=draw_console(rng, probe),
        nasal_bone=bool(rng.random() >= 0.05),
        stomach=bool(rng.random() < _FILLED),
        tissue_db={name: float(rng.normal(0.0, spread)) for name, spread in _TISSUE_SPREAD_DB.items()},
        lie=draw_lie(rng),
    )
