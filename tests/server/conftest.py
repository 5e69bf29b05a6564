from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from crafted_model import write_crafted_model
from selenium.webdriver.remote.webdriver import WebDriver

from fetalseg_server.settings import Settings
from server.live import RunningServer, running
from server.page import chromium, missing_browser


@pytest.fixture(scope="session")
def crafted_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A server for tests: a free port, room for small frames only, and a model that finds the same cranium everywhere.

    In frames that are brighter than 128 in the mean the model's output is not finite.
    """
    model = write_crafted_model(tmp_path_factory.mktemp("model") / "crafted.onnx", flaw="nan")
    return Settings(
        port=0,
        model=str(model),
        threads=1,
        max_frame_bytes=1024 * 1024,
        max_pixels=640 * 480,
        shared_memory_bytes=4 * 1024 * 1024,
        drain_grace_s=0.0,
        # Whatever else the machine does, tests are admitted, and nothing but their own frames is in the engine.
        session_fps=0.1,
        batch=1,
        probe_interval_s=3600,
    )


@pytest.fixture(scope="session")
def server(crafted_settings: Settings) -> Iterator[RunningServer]:
    """One server for all tests that leave it as it was."""
    with running(crafted_settings) as live:
        yield live


@pytest.fixture(scope="session")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the browser saves."""
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory, downloads: Path) -> Iterator[WebDriver]:
    """One browser for all tests."""
    if (missing := missing_browser()) is not None:
        pytest.skip(missing)
    with chromium(tmp_path_factory.mktemp("profile"), downloads) as driver:
        yield driver
