from __future__ import annotations

import re
from pathlib import Path

import pytest

from fetalseg_server.settings import Settings, load_settings


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text(
        'port = 1\nhost = "::1"\nmax_sessions = 3\nidle_timeout_s = 5\nallow_origins = ["https://a.example"]'
    )
    environment = {"FETALSEG_PORT": "2", "FETALSEG_MAX_SESSIONS": "4", "FETALSEG_MODELS": "/m", "PATH": "/bin"}
    settings = load_settings(file, environment, {"port": 3, "host": None})
    assert (settings.port, settings.max_sessions, settings.host, settings.idle_timeout_s) == (3, 4, "::1", 5.0)
    assert settings.allow_origins == ("https://a.example",)
    assert settings.model == "fetalseg-s"


def test_a_list_in_the_environment_is_separated_by_commas() -> None:
    settings = load_settings(environment={"FETALSEG_ALLOW_ORIGINS": "https://a.example, https://b.example"})
    assert settings.allow_origins == ("https://a.example", "https://b.example")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prot = 1", "unknown setting prot in .*; known settings are host, port, model"),
        ('port = "8420"', "port in .* must be int, got '8420'"),
        ("port = true", "port in .* must be int, got True"),
        ("port = 70000", "port must be at most 65535, got 70000"),
        ("max_sessions = 0", "max_sessions must be at least 1, got 0"),
        ("allow_origins = 'https://a.example'", "allow_origins in .* must be a list of texts"),
        ("max_frame_bytes = 100_000_000", "shared_memory_bytes must hold three frames"),
        ('tokens = "secret"', "must not hold tokens; name a tokens_file"),
        ("port = ", "is not TOML"),
    ],
)
def test_a_bad_file_says_what_is_wrong_with_it(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "server.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_settings(file, {})


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("FETALSEG_PORT", "many", "FETALSEG_PORT must be a number, got 'many'"),
        ("FETALSEG_COLOUR", "red", "unknown setting colour in FETALSEG_COLOUR; known settings are host, port"),
        ("FETALSEG_THREADS", "0", "threads must be at least 1, got 0"),
    ],
)
def test_a_bad_variable_says_what_is_wrong_with_it(variable: str, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        load_settings(environment={variable: text})


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ValueError, match=r"can't read the settings file nowhere\.toml: No such file"):
        load_settings("nowhere.toml", {})


def test_tokens_do_not_show_in_the_settings_text() -> None:
    assert "secret" not in repr(load_settings(environment={"FETALSEG_TOKENS": "secret"}))


def test_every_setting_is_in_the_readmes_table() -> None:
    readme = (Path(__file__).parents[2] / "server" / "README.md").read_text()
    missing = [name for name in Settings.__dataclass_fields__ if f"| `{name}` |" not in readme]
    assert missing == []
