"""A cine played to a running server in real time, through the Python client."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.screen.played import Cine, Played
from benchmarks.screen.simulated import MIN_SCORE
from fetalseg.encoding import decode_mask
from fetalseg.errors import FetalsegError
from fetalseg.evaluation.cine_truth import crop_of
from fetalseg.evaluation.on_screen import Answer
from fetalseg.evaluation.scored_frames import Detections, detections_of
from fetalseg.instances import Instances
from fetalseg_server.client import EncodedFrame, FrameFlag, Ready, Result, SessionOptions, connect, encode_frame
from fetalseg_server.client.clock import now_us
from fetalseg_server.options import CodecWord

__all__ = ["ServedCine", "play_to_server"]

_START_US = 200_000  # from the greeting until the first frame, so that nothing of the start is in its latency


@dataclass(frozen=True, eq=False)
class ServedCine:
    """What a server made of one cine.

    Attributes:
        ready: its greeting.
        offline: each frame answered before the next one was sent.
        scored: in real time, down to the score floor, untracked.
        displayed: in real time again, tracked, from the model's own least score on.
        outcomes: frames of the second by what became of them: "result", a reason to skip it, "dropped" by the client,
            "late" where this process was.
        rungs: results of the second by the rung of the quality ladder.
    """

    ready: Ready
    offline: Played[Detections]
    scored: Played[Detections]
    displayed: Played[Instances]
    outcomes: Counter[str]
    rungs: Counter[int]


@dataclass(frozen=True, eq=False)
class _Coded:
    """A frame as it is sent; `standing`: the same picture as the one before."""

    frame: EncodedFrame
    standing: bool


def play_to_server(url: str, cine: Cine, *, codec: CodecWord) -> ServedCine:
    """Plays a cine three times.

    Args:
        url: of the stream; its token is read from the environment's `FETALSEG_TOKEN`.
        cine: of structures that the server's model finds.
        codec: how frames travel; JPEG and what it does to the picture is in all figures.

    Raises:
        ConnectionFailedError, StreamError: see `fetalseg_server.client.connect`.
        FetalsegError: the server has other structures than the cine, or skips a frame that it has all the time for.
    """
    coded = _coded(cine, codec)
    ranked = SessionOptions(codec=codec, masks="rle", min_score=MIN_SCORE, track=False)
    ready, each = asyncio.run(_frame_by_frame(url, cine, coded, ranked))
    outcomes: Counter[str] = Counter()
    answers, results = asyncio.run(_in_real_time(url, cine, coded, ranked, outcomes))
    seen, tracked = asyncio.run(_in_real_time(url, cine, coded, replace(ranked, min_score=None, track=True), Counter()))
    ticks = cine.ticks_us
    return ServedCine(
        ready=ready,
        offline=Played(
            [Answer(frame, tick) for frame, tick in enumerate(ticks)], [_detections(result, cine) for result in each]
        ),
        scored=Played(answers, [_detections(result, cine) for result in results]),
        displayed=Played(seen, [_instances(result, cine) for result in tracked]),
        outcomes=outcomes,
        rungs=Counter(result.rung for result in results),
    )


async def _frame_by_frame(
    url: str, cine: Cine, coded: Sequence[_Coded], options: SessionOptions
) -> tuple[Ready, list[Result]]:
    results: list[Result] = []
    async with connect(url, options=options, reconnect=None) as client:
        if (theirs := tuple(client.ready.model["structures"])) != cine.truth.structures:
            raise FetalsegError(
                f"the server finds {', '.join(theirs)}; the cine has {', '.join(cine.truth.structures)}"
            )
        for number, one in enumerate(coded):
            await client.send(one.frame, wait=True)
            answer = await anext(client)
            if not isinstance(answer, Result):
                raise FetalsegError(f"the server gave no result for frame {number}: {answer.reason} {answer.detail}")
            results.append(answer)
        return client.ready, results


async def _in_real_time(
    url: str, cine: Cine, coded: Sequence[_Coded], options: SessionOptions, outcomes: Counter[str]
) -> tuple[list[Answer], list[Result]]:
    """Sends each frame at its tick and notes when its answer has been read."""
    answers: list[Answer] = []
    results: list[Result] = []
    frames: dict[int, int] = {}  # by sequence
    ticks = cine.ticks_us
    async with connect(url, options=options, reconnect=None) as client:
        start_us = now_us() + _START_US

        async def send() -> None:
            for frame, (one, tick_us) in enumerate(zip(coded, ticks, strict=True)):
                await asyncio.sleep(max(0, start_us + tick_us - now_us()) / 1e6)
                if frame + 1 < len(ticks) and now_us() - start_us >= ticks[frame + 1]:
                    outcomes["late"] += 1  # a console doesn't send in a burst what it missed
                    continue
                flags = FrameFlag.FROZEN if one.standing else FrameFlag(0)
                sequence = await client.send(one.frame, capture_time_us=start_us + tick_us, flags=flags)
                if sequence is None:
                    outcomes["dropped"] += 1
                else:
                    frames[sequence] = frame
            await client.bye()

        sending = asyncio.create_task(send())
        try:
            async for answer in client:
                arrived_us = now_us() - start_us
                if isinstance(answer, Result):
                    answers.append(Answer(frames[answer.sequence], arrived_us))
                    results.append(answer)
                outcomes["result" if isinstance(answer, Result) else answer.reason] += 1
            await sending
        finally:
            sending.cancel()
    return answers, results


def _coded(cine: Cine, codec: CodecWord) -> list[_Coded]:
    """All frames, before the clock runs."""
    coded: list[_Coded] = []
    before = None
    for image in cine.truth.images:
        pixels = image.pixels()
        coded.append(_Coded(encode_frame(pixels, codec), before is not None and np.array_equal(before, pixels)))
        before = pixels
    return coded


def _detections(result: Result, cine: Cine) -> Detections:
    return detections_of(_instances(result, cine), cine.truth, masks=True)


def _instances(result: Result, cine: Cine) -> Instances:
    """An answer with masks "rle" as the library's own table."""
    image = cine.truth.images[0]
    shape = image.height, image.width
    cropped = []
    for found in result.instances:
        assert found.rle is not None
        cropped.append(crop_of(decode_mask(found.rle["counts"], shape)))
    return Instances(
        labels=np.array([found.structure_id - 1 for found in result.instances], np.int64),
        scores=np.array([found.score for found in result.instances], np.float32),
        boxes=np.array([found.box for found in result.instances], np.float32).reshape(-1, 4),
        crops=[crop for crop, _ in cropped],
        crop_boxes=np.array([region for _, region in cropped], np.int64).reshape(-1, 4),
        frame_shape=shape,
        structures=cine.truth.structures,
    )
