"""The Python client on lines that break, against a real server behind a proxy that breaks them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fetalseg_server.client import (
    ConnectionFailedError,
    Lost,
    Reconnect,
    Result,
    SessionEvent,
    SessionOptions,
    StreamError,
    connect,
    connect_sync,
    segment_frames,
)
from fetalseg_server.settings import Settings
from server.broken_link import BrokenLink
from server.live import RunningServer, running

FRAME = np.full((48, 64), 40, np.uint8)
QUICK = Reconnect(attempts=200, first_delay_s=0.01, max_delay_s=0.05)
GRAY = SessionOptions(codec="gray8")  # 3,104 bytes a frame


def port_of(server: RunningServer) -> int:
    return int(server.host.rpartition(":")[2])


@pytest.fixture
def link(server: RunningServer) -> Iterator[BrokenLink]:
    link = BrokenLink(port_of(server))
    yield link
    link.close()


async def test_messages_that_arrive_in_crumbs_are_put_together(link: BrokenLink) -> None:
    link.chunk = 7
    async with connect(link.url, options=SessionOptions(codec="gray8", masks="labelmap")) as client:
        for _ in range(3):
            await client.send(FRAME, wait=True)
            answer = await anext(client)
            assert isinstance(answer, Result)
            assert answer.labelmap is not None
            assert answer.labelmap[24, 32] == 1


async def test_frames_in_flight_at_a_break_are_lost_once_and_the_session_goes_on(
    server: RunningServer, link: BrokenLink
) -> None:
    async with connect(link.url, reconnect=QUICK) as client:
        await client.send(FRAME)
        assert isinstance(await anext(client), Result)
        with server.engine_paused():
            assert [await client.send(FRAME, capture_time_us=us) for us in (10, 20, 30)] == [2, 3, None]
            link.cut()
            lost = [await anext(client), await anext(client)]
        assert [(type(one), one.sequence, one.capture_time_us) for one in lost] == [(Lost, 2, 10), (Lost, 3, 20)]
        assert {one.reason for one in lost if isinstance(one, Lost)} == {"lost"}
        assert await client.send(FRAME, wait=True) == 4
        answer = await anext(client)
        assert isinstance(answer, Result)
        assert answer.sequence == 4
        assert (client.sent, client.lost, client.dropped, client.reconnects) == (4, 2, 1, 1)


async def test_every_frame_gets_exactly_one_answer_in_order_whatever_is_cut(link: BrokenLink) -> None:
    async with connect(link.url, reconnect=QUICK, options=GRAY) as client:
        for number in range(48):
            if number % 12 == 3:  # in a header, in pixels, between two frames
                link.cut_after = 7000 + 777 * number
            await client.send(FRAME, wait=True)
        await client.bye()
        answers = [answer async for answer in client]
    assert [answer.sequence for answer in answers] == list(range(1, 49))
    lost = sum(isinstance(answer, Lost) for answer in answers)
    assert lost == client.lost > 0
    assert client.reconnects >= 3


async def test_a_line_that_went_dead_without_a_word_is_noticed(link: BrokenLink) -> None:
    async with connect(link.url, reconnect=QUICK, silence_s=1.5, timeout_s=5) as client:
        with link.stalled():
            assert await client.send(FRAME) == 1
            lost = await anext(client)
            assert isinstance(lost, Lost)
            assert lost.detail == "the connection broke off: nothing was heard from the server for 1.5 s"
            assert client.state == "reconnecting"
            assert await client.send(FRAME) is None
        assert await client.send(FRAME, wait=True) == 2
        assert (await anext(client)).sequence == 2


async def test_a_program_that_holds_its_own_event_loop_does_not_blame_the_server(link: BrokenLink) -> None:
    async with connect(link.url, silence_s=1.5) as client:
        time.sleep(2.0)
        await asyncio.sleep(0)
        await client.send(FRAME)
        assert isinstance(await anext(client), Result)
        assert client.reconnects == 0


async def test_without_reconnect_a_break_ends_the_session(link: BrokenLink) -> None:
    async with connect(link.url, reconnect=None) as client:
        link.cut()
        with pytest.raises(StreamError, match="the connection broke off"):
            await anext(client)
        with pytest.raises(StreamError, match="the connection broke off"):
            client.poll()
        assert client.state == "ended"
        assert link.connections == 1


async def test_the_console_is_told_what_happens(link: BrokenLink) -> None:
    events: list[SessionEvent] = []
    async with connect(link.url, reconnect=QUICK, on_event=events.append) as client:
        with link.refusing():
            await client.send(FRAME)
            while client.state == "connected":
                await asyncio.sleep(0.01)
        await client.send(FRAME, wait=True)
    assert [event.kind for event in events] == ["connected", "reconnecting", "connected", "ended"]
    assert events[1].message == "the connection broke off"
    assert events[3].message == "the session has ended"


async def test_giving_up_says_how_often_it_was_tried_and_why_it_failed(link: BrokenLink) -> None:
    reconnect = Reconnect(attempts=3, first_delay_s=0.01, max_delay_s=0.02)
    async with connect(link.url, reconnect=reconnect) as client:
        with link.refusing():
            with pytest.raises(ConnectionFailedError, match=r"gave up after 3 attempts in \d+\.\d s: can't connect to"):
                await anext(client)
            with pytest.raises(ConnectionFailedError, match="gave up after 3 attempts"):
                await client.send(FRAME)
            with pytest.raises(ConnectionFailedError, match="gave up after 3 attempts"):
                await client.configure(masks="none")
        assert link.connections == 4


async def test_a_session_can_be_left_while_its_connection_is_broken(link: BrokenLink) -> None:
    patient = Reconnect(first_delay_s=1000, max_delay_s=1000)
    async with connect(link.url, reconnect=patient) as client:
        link.cut()
        while client.state == "connected":
            await asyncio.sleep(0.01)
    with pytest.raises(StreamError, match="left while its connection was broken"):
        await anext(client)


async def test_frames_in_flight_are_answered_even_if_the_session_is_left_the_moment_it_breaks(
    server: RunningServer, link: BrokenLink
) -> None:
    async with connect(link.url, reconnect=QUICK) as client:
        with server.engine_paused():
            assert await client.send(FRAME) == 1
            link.cut()
            while client._link.is_up:  # nothing else tells this moment, before the break has been dealt with
                await asyncio.sleep(0)
            await client.bye()
            lost = await anext(client)
    assert isinstance(lost, Lost)
    assert lost.sequence == 1


async def test_what_waits_for_the_server_at_a_break_is_told(server: RunningServer, link: BrokenLink) -> None:
    async with connect(link.url, reconnect=QUICK) as client:
        with server.engine_paused():
            await client.send(FRAME)
            configuring = asyncio.create_task(
                client.configure(min_score=0.95)
            )  # answered in its place: after the frame
            await asyncio.sleep(0.1)
            link.cut()
            with pytest.raises(StreamError, match="the connection broke off"):
                await configuring
        assert (await client.configure(min_score=0.95)).min_score == 0.95
        assert isinstance(await anext(client), Lost)


async def test_options_outlive_the_connection(link: BrokenLink) -> None:
    async with connect(link.url, reconnect=QUICK, options=SessionOptions(masks="none")) as client:
        await client.configure(min_score=0.95, masks="labelmap")
        link.cut()
        await client.send(FRAME, wait=True)
        while isinstance(answer := await anext(client), Lost):  # where it was sent before the break was noticed
            await client.send(FRAME, wait=True)
        assert isinstance(answer, Result)
        assert answer.instances == ()
        assert answer.labelmap is not None


async def test_a_broken_session_goes_on_and_one_that_said_goodbye_does_not(link: BrokenLink) -> None:
    events: list[SessionEvent] = []
    async with connect(link.url, reconnect=QUICK, on_event=events.append) as client:
        session = client.ready.session
        link.cut()
        while client.reconnects < 1:
            await asyncio.sleep(0.01)
        assert client.resumed
        assert client.ready.session == session
        await client.send(FRAME)
        assert isinstance(await anext(client), Result)
    assert events[2].message == f"session {session} goes on"
    async with connect(link.url, reconnect=QUICK) as another:
        assert another.ready.session != session
        assert not another.resumed


async def test_a_console_may_be_on_before_its_server(link: BrokenLink) -> None:
    async def opened() -> Result | None:
        async with connect(link.url, reconnect=replace(QUICK, at_start=True)) as client:
            await client.send(FRAME)
            answer = await anext(client)
            return answer if isinstance(answer, Result) else None

    with link.refusing():
        session = asyncio.create_task(opened())
        while link.connections < 3:
            await asyncio.sleep(0.01)
    assert await session is not None


async def test_what_cannot_succeed_is_not_tried_again(link: BrokenLink) -> None:
    stubborn = replace(QUICK, at_start=True)
    with pytest.raises(ConnectionFailedError, match="no-such-model") as caught:
        async with connect(link.url, reconnect=stubborn, options=SessionOptions(model="no-such-model")):
            pass
    assert caught.value.close_code == 4000
    with pytest.raises(ConnectionFailedError, match="is no stream: it answered HTTP 403"):
        async with connect(link.url + "s", reconnect=stubborn):
            pass
    assert link.connections == 2


async def test_a_replaced_token_is_read_anew_and_a_withdrawn_one_is_final(
    crafted_settings: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "token.txt"
    file.write_text("# this month's\nsesame-sesame-sesame\n")
    with running(replace(crafted_settings, tokens="old:sesame-sesame-sesame,new:pepper-pepper-pepper")) as guarded:
        link = BrokenLink(port_of(guarded))
        try:
            async with connect(link.url, token=file, reconnect=QUICK) as client:
                file.write_text("pepper-pepper-pepper\n")
                link.cut()
                while client.reconnects < 1:
                    await asyncio.sleep(0.01)
                file.write_text("saffron-saffron-saffron\n")
                link.cut()
                with pytest.raises(ConnectionFailedError, match="does not accept the token") as caught:
                    await anext(client)
            assert caught.value.close_code == 1008
            assert link.connections == 3
        finally:
            link.close()


async def test_a_server_that_restarts_finds_its_consoles_again(crafted_settings: Settings) -> None:
    with ExitStack() as stack:
        servers = ExitStack()
        first = servers.enter_context(running(crafted_settings))
        link = BrokenLink(port_of(first))
        stack.callback(link.close)
        async with connect(link.url, reconnect=QUICK) as client:
            await client.send(FRAME)
            assert isinstance(await anext(client), Result)
            session = client.ready.session
            await asyncio.to_thread(servers.close)
            second = stack.enter_context(running(crafted_settings))
            link.target_port = port_of(second)
            await client.send(FRAME, wait=True)
            assert isinstance(await anext(client), Result)
            assert client.ready.session != session
            assert not client.resumed


def test_the_client_without_an_event_loop_comes_back_as_well(link: BrokenLink) -> None:
    with connect_sync(link.url, reconnect=QUICK) as client:
        client.send(FRAME)
        assert isinstance(next(client), Result)
        link.cut()
        while client.reconnects < 1:
            time.sleep(0.01)
        assert client.state == "connected"
        assert client.send(FRAME, wait=True) == 2
        assert next(client).sequence == 2


def test_a_recording_is_streamed_to_its_end_over_a_bad_line(link: BrokenLink) -> None:
    link.cut_after = 20_000
    answers = list(segment_frames(link.url, [FRAME] * 20, options=GRAY, reconnect=QUICK))
    assert [answer.sequence for answer in answers] == list(range(1, 21))
    assert isinstance(answers[-1], Result)
    assert link.connections == 2
