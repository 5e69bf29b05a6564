from __future__ import annotations

from pathlib import Path

import pytest

from fetalseg_server.security import Access, Client, TokenTable, is_loopback, refusal_of_bind

NO_TOKENS, ONE_TOKEN = TokenTable(), TokenTable([("secret", Client("console"))])


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("LOCALHOST:8420", True),
        ("127.0.0.1", True),
        ("127.0.0.1:1", True),
        ("::1", True),
        ("[::1]:8420", True),
        ("0.0.0.0", False),
        ("::", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example:8420", False),
        ("localhost@evil.example", False),
        ("evil.example/localhost", False),
        ("[::1", False),
        ("", False),
    ],
)
def test_only_names_of_this_machine_are_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_a_server_that_others_can_reach_needs_tokens() -> None:
    assert refusal_of_bind("127.0.0.1", NO_TOKENS) is None
    assert refusal_of_bind("0.0.0.0", ONE_TOKEN) is None
    problem = refusal_of_bind("0.0.0.0", NO_TOKENS)
    assert problem is not None
    assert "got host 0.0.0.0; give tokens with --tokens-file or FETALSEG_TOKENS" in problem


def test_tokens_come_from_a_file_and_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("# room 1\nroom-1: abc \n\nplain\n")
    table = TokenTable.read(file, "ci:xyz,other")
    assert len(table) == 4
    for token, name in {"abc": "room-1", "xyz": "ci", "plain": "token-4", "other": "token-2"}.items():
        assert table.client_of(token) == Client(name)
    for nothing in ("ab", "", None, "room-1: abc"):
        assert table.client_of(nothing) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no token"),
        ("# nothing\n", "holds no token"),
        ("a:x\na:y\n", "the token named 'a' is given twice"),
        ("a:\n", "the token named 'a' is empty"),
    ],
)
def test_a_bad_tokens_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "tokens"
    file.write_text(text)
    with pytest.raises(ValueError, match=message):
        TokenTable.read(file, None)


def test_a_missing_tokens_file_is_an_error_and_not_an_open_server(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="can't read the tokens file"):
        TokenTable.read(tmp_path / "none", None)


def test_tokens_themselves_are_not_kept() -> None:
    assert "secret" not in str(vars(ONE_TOKEN))


def test_the_viewers_own_origin_counts_only_on_this_machine() -> None:
    access = Access(ONE_TOKEN, ())
    assert access.origin_problem("http://localhost:8420", "localhost:8420") is None
    assert access.origin_problem("http://localhost:8420", "localhost:8421") is not None
    assert access.origin_problem("http://server.example", "server.example") is not None
    assert Access(ONE_TOKEN, ("http://server.example/",)).origin_problem("http://server.example", "x") is None
