import os
import threading

import cv2
import numpy as np
import pytest
import torch
from drawn_sets import Rectangle, write_drawn_set

from fetalseg.data.frames import AnnotatedFrame, Shape
from fetalseg.model.variants import variant


def draw_frame(seed: int) -> AnnotatedFrame:
    """A bright ellipse (cranium, with mask) and a thin bright bar (nuchal translucency, box alone) on dark noise."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 40, (64, 96), np.uint8)
    left, top = int(rng.integers(8, 40)), int(rng.integers(20, 28))
    mask = np.zeros((32, 44), np.uint8)
    cv2.ellipse(mask, (22, 16), (21, 15), 0, 0, 360, 255, -1)
    image[top : top + 32, left : left + 44][mask > 0] = 150
    ys, xs = np.nonzero(mask)
    low, high = np.array([xs.min(), ys.min()]), np.array([xs.max(), ys.max()]) + 1
    angle = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    ring = (low + high) / 2 + np.stack([np.cos(angle), np.sin(angle)], 1) * (high - low) / 2
    crop = mask[low[1] : high[1], low[0] : high[0]]
    cranium = Shape(0, (ring + np.array([left, top])).astype(np.float32), crop, (left + int(low[0]), top + int(low[1])))
    bar = int(rng.integers(20, 60))
    image[6:12, bar : bar + 26] = 240
    corners = np.array([[bar, 6], [bar + 26, 6], [bar + 26, 12], [bar, 12]], np.float32)
    known = np.ones(17, bool)
    known[16] = False
    return AnnotatedFrame(image, (cranium, Shape(5, corners, None, (0, 0))), known, seed, (64, 96))


@pytest.fixture
def frames():
    return [draw_frame(seed) for seed in range(8)]


@pytest.fixture
def drawn_set(tmp_path):
    """A folder "drawn" with twelve frames of six patients, each with one cranium; every other one has a mask."""

    def draw(number, rng):
        x, y = (int(v) for v in rng.integers(5, 30, 2))
        return [Rectangle(1, x, y, 40, 30, grey=200, mask=number % 2 == 1)]

    return write_drawn_set(
        tmp_path / "drawn",
        12,
        draw,
        facts=lambda number: {"patient": str((number - 1) // 2), "annotated_category_ids": [1]},
        info={"description": "drawn", "url": "https://example.org", "licence": "CC0"},
    )


@pytest.fixture
def tiny():
    return variant("fetalseg-test")


@pytest.fixture(autouse=True)
def _one_thread():
    """Two threads on two cores gain nothing on networks this small, and disturb whatever runs beside."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def signal_once_there():
    """Sends this process a signal as soon as a file exists; a run that never writes it is left alone when it ends."""
    over = threading.Event()
    threads = []

    def start(path, number):
        def wait_and_signal():
            while not over.wait(0.002):
                if path.exists():
                    os.kill(os.getpid(), number)
                    return

        threads.append(threading.Thread(target=wait_and_signal))
        threads[-1].start()

    yield start
    over.set()
    for thread in threads:
        thread.join()
