"""What a console writes over the picture: grey bar, depth marks, text, calipers, a small overview picture."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from fetalseg.phantom.scanner import Sector

__all__ = ["CALIPERS", "draw_overlays"]

Gray = npt.NDArray[np.uint8]

CALIPERS = 0.3  # share of saved frames in which something is measured

_WORDS = (
    *("Har-high", "Gn", "C7 / M15", "FF4 / E2", "P2 / E3", "1.Trim.", "NT", "CRL", "OB"),
    *("MI 0.9", "TIs 0.2", "FR 32", "55Hz", "2D", "Dyn R 60", "P Low", "HGen", "Z 1.4", "4.2 cm", "BPD", "HC"),
)


def draw_overlays(
    picture: Gray,
    sector: Sector,
    rng: np.random.Generator,
    targets: list[npt.NDArray[np.bool_]] | None,
    chance: float = CALIPERS,
) -> npt.NDArray[np.bool_]:
    """Writes into `picture`, uint8 [H, W].

    Args:
        picture: changed in place; at least 64 px a side.
        sector: geometry of the frame.
        rng: source of the draw.
        targets: masks that an operator measures here; calipers lie on one of them, and elsewhere too. None: none.
        chance: that one of the targets is measured.

    Returns:
        Bool [H, W]: pixels of the scan that the console has covered.
    """
    height, width = picture.shape
    hidden = np.zeros(picture.shape, np.bool_)
    measured, elsewhere = rng.random() < chance, rng.random() < 0.25
    if rng.random() < 0.6:
        _grey_bar(picture)
    if rng.random() < 0.6:
        _depth_marks(picture, sector, rng)
    if rng.random() < 0.7:
        _text(picture, rng)
    if rng.random() < 0.28:
        _overview(picture, hidden, rng)
    if rng.random() < 0.1:  # a name plate or a caption that has been taken out
        h, w = int(height * rng.uniform(0.05, 0.2)), int(width * rng.uniform(0.05, 0.25))
        picture[:h, width - w :] = 0
        hidden[:h, width - w :] = True
    if targets is None:
        return hidden
    shown = [target & ~hidden for target in targets]
    shown = [target for target in shown if target.any()]
    if shown and measured:
        _calipers_across(picture, shown[int(rng.integers(len(shown)))], rng)
    if elsewhere:
        for _ in range(int(rng.integers(1, 3))):
            x, y = rng.uniform(0.15, 0.85, size=2) * (width, height)
            other = (x, y) + rng.normal(0, 0.08, size=2) * width
            _pair(picture, (float(x), float(y)), (float(other[0]), float(other[1])), rng)
    if (shown and measured) or elsewhere:
        _result(picture, rng)
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
    left = 0.02 if rng.random() < 0.25 else 0.88
    size = float(rng.uniform(0.8, 1.3))
    for row in range(int(rng.integers(1, 7))):
        word = f"{rng.choice(_WORDS)} {int(rng.integers(0, 99))}"
        _write(picture, word, left * width, (0.04 + 0.04 * size * row) * height, size, float(rng.uniform(120, 240)))
    if rng.random() < 0.5:
        _write(picture, f"{rng.choice(_WORDS)}", 0.06 * width, 0.05 * height, 1.0, float(rng.uniform(60, 220)))


def _result(picture: Gray, rng: np.random.Generator) -> None:
    """What the calipers measured, at the lower edge, behind a small cross."""
    height, width = picture.shape
    if rng.random() < 0.7:
        x = float(rng.choice([0.05, 0.70])) * width
        _write(picture, f"Dist {rng.uniform(0.08, 6):.3f} cm", x, 0.97 * height, 1.1, float(rng.uniform(130, 250)))
        _cross(picture, (x - 0.015 * width, 0.96 * height), 3, 200.0)


def _cross(picture: Gray, at: tuple[float, float], arm: int, grey: float) -> None:
    x, y = round(at[0]), round(at[1])
    cv2.line(picture, (x - arm, y), (x + arm, y), grey, 1)
    cv2.line(picture, (x, y - arm), (x, y + arm), grey, 1)


def _pair(picture: Gray, first: tuple[float, float], second: tuple[float, float], rng: np.random.Generator) -> None:
    """Two crosses of one kind, at times with a dotted line between them."""
    arm, grey = max(1, round(picture.shape[0] / 432 * float(rng.uniform(1.5, 5.0)))), float(rng.uniform(130, 255))
    _cross(picture, first, arm, grey)
    _cross(picture, second, arm, grey)
    if rng.random() < 0.4:
        length = float(np.hypot(second[0] - first[0], second[1] - first[1]))
        for share in np.arange(1, length // 4 + 1) * 4 / max(length, 1.0):
            x, y = first[0] + share * (second[0] - first[0]), first[1] + share * (second[1] - first[1])
            cv2.circle(picture, (round(x), round(y)), 0, grey, -1)


def _calipers_across(picture: Gray, target: npt.NDArray[np.bool_], rng: np.random.Generator) -> None:
    """Two crosses on the upper and the lower edge of a mask, one above the other."""
    columns = np.flatnonzero(target.any(axis=0))
    x = int(columns[int(rng.uniform(0.25, 0.75) * (len(columns) - 1))])
    rows = np.flatnonzero(target[:, x])
    _pair(picture, (x, float(rows[0])), (x, float(rows[-1])), rng)


def _overview(picture: Gray, hidden: npt.NDArray[np.bool_], rng: np.random.Generator) -> None:
    """The whole fan, small, in a lower corner, or a black box where it has been taken out."""
    height, width = picture.shape
    h, w = int(height * rng.uniform(0.14, 0.28)), int(width * rng.uniform(0.14, 0.27))
    small = np.zeros((h, w), np.float32)
    if rng.random() < 0.7:
        fan = np.array([[0.35 * w, 0.05 * h], [0.65 * w, 0.05 * h], [0.95 * w, 0.95 * h], [0.05 * w, 0.95 * h]])
        stencil = np.zeros((h, w), np.float32)
        cv2.fillPoly(stencil, [fan.astype(np.int32)], 1.0)
        white = cv2.GaussianBlur(rng.random((h, w), dtype=np.float32), (0, 0), 0.8)
        # the zoomed part lies in the middle of the fan, with more of the womb around it
        part = cv2.resize(picture, (w // 2, h // 2), interpolation=cv2.INTER_AREA)
        small = white * float(rng.uniform(40, 130))
        y, x = int(rng.uniform(0.3, 0.48) * h), (w - part.shape[1]) // 2
        small[y : y + part.shape[0], x : x + part.shape[1]] = part * float(rng.uniform(0.7, 1.2))
        small = np.clip(small * stencil, 0, 255)
        small[[0, -1], :] = 90.0
        small[:, [0, -1]] = 90.0
    y = height - h - int(rng.integers(0, 12))
    x = int(rng.integers(0, 12)) if rng.random() < 0.2 else width - w - int(rng.integers(0, 12))
    picture[y : y + h, x : x + w] = small.astype(np.uint8)
    hidden[y : y + h, x : x + w] = True
