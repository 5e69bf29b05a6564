"""What a console writes over the picture: grey bar, depth marks, text, calipers, a small overview picture."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from fetalseg.phantom.scanner import Sector

__all__ = ["draw_overlays"]

Gray = npt.NDArray[np.uint8]

_WORDS = (
    "Har-high",
    "Gn",
    "C7 / M15",
    "FF4 / E2",
    "P2 / E3",
    "1.Trim.",
    "NT",
    "CRL",
    "OB",
    "MI 0.9",
    "TIs 0.2",
    "FR 32",
)


def draw_overlays(
    picture: Gray,
    sector: Sector,
    rng: np.random.Generator,
    targets: list[npt.NDArray[np.bool_]] | None,
) -> npt.NDArray[np.bool_]:
    """Writes into `picture`, uint8 [H, W].

    Args:
        picture: changed in place.
        sector: geometry of the frame.
        rng: source of the draw.
        targets: masks that an operator measures here; calipers lie on one of them, and elsewhere too. None: none.

    Returns:
        Bool [H, W]: pixels of the scan that the console has covered.
    """
    height, width = picture.shape
    hidden = np.zeros(picture.shape, np.bool_)
    if rng.random() < 0.6:
        _grey_bar(picture)
    if rng.random() < 0.6:
        _depth_marks(picture, sector, rng)
    if rng.random() < 0.7:
        _text(picture, rng)
    measured, elsewhere = rng.random() < 0.3, rng.random() < 0.25
    if rng.random() < 0.28:
        _overview(picture, hidden, rng)
    if targets is None:
        return hidden
    if targets and measured:
        _calipers_across(picture, targets[int(rng.integers(len(targets)))], rng)
    if elsewhere:
        for _ in range(int(rng.integers(1, 3))):
            x, y = rng.uniform(0.15, 0.85, size=2) * (width, height)
            other = (x, y) + rng.normal(0, 0.08, size=2) * width
            _cross(picture, float(x), float(y), rng)
            _cross(picture, float(other[0]), float(other[1]), rng)
        if rng.random() < 0.7:
            _write(picture, f"Dist {rng.uniform(0.08, 6):.2f} cm", 0.72 * width, 0.97 * height, 0.9, 150.0)
    return hidden


def _grey_bar(picture: Gray) -> None:
    height, width = picture.shape
    top, bottom = int(0.04 * height), int(0.32 * height)
    bar = np.linspace(240, 10, bottom - top, dtype=np.float32)[:, None].astype(np.uint8)
    picture[top:bottom, 2 : 2 + max(3, width // 130)] = bar


def _depth_marks(picture: Gray, sector: Sector, rng: np.random.Generator) -> None:
    height, width = picture.shape
    step = float(rng.choice([5.0, 10.0])) / sector.mm_per_px
    x = int(rng.choice([0.018, 0.985]) * width)
    for y in np.arange(float(rng.uniform(0, step)), height - 3, step):
        picture[int(y) : int(y) + 2, x : x + 2] = 170


def _write(picture: Gray, text: str, x: float, y: float, size: float, grey: float) -> None:
    scale = 0.36 * size * picture.shape[0] / 432
    cv2.putText(picture, text, (int(x), int(y)), cv2.FONT_HERSHEY_SIMPLEX, max(scale, 0.2), grey, 1, cv2.LINE_AA)


def _text(picture: Gray, rng: np.random.Generator) -> None:
    height, width = picture.shape
    for row in range(int(rng.integers(1, 6))):
        word = f"{rng.choice(_WORDS)} {int(rng.integers(0, 99))}"
        _write(picture, word, 0.88 * width, (0.04 + 0.035 * row) * height, 0.9, float(rng.uniform(120, 220)))
    if rng.random() < 0.5:
        _write(picture, f"{rng.choice(_WORDS)}", 0.06 * width, 0.05 * height, 1.0, float(rng.uniform(60, 220)))


def _cross(picture: Gray, x: float, y: float, rng: np.random.Generator) -> None:
    arm = max(2, round(picture.shape[0] / 110))
    centre = round(x), round(y)
    grey = float(rng.uniform(150, 255))
    cv2.line(picture, (centre[0] - arm, centre[1]), (centre[0] + arm, centre[1]), grey, 1)
    cv2.line(picture, (centre[0], centre[1] - arm), (centre[0], centre[1] + arm), grey, 1)


def _calipers_across(picture: Gray, target: npt.NDArray[np.bool_], rng: np.random.Generator) -> None:
    """Two crosses on the upper and the lower edge of a mask, one above the other."""
    columns = np.flatnonzero(target.any(axis=0))
    if len(columns) == 0:
        return
    x = int(columns[int(rng.uniform(0.25, 0.75) * (len(columns) - 1))])
    rows = np.flatnonzero(target[:, x])
    _cross(picture, x, float(rows[0]), rng)
    _cross(picture, x, float(rows[-1]), rng)


def _overview(picture: Gray, hidden: npt.NDArray[np.bool_], rng: np.random.Generator) -> None:
    """The whole fan, small, in the lower right corner, or a black box where it has been taken out."""
    height, width = picture.shape
    h, w = int(height * rng.uniform(0.14, 0.26)), int(width * rng.uniform(0.16, 0.26))
    small = np.zeros((h, w), np.float32)
    if rng.random() < 0.7:
        white = cv2.GaussianBlur(rng.random((h, w), dtype=np.float32), (0, 0), 0.8)
        fan = np.array([[0.35 * w, 0.05 * h], [0.65 * w, 0.05 * h], [0.95 * w, 0.95 * h], [0.05 * w, 0.95 * h]])
        stencil = np.zeros((h, w), np.float32)
        cv2.fillPoly(stencil, [fan.astype(np.int32)], 1.0)
        cv2.ellipse(stencil, (w // 2, int(0.55 * h)), (int(0.22 * w), int(0.2 * h)), 0, 0, 360, 0.1, -1)
        cv2.ellipse(stencil, (w // 2, int(0.57 * h)), (int(0.1 * w), int(0.1 * h)), 0, 0, 360, 1.4, -1)
        small = np.clip(white * stencil * 190 * float(rng.uniform(0.5, 1.1)), 0, 255)
        small[[0, -1], :] = small[:, [0, -1]] = 90.0
    y, x = height - h - int(rng.integers(0, 12)), width - w - int(rng.integers(0, 12))
    picture[y : y + h, x : x + w] = small.astype(np.uint8)
    hidden[y : y + h, x : x + w] = True
