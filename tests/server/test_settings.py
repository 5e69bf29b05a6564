from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from fetalseg_server.settings import Settings, add_flags, flag_of, flags_given, load_settings, settings_table


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
        ("prot = 1", "unknown setting prot in .*; known settings are host, port, tls_cert"),
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
        (
            "FETALSEG_COLOUR",
            "red",
            "unknown setting colour in FETALSEG_COLOUR; known settings are host, port, tls_cert",
        ),
        ("FETALSEG_THREADS", "0", "threads must be at least 1, got 0"),
        ("FETALSEG_HELLO_TIMEOUT_S", "nan", "hello_timeout_s must be finite, got nan"),
        ("FETALSEG_IDLE_TIMEOUT_S", "inf", "idle_timeout_s must be finite, got inf"),
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


def test_the_readmes_table_is_the_one_of_the_settings() -> None:
    readme = (Path(__file__).parents[2] / "server" / "README.md").read_text()
    assert settings_table() in readme, f"expected in server/README.md:\n{settings_table()}"


def parsed(*arguments: str) -> Settings:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    return load_settings(environment={}, flags=flags_given(parser.parse_args(arguments)))


def test_every_setting_but_the_tokens_has_a_flag() -> None:
    assert parsed() == Settings()
    given = parsed("--port", "1", "--idle-timeout-s", "7", "--threads", "2", "--log-format", "json")
    assert given == Settings(port=1, idle_timeout_s=7.0, threads=2, log_format="json")
    assert parsed("--allow-origin", "https://a", "--allow-origin", "https://b").allow_origins == (
        "https://a",
        "https://b",
    )
    assert [name for name in Settings.__dataclass_fields__ if flag_of(name) is None] == ["tokens"]
    with pytest.raises(SystemExit):
        parsed("--tokens", "secret")


def test_a_bad_flag_says_what_is_wrong_with_it() -> None:
    with pytest.raises(ValueError, match="--port must be a number, got 'many'"):
        parsed("--port", "many")
    with pytest.raises(ValueError, match="log_format must be one of text, json, got 'xml'"):
        parsed("--log-format", "xml")


def test_the_environment_may_name_the_settings_file(tmp_path: Path) -> None:
    named, given = tmp_path / "named.toml", tmp_path / "given.toml"
    named.write_text("port = 1")
    given.write_text("port = 2")
    assert load_settings(None, {"FETALSEG_CONFIG": str(named)}).port == 1
    assert load_settings(given, {"FETALSEG_CONFIG": str(named)}).port == 2


@pytest.mark.parametrize("one", [{"tls_cert": "a"}, {"tls_key": "a"}, {"tls_client_ca": "a"}])
def test_tls_needs_its_files_together(one: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"tls_cert and tls_key"):
        Settings(**one)


@pytest.mark.parametrize("name", ["Dockerfile", "docker/compose.yaml"])
def test_a_container_sets_settings_that_exist(name: str) -> None:
    text = (Path(__file__).parents[2] / name).read_text()
    named = {word.lower() for word in re.findall(r"FETALSEG_(\w+)[=:]", text)}
    assert named
    assert named <= set(Settings.__dataclass_fields__)
