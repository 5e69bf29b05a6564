"""The client's clock, back-off and token, by values worked out by hand."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from fetalseg_server.client import Reconnect, Result, Skipped, StreamError, connect
from fetalseg_server.client.clock import ClockEstimate, ServerClock
from fetalseg_server.client.endpoint import Endpoint, read_token
from fetalseg_server.client.reconnect import Backoff
from server.live import RunningServer, encoded, picture


def test_offset_and_delay_are_those_of_ntp() -> None:
    clock = ServerClock()
    assert clock.estimate(0) is None
    # Sent at 1,000; the server's clock is 50,000 ahead: received after 300, answered 200 later, back after 500.
    clock.add(1_000, 51_300, 51_500, 2_000)
    # Offset ((51300 - 1000) + (51500 - 2000)) / 2: off by half of what the ways differ, (500 - 300) / 2.
    assert clock.estimate(2_000) == ClockEstimate(offset_us=49_900, delay_us=800, error_us=400)


def test_the_quickest_sample_stays_until_the_clocks_may_have_drifted_by_more() -> None:
    clock = ServerClock()
    clock.add(0, 1_050, 1_050, 100)  # 100 there and back: the offset is 1000 +- 50
    clock.add(1_000, 2_800, 2_800, 2_000)  # 1000 there and back
    assert clock.estimate(2_000) == ClockEstimate(1_000, 100, pytest.approx(50.19))  # 1.9 ms at 100 ppm
    clock.add(4_600_000, 4_601_800, 4_601_800, 4_601_000)  # error 500 against 50 + 460: taken
    assert clock.estimate(4_601_000) == ClockEstimate(1_300, 1_000, 500)


@pytest.mark.parametrize("sample", [(0, 10, 9, 20), (0, 10, 100, 20)])
def test_a_sample_that_no_clocks_give_is_left_out(sample: tuple[int, int, int, int]) -> None:
    clock = ServerClock()
    clock.add(*sample)
    assert clock.estimate(0) is None


async def test_client_and_server_of_one_machine_have_the_same_clock(server: RunningServer) -> None:
    async with connect(server.url) as client:
        for payload in (encoded(picture()), b"no image"):
            await client.send(payload)
            answer = await anext(client)
            assert isinstance(answer, Result | Skipped)
            assert answer.uplink_ms is not None
            assert answer.downlink_ms is not None
            parts = answer.uplink_ms + (answer.sent_us - answer.received_us) / 1000 + answer.downlink_ms
            assert parts == pytest.approx(answer.latency_ms)
        estimate = client.clock
    assert estimate is not None
    assert abs(estimate.offset_us) <= estimate.error_us + 2  # each side cuts its microsecond


def test_delays_double_up_to_the_longest_and_are_drawn_from_zero_on() -> None:
    policy = Reconnect(first_delay_s=0.25, max_delay_s=3)
    assert [policy.delay_s(attempt, 1.0) for attempt in range(6)] == [0.25, 0.5, 1, 2, 3, 3]
    assert [policy.delay_s(attempt, 0.5) for attempt in (0, 3, 100_000)] == [0.125, 1, 1.5]
    assert policy.delay_s(5, 0.0) == 0


def test_attempts_are_counted_until_a_connection_has_proved_itself() -> None:
    backoff = Backoff(Reconnect(attempts=2, max_delay_s=10))
    assert [backoff.next_delay_s() is None for _ in range(3)] == [False, False, True]
    backoff.connection_ended(lasted_s=9.9, answered=False)
    assert backoff.next_delay_s() is None
    for proof in ({"lasted_s": 10.0, "answered": False}, {"lasted_s": 0.1, "answered": True}):
        backoff.connection_ended(**proof)  # type: ignore[arg-type]
        assert [backoff.next_delay_s() is None for _ in range(3)] == [False, False, True]
    assert backoff.in_words.startswith("gave up after 2 attempts in 0.0 s")


@pytest.mark.parametrize("values", [{"attempts": 0}, {"first_delay_s": 0}, {"first_delay_s": 2, "max_delay_s": 1}])
def test_a_policy_that_makes_no_sense_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected attempts >= 1 and 0 < first_delay_s <= max_delay_s"):
        Reconnect(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("close_code", "again"),
    [(1001, True), (1006, True), (1012, True), (4001, True), (4002, True), (4003, True), (4004, True)]
    + [(code, False) for code in (1000, 1008, 1009, 4000, 4005, 4006)],
)
def test_only_what_may_succeed_is_tried_again(close_code: int, again: bool) -> None:
    assert StreamError("", close_code=close_code).can_retry is again
    assert not StreamError("", close_code=close_code, permanent=True).can_retry


def test_a_token_is_given_in_a_file_or_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FETALSEG_TOKEN", "from-the-environment")
    file = tmp_path / "token"
    file.write_text("\n# for room 3\n  from-the-file  \nnot this\n")
    assert read_token(None) == "from-the-environment"
    assert read_token("given") == "given"
    assert read_token(file) == "from-the-file"
    assert read_token("") is None
    monkeypatch.delenv("FETALSEG_TOKEN")
    assert read_token(None) is None


def test_a_token_file_without_a_token_is_a_callers_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="can't read the token file"):
        read_token(tmp_path / "none")
    file = tmp_path / "token"
    file.write_text("# nothing\n")
    with pytest.raises(ValueError, match="holds no token"):
        read_token(file)


def test_a_token_in_the_clear_across_a_network_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    def warnings(url: str) -> list[str]:
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            Endpoint(url, token="sesame", tls=None, timeout_s=1)
        assert "sesame" not in caplog.text
        return [record.getMessage() for record in caplog.records]

    assert warnings("ws://scanner.example/v1/stream") == [
        "the token travels to scanner.example unencrypted; use wss://"
    ]
    assert warnings("ws://127.0.0.1:8420/v1/stream") == []
    assert warnings("wss://scanner.example/v1/stream") == []
