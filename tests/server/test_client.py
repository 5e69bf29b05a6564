"""The Python client against a real server whose model finds the same cranium in every frame."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from fetalseg_server.client import (
    Answer,
    ConnectionFailedError,
    GrabberLayout,
    Region,
    Result,
    Skipped,
    StreamError,
    connect,
    connect_sync,
    encode_frame,
    segment_frames,
)
from fetalseg_server.options import SessionOptions
from fetalseg_server.protocol import Codec
from fetalseg_server.settings import Settings
from server.live import RunningServer, running

FRAME = np.full((48, 64), 40, np.uint8)
# The crafted box 8, 4, 24, 20 of a 32 x 24 input, on a frame twice as large.
BOX = (16.0, 8.0, 48.0, 40.0)


async def answers_to(server: RunningServer, frames: Sequence[Any], **options: Any) -> list[Any]:
    async with connect(server.url, options=SessionOptions(**options)) as client:
        for frame in frames:
            await client.send(frame, wait=True)
        await client.bye()
        return [answer async for answer in client]


async def test_a_frame_comes_back_with_its_structure_on_the_clients_own_scale(server: RunningServer) -> None:
    async with connect(server.url) as client:
        assert client.ready.window == 2
        assert client.ready.model["name"] == "crafted"
        sequence = await client.send(FRAME, capture_time_us=123_456)
        answer = await anext(client)
    assert isinstance(answer, Result)
    assert (answer.sequence, answer.capture_time_us) == (sequence, 123_456)
    (found,) = answer.instances
    assert (found.structure, found.structure_id) == ("cranium", 1)
    assert found.score == pytest.approx(0.9, abs=0.01)
    assert found.box == pytest.approx(BOX, abs=0.5)
    assert answer.view is not None
    assert answer.view[0] == "head"
    assert answer.latency_ms >= (answer.sent_us - answer.received_us) / 1000 > 0


@pytest.mark.parametrize("codec", ["jpeg", "png", "gray8", "rgb24"])
async def test_every_codec_carries_gray_and_colour(server: RunningServer, codec: str) -> None:
    answers = await answers_to(server, [FRAME, np.full((48, 64, 3), 40, np.uint8)], codec=codec)
    assert [type(answer) for answer in answers] == [Result, Result]


async def test_the_bytes_of_an_image_file_are_sent_as_they_are(server: RunningServer) -> None:
    files = [cv2.imencode(suffix, FRAME)[1].tobytes() for suffix in (".jpg", ".png")]
    assert [type(answer) for answer in await answers_to(server, files)] == [Result, Result]


async def test_a_label_map_is_attached_to_its_result(server: RunningServer) -> None:
    answers = await answers_to(server, [FRAME, FRAME], masks="labelmap")
    for answer in answers:
        assert isinstance(answer, Result)
        assert answer.labelmap is not None
        assert answer.labelmap.shape == FRAME.shape
        assert answer.labelmap[24, 32] == 1  # the cranium's id in the middle of its box
        assert answer.labelmap[2, 2] == 0


async def test_polygon_and_rle_arrive_as_asked(server: RunningServer) -> None:
    (polygon,) = await answers_to(server, [FRAME], masks="polygon")
    (rle,) = await answers_to(server, [FRAME], masks="rle")
    found_polygon, found_rle = polygon.instances[0], rle.instances[0]
    assert found_polygon.rle is None
    assert min(found_polygon.polygon[0][0::2]) == pytest.approx(BOX[0], abs=1)
    assert found_rle.polygon is None
    assert found_rle.rle["size"] == [48, 64]


async def test_options_change_from_the_next_frame_on(server: RunningServer) -> None:
    async with connect(server.url) as client:
        await client.send(FRAME)
        options = await client.configure(min_score=0.95, masks="labelmap")
        await client.send(FRAME, wait=True)
        before, after = await anext(client), await anext(client)
    assert options.min_score == 0.95
    assert len(before.instances) == 1
    assert before.labelmap is None
    assert len(after.instances) == 0
    assert after.labelmap is not None


async def test_an_option_that_does_not_exist_is_refused_before_it_is_sent(server: RunningServer) -> None:
    async with connect(server.url) as client:
        with pytest.raises(ValueError, match="unknown option colour"):
            await client.configure(colour="red")


async def test_frames_beyond_the_window_are_dropped_at_the_source(server: RunningServer) -> None:
    async with connect(server.url) as client:
        with server.engine_paused():
            assert [await client.send(FRAME) for _ in range(5)] == [1, 2, None, None, None]
            assert (client.unanswered, client.dropped) == (2, 3)
        assert [(await anext(client)).sequence for _ in range(2)] == [1, 2]
        assert await client.send(FRAME) == 3


async def test_what_is_no_image_is_skipped_and_the_session_lives_on(server: RunningServer) -> None:
    skipped, result = await answers_to(server, [b"\xff\xd8 this is no JPEG", FRAME])
    assert isinstance(skipped, Skipped)
    assert skipped.reason == "decode_error"
    assert skipped.detail
    assert isinstance(result, Result)


def test_frames_can_be_segmented_without_an_event_loop(server: RunningServer) -> None:
    answers = list(segment_frames(server.url, [FRAME] * 7))
    assert [answer.sequence for answer in answers] == [1, 2, 3, 4, 5, 6, 7]


def test_the_same_client_works_without_an_event_loop(server: RunningServer) -> None:
    with connect_sync(server.url, options=SessionOptions(codec="gray8")) as client:
        assert (client.state, client.ready.window, client.options.codec) == ("connected", 2, "gray8")
        assert client.configure(masks="none").masks == "none"
        assert client.send(FRAME, capture_time_us=7) == 1
        answer = next(client)
        assert isinstance(answer, Result)
        assert (answer.capture_time_us, answer.instances[0].polygon) == (7, None)
        with server.engine_paused():
            assert [client.send(FRAME) for _ in range(3)] == [2, 3, None]
            assert client.poll() == []
            assert (client.sent, client.dropped, client.unanswered, client.lost, client.reconnects) == (3, 1, 2, 0, 0)
        client.bye()
        assert [answer.sequence for answer in client] == [2, 3]
        with pytest.raises(StreamError, match="the session has ended"):
            client.send(FRAME)
    assert "fetalseg stream" not in {thread.name for thread in threading.enumerate()}


def test_one_thread_may_send_while_another_one_reads(server: RunningServer) -> None:
    with connect_sync(server.url) as client, ThreadPoolExecutor(1) as reading:
        answers = reading.submit(list, client)
        for _ in range(10):
            client.send(FRAME, wait=True)
        client.bye()
        assert [answer.sequence for answer in answers.result(30)] == list(range(1, 11))


def test_a_live_loop_sends_and_looks_what_has_come(server: RunningServer) -> None:
    layout = GrabberLayout("bgra32", 80, 60, pitch=512, region=Region(8, 6, 64, 48))
    memory = np.full((60, 512), 40, np.uint8)
    answers: list[Answer] = []
    with connect_sync(server.url) as client:
        while len(answers) < 5:
            client.send(layout.pixels(memory.data))
            answers += client.poll()
    assert all(isinstance(answer, Result) for answer in answers)
    assert answers[0].instances[0].box == pytest.approx(BOX, abs=0.5)


async def test_after_bye_nothing_can_be_sent(server: RunningServer) -> None:
    async with connect(server.url) as client:
        await client.bye()
        with pytest.raises(StreamError, match=r"bye has been said|the session has ended"):
            await client.send(FRAME)


def test_a_caller_may_stop_reading_early(server: RunningServer) -> None:
    answers = segment_frames(server.url, itertools.repeat(FRAME))
    assert next(answers).sequence == 1
    answers.close()


async def test_nobody_listening_is_said_in_plain_words() -> None:
    with pytest.raises(ConnectionFailedError, match=r"no server listens at ws://127\.0\.0\.1:9/v1/stream"):
        async with connect("ws://127.0.0.1:9/v1/stream"):
            pass


async def test_an_address_that_is_no_websocket_is_a_callers_mistake() -> None:
    with pytest.raises(ValueError, match="expected an address such as ws://"):
        async with connect("http://127.0.0.1:9/v1/stream"):
            pass


async def test_another_path_of_the_server_is_no_stream(server: RunningServer) -> None:
    with pytest.raises(ConnectionFailedError, match="is no stream"):
        async with connect(server.url + "s"):
            pass


async def test_a_hello_that_is_refused_names_the_reason_and_the_close_code(server: RunningServer) -> None:
    with pytest.raises(ConnectionFailedError, match="no-such-model") as caught:
        async with connect(server.url, options=SessionOptions(model="no-such-model")):
            pass
    assert caught.value.close_code is not None
    assert caught.value.code


async def test_a_wrong_token_is_said_in_plain_words_and_the_right_one_is_welcome(crafted_settings: Settings) -> None:
    with running(replace(crafted_settings, tokens="console:sesame-sesame-sesame")) as guarded:
        with pytest.raises(ConnectionFailedError, match="does not accept the token") as caught:
            async with connect(guarded.url, token="pepper"):
                pass
        assert caught.value.close_code == 1008
        async with connect(guarded.url, token="sesame-sesame-sesame") as client:
            await client.send(FRAME)
            assert isinstance(await anext(client), Result)


async def test_a_server_that_shuts_down_ends_the_session_with_its_reason(crafted_settings: Settings) -> None:
    with ExitStack() as stack:
        mortal = stack.enter_context(running(crafted_settings))
        async with connect(mortal.url, reconnect=None) as client:
            await client.send(FRAME)
            assert isinstance(await anext(client), Result)
            stopping = asyncio.create_task(asyncio.to_thread(stack.close))
            with pytest.raises(StreamError, match="shutting down") as caught:
                await asyncio.wait_for(anext(client), 20)
            assert caught.value.close_code == 1001
            with pytest.raises(StreamError):
                await client.send(FRAME)
            await stopping


@pytest.mark.parametrize(
    ("codec", "expected"),
    [("jpeg", Codec.JPEG), ("png", Codec.PNG), ("gray8", Codec.GRAY8), ("rgb24", Codec.RGB24)],
)
def test_encoding_keeps_the_pixels(codec: str, expected: Codec) -> None:
    colour = np.zeros((20, 30, 3), np.uint8)
    colour[:, :, 0] = 200  # red
    frame = encode_frame(colour, codec, quality=95)
    assert frame.codec is expected
    if codec == "gray8":
        assert (frame.width, frame.height, len(frame.payload)) == (30, 20, 600)
        assert frame.payload[0] == 60  # 0.299 * 200, the luma of red
    elif codec == "rgb24":
        assert frame.payload[:3] == bytes([200, 0, 0])
    else:
        assert (frame.width, frame.height) == (0, 0)
        image = cv2.imdecode(np.frombuffer(frame.payload, np.uint8), cv2.IMREAD_COLOR_RGB)
        assert image[10, 15] == pytest.approx([200, 0, 0], abs=3)


def test_an_unknown_codec_is_refused() -> None:
    with pytest.raises(ValueError, match="expected jpeg, png, gray8 or rgb24"):
        encode_frame(FRAME, "webp")
