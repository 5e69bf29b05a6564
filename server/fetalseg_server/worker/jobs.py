"""What crosses between the server process and a worker: jobs one way, answers the other, over a local socket.

A message is `header bytes u32 | text bytes u32 | data bytes u32`, the header as JSON, then the text and the data.
A job's frame lies in shared memory. Answers are kilobytes and travel in the message itself: the text is spliced into
the result as it is, so neither is parsed by the server process, which reads untrusted bytes nowhere else.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, NamedTuple

from fetalseg.postprocess.options import NmsKind
from fetalseg_server.messages import ModelDescription
from fetalseg_server.options import MaskWord
from fetalseg_server.protocol import SkipReason

__all__ = [
    "Answer",
    "EngineFailed",
    "EngineReady",
    "EngineSettings",
    "Finding",
    "Forget",
    "Job",
    "MessageReader",
    "Output",
    "Packet",
    "pack",
    "read_order",
]

Output = Literal["message", "overlay", "overlay_jpeg", "probe"]

_LENGTHS = struct.Struct("<III")
_MAX_PART = 256 * 1024 * 1024  # a worker that says more is broken


class Packet(NamedTuple):
    """One message as it crosses."""

    header: dict[str, Any]
    text: bytes = b""
    data: bytes = b""


def pack(packet: Packet) -> bytes:
    """The bytes of one message."""
    header = json.dumps(packet.header, separators=(",", ":")).encode()
    return b"".join((_LENGTHS.pack(len(header), len(packet.text), len(packet.data)), header, packet.text, packet.data))


class MessageReader:
    """Puts messages together from the pieces in which a socket delivers them."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, piece: bytes) -> Iterator[Packet]:
        """Takes a piece, yields the messages that it completes.

        Raises:
            ValueError: impossible lengths, or a header that is not JSON.
        """
        self._buffer += piece
        while len(self._buffer) >= _LENGTHS.size:
            lengths = _LENGTHS.unpack_from(self._buffer)
            if max(lengths) > _MAX_PART:
                raise ValueError(f"a message between server and worker promises parts of {lengths} bytes")
            if len(self._buffer) < _LENGTHS.size + sum(lengths):
                return
            parts = []
            start = _LENGTHS.size
            for length in lengths:
                parts.append(bytes(self._buffer[start : start + length]))
                start += length
            del self._buffer[:start]
            yield Packet(json.loads(parts[0]), parts[1], parts[2])


@dataclass(frozen=True)
class EngineSettings:
    """What a worker loads; the first message to it.

    Attributes:
        model: name or path.
        engine: a word of `fetalseg.engines.ENGINES`, or "auto".
        device: a word of `fetalseg.engines.DEVICES`; None the best that works.
        engine_cache: folder for engines that TensorRT builds; None builds them at each start.
        precision: what to compute in; None the engine's choice.
        threads: of one inference; None one for each core.
        max_pixels: of a decoded frame.
        ladder: the rungs of the quality ladder below full quality, see `fetalseg_server.ladder`.
        batch: frames that the network takes at once; None measures what is fastest.
    """

    model: str
    engine: str = "auto"
    device: str | None = None
    engine_cache: str | None = None
    precision: str | None = None
    threads: int | None = None
    max_pixels: int = 8_847_360
    ladder: tuple[str, ...] = ()
    batch: int | None = 1


@dataclass(frozen=True)
class EngineReady:
    """A worker has loaded its model and run it once.

    Attributes:
        engine: in words, for `ready`: "openvino bf16 (CPU, 2 threads)".
        kind: "openvino".
        precision: what is computed in.
        min_score: the model's default.
        nms: the model's default.
        model: what the file that was loaded says of itself.
        batch: frames that the network takes at once.
    """

    engine: str
    kind: str
    precision: str
    min_score: float
    nms: NmsKind
    model: ModelDescription
    batch: int = 1

    def packet(self) -> Packet:
        """As it crosses."""
        return Packet({"event": "ready", **asdict(self)})

    @classmethod
    def read(cls, packet: Packet) -> EngineReady:
        """From what crossed.

        Raises:
            TypeError, KeyError, ValueError: not what a worker says.
        """
        model = dict(packet.header["model"])
        height, width = model.pop("input")
        model["structures"] = tuple(model["structures"])
        header = {name: value for name, value in packet.header.items() if name not in ("event", "model")}
        return cls(**header, model=ModelDescription(**model, input=(height, width)))


@dataclass(frozen=True)
class EngineFailed:
    """A worker can't load its model; the message can be shown to whoever started the server."""

    message: str


@dataclass(frozen=True)
class Job:
    """One frame to work on.

    Attributes:
        id: of the job, echoed in the answer.
        codec: a `Codec`.
        width: px as the header says, 0 where the payload says it.
        height: px, likewise.
        offset: of the payload in the arena.
        length: of the payload.
        received_ns: the monotonic clock at the frame's last byte.
        deadline_ns: on the same clock; None never.
        masks: how masks are coded.
        min_score: 0..1; None the model's default.
        nms: kind; None the model's default.
        output: "message" for a client's text, "overlay" for a PNG with the structures drawn, "overlay_jpeg" for the
            same in a tenth of the bytes, "probe" for the best few structures whatever their scores are.
        session: id of the session, "" for an image that belongs to none.
        track: give instances identities and steady them.
        examination: tell what the check list needs, see `Answer.findings`.
        scene: of the session; frames of two scenes have nothing in common. A number and not a mark on the first frame,
            because that frame may be skipped.
        frozen: the console shows a standing picture.
        last_track_id: highest identity that the session has been told; new ones lie above it, also in a worker that
            knows nothing of the session. No two workers have frames of one session, see `Scheduler.switch`.
        rung: of the quality ladder.
    """

    id: int
    codec: int
    width: int
    height: int
    offset: int
    length: int
    received_ns: int
    deadline_ns: int | None
    masks: MaskWord
    min_score: float | None
    nms: NmsKind | None
    output: Output = "message"
    session: str = ""
    track: bool = False
    examination: bool = False
    scene: int = 0
    frozen: bool = False
    last_track_id: int = 0
    rung: int = 0

    @property
    def time_s(self) -> float:
        """The monotonic clock at the frame's last byte."""
        return self.received_ns / 1e9

    def packet(self) -> Packet:
        """As it crosses."""
        return Packet(asdict(self))


@dataclass(frozen=True)
class Forget:
    """A session has ended; it follows the session's last job and has no answer.

    Attributes:
        session: its id.
    """

    session: str

    def packet(self) -> Packet:
        """As it crosses."""
        return Packet({"event": "forget", "session": self.session})


def read_order(packet: Packet) -> Job | Forget:
    """What a worker is to do next.

    Raises:
        TypeError: neither of the two.
    """
    if packet.header.get("event") == "forget":
        return Forget(packet.header["session"])
    return Job(**packet.header)


class Finding(NamedTuple):
    """One instance as the check list of an examination takes it.

    Attributes:
        label: place in the model's structures.
        score: 0..1.
        sharpness: of the picture there, see `fetalseg.sharpness`.
    """

    label: int
    score: float
    sharpness: float


@dataclass(frozen=True)
class Answer:
    """What became of a job.

    Attributes:
        id: of the job.
        outcome: "result" or why there is none.
        detail: for people, where there is no result.
        width: of the decoded frame, px.
        height: px.
        timing_ms: by stage, all but `total`.
        text: the middle of a result message.
        data: a PNG or JPEG: label map or overlay.
        view: (name, score) of the view that the frame shows, or None.
        findings: one for each instance, where the job belongs to an examination.
        last_track_id: highest identity that the session's instances have had so far.
        batch: frames that shared the inference.
        model: that was asked; known to the server's side of a worker.
    """

    id: int
    outcome: Literal["result"] | SkipReason
    detail: str = ""
    width: int = 0
    height: int = 0
    timing_ms: dict[str, float] = field(default_factory=dict)
    text: bytes = b""
    data: bytes = b""
    view: tuple[str, float] | None = None
    findings: tuple[Finding, ...] = ()
    last_track_id: int = 0
    batch: int = 1
    model: ModelDescription | None = None

    def packet(self) -> Packet:
        """As it crosses."""
        apart = ("text", "data", "model")
        header = {column.name: getattr(self, column.name) for column in fields(self) if column.name not in apart}
        return Packet(header, self.text, self.data)

    @classmethod
    def read(cls, packet: Packet) -> Answer:
        """From what crossed.

        Raises:
            TypeError, KeyError, ValueError: not an answer.
        """
        header = dict(packet.header)
        view = header.pop("view")
        findings = tuple(Finding(*values) for values in header.pop("findings"))
        return cls(
            **header,
            text=packet.text,
            data=packet.data,
            view=None if view is None else (view[0], view[1]),
            findings=findings,
        )
