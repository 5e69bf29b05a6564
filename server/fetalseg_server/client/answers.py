"""What a server says, as typed values: the greeting, and for each frame a result or why there is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from fetalseg_server.protocol import HEADER_BYTES, RESULT_MAGIC, FrameHeader, ProtocolError

__all__ = [
    "Answer",
    "FoundStructure",
    "Lost",
    "Ready",
    "Result",
    "Skipped",
    "read_labelmap",
    "read_ready",
    "read_result",
    "read_skipped",
]


@dataclass(frozen=True)
class Ready:
    """What the server said when the session began.

    Attributes:
        session: id of the session.
        model: "name", "version", "sha256", "input" [h, w], "structures".
        engine: word of the runtime.
        window: frames that may be unanswered.
        limits: "window", "max_frame_bytes", "max_pixels", "max_fps".
        features: words of what the server can do beyond the minimum.
        ladder: what each rung of the quality ladder above 0 means, () where the server has none.
    """

    session: str
    model: Mapping[str, Any]
    engine: str
    window: int
    limits: Mapping[str, int]
    features: tuple[str, ...]
    ladder: tuple[str, ...] = ()


@dataclass(frozen=True)
class FoundStructure:
    """One instance of an answer.

    Attributes:
        structure: name, one of the model's in `ready`.
        structure_id: its place there, from 1 on.
        score: 0..1.
        box: x1, y1, x2, y2 in pixels of the frame.
        track_id: identity over time, or None.
        polygon: outer rings x, y, x, y, ..., for masks "polygon".
        rle: COCO compressed "size" and "counts", for masks "rle".
    """

    structure: str
    structure_id: int
    score: float
    box: tuple[float, float, float, float]
    track_id: int | None = None
    polygon: list[list[float]] | None = None
    rle: Mapping[str, Any] | None = None


@dataclass(frozen=True, eq=False)
class Result:
    """The structures of one frame.

    Attributes:
        sequence: of the frame.
        capture_time_us: as it was sent.
        latency_ms: from handing the frame to the socket to having the whole answer, on this computer's clock.
        view: (name, score), or None.
        instances: best score first.
        timing_ms: milliseconds per stage at the server.
        received_us: server's monotonic clock at the frame's last byte.
        sent_us: the same clock at the answer.
        rung: of the quality ladder, 0 the best.
        dropped_before: frames skipped since the result before.
        labelmap: uint8 [H, W], 0 or a structure id, for masks "labelmap".
        uplink_ms: estimate of the frame's way to the server, None before the clocks were compared; see
            `fetalseg_server.client.clock` for how far off it can be. Uplink, `sent_us - received_us` and downlink
            add up to the latency.
        downlink_ms: likewise of the answer's way back.
        examination: entries of the check list that this frame changed, "structures" and "views" by name, for sessions
            with `examination`; None where none did.
    """

    sequence: int
    capture_time_us: int
    latency_ms: float
    view: tuple[str, float] | None
    instances: tuple[FoundStructure, ...]
    timing_ms: Mapping[str, float]
    received_us: int
    sent_us: int
    rung: int = 0
    dropped_before: int = 0
    labelmap: npt.NDArray[np.uint8] | None = None
    uplink_ms: float | None = None
    downlink_ms: float | None = None
    examination: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Skipped:
    """The server did not process this frame.

    Attributes:
        sequence: of the frame.
        latency_ms: as in `Result`.
        reason: a word of `SKIP_REASONS`.
        detail: for a person to read.
        received_us: as in `Result`.
        sent_us: as in `Result`.
        capture_time_us: as in `Result`.
        uplink_ms: as in `Result`.
        downlink_ms: as in `Result`.
    """

    sequence: int
    latency_ms: float
    reason: str
    detail: str
    received_us: int
    sent_us: int
    capture_time_us: int = 0
    uplink_ms: float | None = None
    downlink_ms: float | None = None


@dataclass(frozen=True)
class Lost:
    """The connection ended before this frame's answer came; whether the server saw the frame isn't known.

    Attributes:
        sequence: of the frame.
        capture_time_us: as it was sent.
        detail: how the connection ended, for a person to read.
        reason: always "lost", beside the reasons of `Skipped`.
    """

    sequence: int
    capture_time_us: int
    detail: str
    reason: Literal["lost"] = "lost"


Answer = Result | Skipped | Lost


def read_ready(message: Mapping[str, Any]) -> Ready:
    """Reads the greeting.

    Raises:
        ProtocolError: something is missing or of another form, as with every reader here.
    """
    with _complete(message):
        limits = message["limits"]
        features = tuple(message["features"])
        return Ready(
            session=message["session"],
            model=message["model"],
            engine=message["engine"],
            window=int(limits["window"]),
            limits=limits,
            features=features,
            ladder=tuple(message.get("ladder", ())),
        )


def read_result(message: Mapping[str, Any], latency_ms: float) -> Result:
    """Reads a `result` message."""
    with _complete(message):
        view = message.get("view")
        return Result(
            sequence=message["sequence"],
            capture_time_us=message["capture_time_us"],
            latency_ms=latency_ms,
            view=(view["name"], view["score"]) if view else None,
            instances=tuple(_read_instance(values) for values in message["instances"]),
            timing_ms=message["timing_ms"],
            received_us=message["received_us"],
            sent_us=message["sent_us"],
            rung=message.get("rung", 0),
            dropped_before=message.get("dropped_before", 0),
            examination=message.get("examination"),
        )


def read_skipped(message: Mapping[str, Any], latency_ms: float) -> Skipped:
    """Reads a `skipped` message."""
    with _complete(message):
        return Skipped(
            sequence=message["sequence"],
            latency_ms=latency_ms,
            reason=message["reason"],
            detail=message.get("detail", ""),
            received_us=message["received_us"],
            sent_us=message["sent_us"],
        )


def read_labelmap(message: bytes, sequence: int) -> npt.NDArray[np.uint8]:
    """Reads the binary message that follows the result of frame `sequence`: uint8 [H, W], 0 or a structure id."""
    header = FrameHeader.parse(message, RESULT_MAGIC)
    if header.sequence != sequence:
        raise ProtocolError(f"expected the label map of frame {sequence}, got that of frame {header.sequence}")
    image = cv2.imdecode(np.frombuffer(message, np.uint8, offset=HEADER_BYTES), cv2.IMREAD_UNCHANGED)
    if image is None or image.dtype != np.uint8 or image.ndim != 2:
        raise ProtocolError(f"the label map of frame {sequence} is no 8-bit gray PNG")
    return image.astype(np.uint8, copy=False)


def _read_instance(values: Mapping[str, Any]) -> FoundStructure:
    x1, y1, x2, y2 = values["box"]
    return FoundStructure(
        structure=values["structure"],
        structure_id=values["structure_id"],
        score=values["score"],
        box=(x1, y1, x2, y2),
        track_id=values.get("track_id"),
        polygon=values.get("polygon"),
        rle=values.get("rle"),
    )


@contextmanager
def _complete(message: Mapping[str, Any]) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        kind = message.get("type")
        raise ProtocolError(f"a {kind!r} message is incomplete or of another form: {error!r}") from None
