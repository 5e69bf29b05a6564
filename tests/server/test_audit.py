"""The record of who used the server."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fetalseg_server.access.audit import AuditError, AuditLog
from fetalseg_server.settings import Settings
from server.live import Client, RunningServer, encoded, picture, running

JPEG_BYTES = encoded(picture())
TOKEN = "the-token-of-the-console"
IPV6 = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")


def records(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture
def audited(crafted_settings: Settings, tmp_path: Path) -> Iterator[tuple[RunningServer, Path]]:
    file = tmp_path / "audit.jsonl"
    settings = replace(
        crafted_settings, tokens=f"console:{TOKEN}", audit_file=str(file), trusted_proxies=("127.0.0.5",)
    )
    with running(settings) as live:
        yield live, file


def test_a_session_leaves_who_when_which_model_and_how_many_frames(audited: tuple[RunningServer, Path]) -> None:
    server, file = audited
    with Client(server.url, {"token": TOKEN}) as client:
        session = client.ready["session"]
        client.ask(1, JPEG_BYTES)
        client.ask(2, b"no image")
        client.send_json({"type": "bye"})
        assert client.end()[1] == 1000
    with Client(server.url) as stranger:
        stranger.send_json({"type": "hello", "token": "wrong-token"})
        stranger.end()
    server.wait_until(lambda: len(records(file)) == 4)
    started, connected, ended, refused = records(file)
    model = server.server.service.model
    facts = {"model": "crafted", "version": model.version, "sha256": model.sha256}
    assert {**facts, **started} == started
    assert started["event"] == "started"
    who = {"session": session, "client": "console", "address": "127.0.0.1"}
    assert {**who, **facts, **connected, "event": "connected"} == connected
    assert {**who, **ended, "event": "ended", "code": 1000, "frames": {"result": 1, "decode_error": 1}} == ended
    assert {**refused, "event": "refused", "address": "127.0.0.1", "reason": "not_authorised"} == refused
    assert [record["time"] for record in records(file)] == sorted(record["time"] for record in records(file))
    text = file.read_text()
    assert TOKEN not in text
    assert "wrong-token" not in text
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("host", "seen"), [("127.0.0.1", "127.0.0.6"), pytest.param("::", "::ffff:127.0.0.6", marks=IPV6)]
)
def test_a_trusted_proxy_tells_who_comes_and_nobody_else_does(
    crafted_settings: Settings, tmp_path: Path, host: str, seen: str
) -> None:
    file = tmp_path / "audit.jsonl"
    limits: dict[str, Any] = {"tokens": f"console:{TOKEN}", "trusted_proxies": ("127.0.0.5",)}
    claims = {"X-Forwarded-For": "198.51.100.1, 203.0.113.9"}  # the proxy adds the last one, anybody the others
    with running(replace(crafted_settings, host=host, audit_file=str(file), **limits)) as server:
        port = int(server.host.rpartition(":")[2])
        for source in ("127.0.0.5", "127.0.0.6"):
            with (
                socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(source, 0)) as raw,
                Client(server.url, sock=raw, additional_headers=claims) as stranger,
            ):
                stranger.send_json({"type": "hello", "token": "wrong-token"})
                assert stranger.end()[1] == 1008
        server.wait_until(lambda: len(records(file)) == 3)
    assert [record["address"] for record in records(file)[1:3]] == ["203.0.113.9", seen]


def test_nobody_is_served_who_cannot_be_recorded(
    audited: tuple[RunningServer, Path], caplog: pytest.LogCaptureFixture
) -> None:
    server, file = audited
    audit = server.server.service.journal.audit
    with Client(server.url, {"token": TOKEN}) as before:
        full = os.open("/dev/full", os.O_WRONLY)  # whatever is written there finds no room
        assert audit._descriptor is not None
        os.dup2(full, audit._descriptor)
        os.close(full)
        with Client(server.url) as client:
            client.send_json({"type": "hello", "token": TOKEN})
            error, code = client.end()
        assert error is not None
        assert (error["code"], error["message"], code) == ("audit_failed", "the audit log can't be written", 4003)
        assert "the audit log can't be written: [Errno 28] No space left on device" in caplog.text
        assert audit.failures >= 1
        assert f"fetalseg_audit_failures {float(audit.failures)}" in server.server.service.metrics.text().decode()
        assert before.ask(1, JPEG_BYTES)["type"] == "result"
        server.reload()
        with Client(server.url, {"token": TOKEN}) as again:
            assert again.ask(1, JPEG_BYTES)["type"] == "result"
    assert records(file)[-1]["event"] in ("connected", "ended")


def test_a_rotated_file_is_left_behind_at_a_reload(audited: tuple[RunningServer, Path]) -> None:
    server, file = audited
    old = file.rename(file.with_suffix(".1"))
    server.reload()
    with Client(server.url, {"token": TOKEN}):
        pass
    assert "connected" not in old.read_text()
    server.wait_until(lambda: "ended" in file.read_text())
    assert [record["event"] for record in records(file)][:2] == ["reloaded", "reloaded"]
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_withdrawn_token_ends_its_sessions(crafted_settings: Settings, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("a:first\nb:second\n")
    tokens.chmod(0o600)
    with (
        running(replace(crafted_settings, tokens_file=str(tokens))) as server,
        Client(server.url, {"token": "first"}) as withdrawn,
        Client(server.url, {"token": "second"}) as kept,
    ):
        tokens.write_text("b:second\n")
        server.reload()
        error, code = withdrawn.end()
        assert error is not None
        assert (error["code"], error["message"], code) == ("not_authorised", "the token was withdrawn", 1008)
        assert kept.ask(1, JPEG_BYTES)["type"] == "result"
        tokens.write_text("no tokens: \n")
        server.reload()
        assert kept.ask(2, JPEG_BYTES)["type"] == "result"


def test_records_are_appended_to_what_is_there(tmp_path: Path) -> None:
    file = tmp_path / "audit"

    async def write(count: int) -> None:
        audit = AuditLog(file)
        await asyncio.gather(*(audit.record("refused", address=str(number)) for number in range(count)))
        audit.close()

    asyncio.run(write(20))
    asyncio.run(write(5))
    assert sorted(int(record["address"]) for record in records(file)) == sorted([*range(20), *range(5)])


def test_without_a_file_nothing_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    asyncio.run(AuditLog(None).record("stopped"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mode", [0o644, 0o622])
def test_an_audit_file_that_others_can_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "audit"
    file.touch()
    file.chmod(mode)
    with pytest.raises(ValueError, match=f"the audit file .* is open to others: .* got {mode:04o}"):
        AuditLog(file)


def test_an_audit_file_that_cannot_be_opened_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"can't open the audit file .*: No such file or directory"):
        AuditLog(tmp_path / "none" / "audit")
    with pytest.raises(ValueError, match=r"can't open the audit file .*: Is a directory"):
        AuditLog(tmp_path)


async def test_a_record_that_fails_does_not_keep_the_next_one_back(tmp_path: Path) -> None:
    audit = AuditLog(tmp_path / "audit")
    assert audit._descriptor is not None
    good = os.dup(audit._descriptor)
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, audit._descriptor)
    with pytest.raises(AuditError):
        await audit.record("refused", address="1")
    os.dup2(good, audit._descriptor)
    await audit.record("refused", address="2")
    assert [record["address"] for record in records(tmp_path / "audit")] == ["2"]
    assert (audit.failing, audit.failures) == (False, 1)
    for descriptor in (good, full):
        os.close(descriptor)
    audit.close()
