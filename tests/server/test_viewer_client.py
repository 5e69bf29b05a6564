"""The JavaScript client: its parts by hand-made numbers, and a session with a real server, in a real browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium.webdriver.remote.webdriver import WebDriver

from fetalseg.postprocess.options import NMS_KINDS
from fetalseg_server.app import STATIC
from fetalseg_server.messages import TIMING_KEYS
from fetalseg_server.options import CODEC_WORDS, MASK_WORDS, SessionOptions
from fetalseg_server.protocol import SKIP_REASONS, CloseCode, Codec, FrameFlag, FrameHeader
from server.broken_link import BrokenLink
from server.live import RunningServer
from server.page import run_module

ROOT = Path(__file__).parents[2]
TYPES = (STATIC / "client" / "messages.d.ts").read_text()

# A session that is offered small pictures, each of another gray, and what became of them.
SESSION = """
    const { StreamSession } = await load("index.js");
    const results = [], statuses = [], notices = [], sessions = [];
    let most = 0, closed = 0;
    const canvas = new OffscreenCanvas(96, 72);
    const context = canvas.getContext("2d");
    const offer = async (number, discontinuity = false) => {
      context.fillStyle = `rgb(${number}, ${number}, ${number})`;
      context.fillRect(0, 0, 96, 72);
      const bitmap = await createImageBitmap(canvas);
      const close = bitmap.close.bind(bitmap);
      bitmap.close = () => { closed += 1; close(); };
      session.offer({ bitmap, capturedAt: performance.now(), number, discontinuity });
      most = Math.max(most, session.unanswered);
    };
    const session = new StreamSession(args[0], { masks: "polygon" }, {
      onStatus: ({ state, retryAt }) => statuses.push([state, retryAt > 0]),
      onReady: (ready, resumed) => sessions.push([ready.session, resumed]),
      onSkipped: (skip) => notices.push(skip.reason),
      onNotice: (words) => notices.push(words),
      onResult: (result, picture, facts) => {
        const captured = Math.trunc((performance.timeOrigin + picture.capturedAt) * 1000);
        results.push({ number: picture.number, same: captured === result.capture_time_us, facts });
        picture.bitmap.close();
      },
    });
    const until = async (condition) => {
      const end = performance.now() + 40000;
      while (!condition()) {
        if (performance.now() > end) throw new Error(JSON.stringify({ statuses, notices, counts: session.counts }));
        await new Promise((done) => setTimeout(done, 10));
      }
    };
    session.connect();
    await until(() => session.ready);
"""


@contextmanager
def broken_link(server: RunningServer) -> Iterator[BrokenLink]:
    link = BrokenLink(int(server.host.rpartition(":")[2]))
    try:
        yield link
    finally:
        link.close()


def _page(link: BrokenLink) -> str:
    """The server's address on this line: a page may open a WebSocket only where it came from."""
    return f"http://127.0.0.1:{link.port}"


def test_a_frame_is_packed_as_the_readme_shows(browser: WebDriver, server: RunningServer) -> None:
    script = """
        const { packFrame, FLAG, CODEC } = await load("index.js");
        const frame = { codec: CODEC.gray8, sequence: 7, captureTimeUs: 123456, flags: FLAG.discontinuity,
                        width: 640, height: 480, spacingMm: [0.125, 0.25] };
        return [...packFrame(frame, new Uint8Array([1, 2, 3]).buffer)];
    """
    readme = (ROOT / "server" / "README.md").read_text()
    (expected, *_) = re.findall(r"```hex\n(.*?)```", readme, re.DOTALL)
    assert bytes(run_module(browser, server.http, script)) == bytes.fromhex(expected) + bytes([1, 2, 3])


def test_the_greatest_capture_time_and_sequence_fit(browser: WebDriver, server: RunningServer) -> None:
    script = """
        const { packFrame } = await load("protocol.js");
        const frame = { codec: 1, sequence: 2 ** 32 - 1, captureTimeUs: 2 ** 53 - 1 };
        return [...packFrame(frame, new ArrayBuffer(0))];
    """
    header = FrameHeader.parse(bytes(run_module(browser, server.http, script)))
    assert header == FrameHeader(Codec.JPEG, 2**32 - 1, capture_time_us=2**53 - 1, flags=FrameFlag(0))


def test_waiting_times_double_up_to_the_longest_and_vary_by_half(browser: WebDriver, server: RunningServer) -> None:
    script = """
        const { BackOff } = await load("back_off.js");
        const delays = (random) => {
          const backOff = new BackOff({ firstMs: 100, longestMs: 1000, random: () => random });
          const first = Array.from({ length: 6 }, () => backOff.next());
          backOff.reset();
          return [...first, backOff.next()];
        };
        return [delays(1), delays(0)];
    """
    longest, shortest = run_module(browser, server.http, script)
    assert longest == [100, 200, 400, 800, 1000, 1000, 100]
    assert shortest == [50, 100, 200, 400, 500, 500, 50]


def test_the_servers_clock_is_read_from_the_quickest_ping(browser: WebDriver, server: RunningServer) -> None:
    # The server's clock is 5000 ms ahead. 10 ms to it, 2 ms in it, 10 ms back: exact. 40 ms to it, 10 back: 15 off.
    script = """
        const { ServerClock } = await load("clock.js");
        const clock = new ServerClock();
        const readings = [clock.toLocalMs(0)];
        clock.add({ sentMs: 200, receivedUs: 5240000, answeredUs: 5240000, arrivedMs: 250 });
        readings.push(clock.best);
        clock.add({ sentMs: 100, receivedUs: 5110000, answeredUs: 5112000, arrivedMs: 122 });
        readings.push(clock.best, clock.toLocalMs(5111000));
        const slow = { sentMs: 0, receivedUs: 5040000, answeredUs: 5040000, arrivedMs: 50 };
        for (let i = 0; i < 8; i += 1) clock.add(slow);
        readings.push(clock.best);
        clock.clear();
        return [...readings, clock.best];
    """
    assert run_module(browser, server.http, script) == [
        None,
        {"offsetMs": 5015, "roundTripMs": 50},
        {"offsetMs": 5000, "roundTripMs": 20},
        111,
        {"offsetMs": 5015, "roundTripMs": 50},  # only the last eight count, clocks drift
        None,
    ]


def test_each_result_comes_back_with_the_picture_it_was_found_in(browser: WebDriver, server: RunningServer) -> None:
    script = """
        for (let number = 1; number <= 60; number += 1) {
          await offer(number);
          // The others follow at once, and are dropped where the window has no place.
          if (number % 3 === 0) await new Promise((done) => setTimeout(done, 15));
        }
        await until(() => session.unanswered === 0 && results.at(-1)?.number === 60);
        const { counts, clock } = session;
        session.leave();
        return { results, most, closed, counts, clock };
    """
    seen = run_module(browser, server.http, SESSION + script, server.url)
    numbers = [result["number"] for result in seen["results"]]
    assert all(result["same"] for result in seen["results"]), "the time that the server echoes is the picture's"
    assert numbers == sorted(set(numbers)), "in order, each once"
    assert seen["most"] <= 2, "the window is kept"
    counts = seen["counts"]
    assert counts["sent"] == counts["results"] == len(numbers)
    assert counts["sent"] + counts["dropped"] == 60
    assert seen["closed"] == 60, "no picture is left in memory"
    for result in seen["results"]:
        assert result["facts"]["scale"] == 1
        assert result["facts"]["latencyMs"] > 0
    # Browser and server share this machine and its monotonic clock's pace: the ways are short and never negative.
    last = seen["results"][-1]["facts"]
    assert 0 <= last["uploadMs"] <= last["latencyMs"]
    assert 0 <= last["downloadMs"] <= last["latencyMs"]
    assert seen["clock"]["roundTripMs"] >= 0


def test_a_large_picture_is_sent_smaller_and_its_result_scaled_back(browser: WebDriver, server: RunningServer) -> None:
    script = """
        const large = new OffscreenCanvas(1200, 900);
        large.getContext("2d").fillRect(0, 0, 1200, 900);
        session.offer({ bitmap: await createImageBitmap(large), capturedAt: performance.now(), number: 1 });
        await until(() => results.length === 1 || notices.length);
        session.leave();
        return [results[0]?.facts.scale ?? null, notices];
    """
    # 1200 px become 800: 800 x 600 is above the 640 x 480 that this server takes, and says so.
    assert run_module(browser, server.http, SESSION + script, server.url) == [None, ["too_large"]]


def test_a_frame_that_the_server_hangs_up_on_is_not_sent_again_and_again(
    browser: WebDriver, server: RunningServer
) -> None:
    script = """
        const bitmap = await createImageBitmap(canvas);
        const jpeg = new Blob([new Uint8Array(2 ** 21)]);  // this server takes 2^20 bytes, and 2^16 to say so
        session.offer({ bitmap, jpeg, capturedAt: performance.now() });
        await until(() => !session.ready);
        return session.status;
    """
    status = run_module(browser, server.http, SESSION + script, server.url)
    assert (status["state"], status["words"]) == ("failed", "A frame was larger than the server accepts.")


def test_a_cut_connection_comes_back_by_itself_as_the_same_session(browser: WebDriver, server: RunningServer) -> None:
    script = """
        let number = 0;
        while (session.counts.connections < 2 || results.at(-1)?.number < number - 20) {
          await offer(number += 1);
          await new Promise((done) => setTimeout(done, 20));
        }
        const sent = number;
        await until(() => session.unanswered === 0);
        session.leave();
        return { statuses, sessions, notices, closed, sent, same: results.every(({ same }) => same) };
    """
    with broken_link(server) as link:
        link.cut_after = 20_000  # bytes of a connection: no file of the page is asked for with so many, some frames are
        seen = run_module(browser, _page(link), SESSION + script, link.url)
    states = [state for state, _ in seen["statuses"]]
    assert states == ["connecting", "ready", "waiting", "connecting", "ready", "idle"]
    assert ["waiting", True] in seen["statuses"], "the time of the next attempt is told"
    (first, resumed_at_first), (second, resumed) = seen["sessions"]
    assert (resumed_at_first, resumed) == (False, True)
    assert first == second
    assert seen["same"]
    assert seen["closed"] == seen["sent"], "pictures that were on their way are not left in memory"
    assert seen["notices"] == []


def test_a_result_tells_its_scene_also_where_the_first_frame_of_it_was_skipped(
    browser: WebDriver, server: RunningServer
) -> None:
    script = """
        for (const number of [1, 2, 3, 4]) {
          await offer(number, number === 3);
          await until(() => results.length === number);
        }
        await offer(200, true); // so bright that the model fails over it
        await until(() => notices.length === 1);
        await offer(5);
        await until(() => results.length === 5);
        session.leave();
        session.connect();
        await until(() => session.ready);
        await offer(6);
        await until(() => results.length === 6);
        session.leave();
        return results.map(({ facts }) => facts.scene);
    """
    assert run_module(browser, server.http, SESSION + script, server.url) == [1, 1, 2, 2, 3, 4]


def test_a_network_that_falls_silent_is_noticed(browser: WebDriver, server: RunningServer) -> None:
    with broken_link(server) as link:
        start = SESSION + "window.session = session; return true;"
        assert run_module(browser, _page(link), start, link.url)
        with link.stalled():
            waited = browser.execute_async_script("""
                const done = arguments[0];
                const look = setInterval(() => {
                  if (session.status.state === "ready") return;
                  clearInterval(look);
                  done(session.status.words);
                }, 50);
            """)
        assert waited == "The server can't be reached."
        browser.execute_script("session.leave()")


def test_a_score_that_varies_around_the_least_one_does_not_make_a_name_flicker(
    browser: WebDriver, server: RunningServer
) -> None:
    script = """
        const { LeastScore } = await import("/js/least_score.js");
        const leastScore = new LeastScore();
        return args[0].map(([score, least, track]) => {
          const instance = { structure: "heart", score, track_id: track };
          leastScore.look([instance], least);
          return leastScore.passes(instance, least);
        });
    """

    def shown(*frames: tuple[float, float, int | None]) -> list[bool]:
        values = run_module(browser, server.http, script, frames)
        assert isinstance(values, list)
        return values

    assert shown((0.39, 0.4, 1), (0.4, 0.4, 1), (0.39, 0.4, 1), (0.31, 0.4, 1)) == [False, True, True, True]
    assert shown((0.4, 0.4, 1), (0.29, 0.4, 1), (0.39, 0.4, 1)) == [True, False, False], "clearly below, and from new"
    assert shown((0.4, 0.4, 1), (0.39, 0.4, 2)) == [True, False], "another one"
    assert shown((0.4, 0.4, None), (0.39, 0.4, None)) == [True, False], "who knows whether it is the same"
    assert shown((0.4, 0.35, 1), (0.4, 0.45, 1)) == [True, False], "who moves the slider means it"


def test_what_is_drawn_is_numbered_from_one_on_and_keeps_its_number(browser: WebDriver, server: RunningServer) -> None:
    script = """
        const { TrackNumbers } = await import("/js/track_numbers.js");
        const tracks = new TrackNumbers();
        const words = [483, null, 512, 483].map((track) => tracks.words(track));
        for (let other = 2000; other < 2998; other++) tracks.words(other);
        words.push(tracks.words(483), tracks.words(3000), tracks.words(512));
        for (const [scene, track] of [[1, 512], [1, 700], [null, 700], [1, 512], [2, 700]]) {
          tracks.enter(scene);
          words.push(tracks.words(track));
        }
        return words;
    """
    first = [" #1", "", " #2", " #1"]
    later = [" #1", " #1001", " #1002"]  # 512 is the one of a thousand and one that was seen longest ago
    again = [" #1", " #2", " #2", " #1", " #1"]  # each scene begins at 1; a picture without a result is of none
    assert run_module(browser, server.http, script) == [*first, *later, *again]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("CodecWord", CODEC_WORDS),
        ("MaskWord", MASK_WORDS),
        ("NmsWord", NMS_KINDS),
        ("SkipReason", SKIP_REASONS),
    ],
)
def test_the_types_know_every_word(name: str, words: tuple[str, ...]) -> None:
    (declaration,) = re.findall(rf"export type {name} =(.*?);", TYPES, re.DOTALL)
    assert re.findall(r'"(\w+)"', declaration) == list(words)


def fields_of(interface: str) -> set[str]:
    (body,) = re.findall(rf"export interface {interface} .*?\{{\n(.*?)^\}}", TYPES, re.DOTALL | re.MULTILINE)
    return set(re.findall(r"^  (\w+)\??:", body, re.MULTILINE))


def test_the_types_know_every_option_and_stage() -> None:
    assert fields_of("SessionOptions") == set(SessionOptions().to_json())
    assert fields_of("Timing") == set(TIMING_KEYS)


def test_the_types_have_the_keys_of_the_readmes_answers() -> None:
    blocks = re.findall(r"```json\n(.*?)```", (ROOT / "server" / "README.md").read_text(), re.DOTALL)
    messages = [json.loads(block) for block in blocks]
    answers = {message["type"]: message for message in messages if "type" in message}
    assert {*answers["ready"], "ladder"} == fields_of("Ready")
    assert set(answers["result"]) <= fields_of("Result")
    assert set(answers["result"]["instances"][0]) <= fields_of("Instance")
    assert set(answers["skipped"]) == fields_of("Skipped")
    (examination,) = [message for message in messages if "structures" in message]
    assert set(examination) == fields_of("Examination")
    entry = examination["views"]["neck"]
    assert set(entry) == fields_of("ExaminationEntry")
    assert set(entry["best"]) == fields_of("BestFrame")


def test_every_reason_and_close_code_has_words_for_the_person_at_the_screen() -> None:
    words = (STATIC / "client" / "words.js").read_text()
    assert [reason for reason in SKIP_REASONS if f'["{reason}",' not in words] == []
    assert [code.value for code in CloseCode if f"[{code.value}," not in words] == []


def test_the_scripts_agree_with_their_types() -> None:
    compiler = shutil.which("tsc")
    if compiler is None:
        pytest.skip("no TypeScript compiler: npm install -g typescript, to check the types of the JavaScript")
    command = [compiler, "-p", str(ROOT / "server" / "jsconfig.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.stdout == ""
    assert done.returncode == 0
