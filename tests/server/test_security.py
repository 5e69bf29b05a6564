from __future__ import annotations

import hmac
from pathlib import Path

import pytest

from fetalseg_server.access.security import Access, Client, NotAuthorisedError, TokenTable, is_loopback, refusal_of_bind

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


def test_a_server_that_others_can_reach_needs_tokens_and_encryption() -> None:
    assert refusal_of_bind("127.0.0.1", NO_TOKENS, encrypted=False) is None
    assert refusal_of_bind("0.0.0.0", ONE_TOKEN, encrypted=True) is None
    problem = refusal_of_bind("0.0.0.0", NO_TOKENS, encrypted=True)
    assert problem is not None
    assert "got host 0.0.0.0; give tokens with --tokens-file or FETALSEG_TOKENS" in problem
    problem = refusal_of_bind("0.0.0.0", ONE_TOKEN, encrypted=False)
    assert problem is not None
    assert "in the clear; give --tls-cert and --tls-key, or --trusted-proxy" in problem


def private(file: Path, text: str) -> Path:
    file.write_text(text)
    file.chmod(0o600)
    return file


def test_tokens_come_from_a_file_and_the_environment(tmp_path: Path) -> None:
    file = private(tmp_path / "tokens", "# room 1\nroom-1: abc \n\nplain\n")
    table = TokenTable.read(file, "ci:xyz,other")
    assert len(table) == 4
    for token, name in {"abc": "room-1", "xyz": "ci", "plain": "token-4", "other": "token-2"}.items():
        assert table.client_of(token) == Client(name)
    for nothing in ("ab", "", None, "room-1: abc"):
        assert table.client_of(nothing) is None


def test_a_tokens_file_in_toml_gives_each_token_its_limits(tmp_path: Path) -> None:
    text = """
        [room-1]
        token = "abc"
        weight = 2
        max_sessions = 1
        max_fps = 30

        [ops]
        token = "xyz"
        admin = true
        """
    table = TokenTable.read(private(tmp_path / "tokens.toml", text), None)
    assert table.client_of("abc") == Client("room-1", weight=2.0, max_sessions=1, max_fps=30)
    assert table.client_of("xyz") == Client("ops", admin=True)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("tokens", "", "holds no token"),
        ("tokens", "# nothing\n", "holds no token"),
        ("tokens", "a:x\na:y\n", "the token named 'a' is given twice"),
        ("tokens", "a:x\nb:x\n", "'a' and 'b' have the same token"),
        ("tokens", "a:\n", "the token named 'a' is empty"),
        ("tokens.toml", "", "holds no token"),
        ("tokens.toml", "a:x", "is not TOML"),
        ("tokens.toml", 'a = "x"', r"needs a table \[a\] with a token as text"),
        ("tokens.toml", "[a]\nweight = 1", r"needs a table \[a\] with a token as text"),
        ("tokens.toml", '[a]\ntoken = ""', "the token named 'a' is empty"),
        (
            "tokens.toml",
            '[a]\ntoken = "x"\nfps = 1',
            r"unknown key fps in \[a\] .* known keys are token, weight, max_s",
        ),
        ("tokens.toml", '[a]\ntoken = "x"\nmax_fps = "1"', r"max_fps in \[a\] of the tokens file must be int"),
        ("tokens.toml", '[a]\ntoken = "x"\nmax_fps = true', r"max_fps in \[a\] of the tokens file must be int"),
        ("tokens.toml", '[a]\ntoken = "x"\nadmin = 1', r"admin in \[a\] of the tokens file must be bool"),
        (
            "tokens.toml",
            '[a]\ntoken = "x"\nmax_fps = 0',
            r"\[a\] of the tokens file: max_fps must be at least 1, got 0",
        ),
        (
            "tokens.toml",
            '[a]\ntoken = "x"\nweight = nan',
            r"\[a\] of the tokens file: weight must be finite and above 0",
        ),
    ],
)
def test_a_bad_tokens_file_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TokenTable.read(private(tmp_path / name, text), None)


@pytest.mark.parametrize("mode", [0o604, 0o620, 0o602, 0o644, 0o666, 0o601])
def test_a_tokens_file_that_others_can_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    file = private(tmp_path / "tokens", "abc")
    file.chmod(mode)
    expected = f"is open to others: expected mode 0600 or 0640, got {mode:04o}; run: chmod 600 {file}"
    with pytest.raises(ValueError, match=expected):
        TokenTable.read(file, None)


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o440, 0o640])
def test_a_tokens_file_may_be_readable_by_its_group(tmp_path: Path, mode: int) -> None:
    file = private(tmp_path / "tokens", "abc")
    file.chmod(mode)
    assert len(TokenTable.read(file, None)) == 1


def test_a_missing_tokens_file_is_an_error_and_not_an_open_server(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="can't read the tokens file"):
        TokenTable.read(tmp_path / "none", None)


def test_every_token_is_compared_in_full_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    real = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append((a, b)) or real(a, b))
    table = TokenTable([("first", Client("a")), ("second", Client("b")), ("third", Client("c"))])
    compared.clear()
    for token in ("first", "third", "f", ""):
        table.client_of(token)
    assert len(compared) == 4 * 3
    assert {len(part) for pair in compared for part in pair} == {32}


def test_an_address_that_is_wrong_too_often_is_not_looked_at() -> None:
    access = Access(ONE_TOKEN, (), max_failed_attempts=2)
    for guess in ("a", "b"):
        with pytest.raises(NotAuthorisedError, match="this token is not known"):
            access.client_of(guess, "192.0.2.1")
    with pytest.raises(NotAuthorisedError, match=r"too many wrong tokens; try again in \d+ s") as refused:
        access.client_of("secret", "192.0.2.1")
    assert 0 < refused.value.wait_s <= 30  # two a minute
    assert access.client_of("secret", "192.0.2.2") == Client("console")


def test_a_missing_token_is_no_guess() -> None:
    access = Access(ONE_TOKEN, (), max_failed_attempts=1)
    for _ in range(3):
        with pytest.raises(NotAuthorisedError, match="a token is required"):
            access.client_of(None, "192.0.2.1")
    assert access.client_of("secret", "192.0.2.1") == Client("console")


def test_new_tokens_name_the_clients_whose_old_ones_are_void() -> None:
    access = Access(TokenTable([("1", Client("a")), ("2", Client("b")), ("3", Client("c"))]), ())
    assert access.replace_tokens(TokenTable([("1", Client("a", weight=2)), ("9", Client("b"))])) == {"b", "c"}
    with pytest.raises(ValueError, match="tokens can't be removed altogether"):
        access.replace_tokens(TokenTable())
    assert access.client_of("1", "") == Client("a", weight=2)


def test_tokens_themselves_are_not_kept() -> None:
    assert "secret" not in str(vars(ONE_TOKEN))


@pytest.mark.parametrize("origin", ["http://[", "http://[x]:1", "null", "", "\N{SNOWMAN}"])
def test_an_origin_that_makes_no_sense_is_refused_like_any_other(origin: str) -> None:
    problem = Access(TokenTable(), ()).page_problem("localhost:8420", origin)
    assert problem == f"origin {origin!r} is not on the server's list (--allow-origin)"


def test_the_viewers_own_origin_counts_only_on_this_machine() -> None:
    access = Access(ONE_TOKEN, ())
    assert access.origin_problem("http://localhost:8420", "localhost:8420") is None
    assert access.origin_problem("http://localhost:8420", "localhost:8421") is not None
    assert access.origin_problem("http://server.example", "server.example") is not None
    assert Access(ONE_TOKEN, ("http://server.example/",)).origin_problem("http://server.example", "x") is None
