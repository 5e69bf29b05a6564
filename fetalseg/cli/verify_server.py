"""The frames of `fetalseg verify` over the wire, as a console would send them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fetalseg.cli.stream import CLIENT_MODULE, client_module
from fetalseg.encoding import decode_crop
from fetalseg.errors import EngineError, ModelFileError
from fetalseg.instances import Instances
from fetalseg.verification.answers import FrameAnswer
from fetalseg.verification.verifier import Verifier

__all__ = ["ServerAddress", "ServerEngine", "ask_server"]

_ENGINE = re.compile(r"(\S+) (\S+) \((.*)\)")  # as `ready` has it: "openvino bf16 (CPU, 2 threads)"


class ServerAddress(NamedTuple):
    """Where a server is and how to get in; files may be None."""

    url: str
    token_file: Path | None
    ca_file: Path | None
    certificate: Path | None
    key: Path | None


class ServerEngine(NamedTuple):
    """What a server computes with: word, precision, device in words."""

    name: str
    precision: str
    device: str


def ask_server(address: ServerAddress, verifier: Verifier, *, sha256: str) -> tuple[ServerEngine, list[FrameAnswer]]:
    """Sends all frames uncompressed and reads the answers, untracked and with exact masks.

    Args:
        address: of the server.
        verifier: the frames, and the options of post-processing.
        sha256: of the model file that the server must serve.

    Returns:
        The server's engine, and an answer for each frame.

    Raises:
        StreamError: the server can't be reached, or ends the session.
        ModelFileError: it serves another model.
        EngineError: a frame was not answered, or in reduced quality; or the server doesn't tell what it computes in.
        ValueError: a frame that is larger than the server takes.
        MissingExtraError: the extra `server` is not installed.
    """
    client = client_module(CLIENT_MODULE)
    options = client.SessionOptions(
        masks="rle", track=False, min_score=verifier.options.min_score, nms=verifier.options.nms
    )
    tls_files = (address.ca_file, address.certificate, address.key)
    tls = client.Tls(*tls_files) if any(tls_files) else None
    answers: list[Any] = []
    how = {"token": address.token_file, "tls": tls, "options": options, "reconnect": None}
    with client.connect_sync(address.url, **how) as session:
        engine = _read_engine(session.ready.engine)
        served = session.ready.model
        if served["sha256"] != sha256:
            raise ModelFileError(
                f"{address.url} serves {served['name']} {served['version']} (sha256 {served['sha256'][:12]}); expected "
                f"the file of sha256 {sha256[:12]}; remedy: verify the file that is served, or start the server with "
                "this one"
            )
        for frame in verifier.frames:
            session.send(client.encode_frame(frame, "gray8" if frame.ndim == 2 else "rgb24"), wait=True)
            answers += session.poll()
        session.bye()
        answers += session
    return engine, _read(answers, verifier.frames, tuple(served["structures"]))


def _read_engine(text: str) -> ServerEngine:
    found = _ENGINE.fullmatch(text)
    if found is None:
        raise EngineError(f"the server tells {text!r} as its engine; expected a name, a precision and (a device)")
    return ServerEngine(*found.groups())


def _read(
    answers: Sequence[Any], frames: Sequence[npt.NDArray[np.uint8]], structures: tuple[str, ...]
) -> list[FrameAnswer]:
    found = []
    for number, (answer, frame) in enumerate(zip(answers, frames, strict=True), 1):
        if hasattr(answer, "reason"):
            raise EngineError(f"the server did not answer frame {number}: {answer.reason} ({answer.detail})")
        if answer.rung:
            raise EngineError(
                f"the server answered frame {number} in reduced quality (rung {answer.rung} of its ladder); remedy: "
                "a server without other sessions, or one without a ladder"
            )
        found.append(FrameAnswer(_instances(answer.instances, frame.shape[:2], structures), None))
    return found


def _instances(found: Sequence[Any], frame_shape: tuple[int, ...], structures: tuple[str, ...]) -> Instances:
    """What an answer says, as the segmenter would say it."""
    height, width = frame_shape
    crops, crop_boxes = [], np.empty((len(found), 4), np.int64)
    for one, box in zip(found, crop_boxes, strict=True):
        crop, (x, y) = decode_crop(one.rle["counts"], (height, width))
        crops.append(crop)
        box[:] = x, y, x + crop.shape[1], y + crop.shape[0]
    return Instances(
        labels=np.array([one.structure_id - 1 for one in found], np.int64),
        scores=np.array([one.score for one in found], np.float32),
        boxes=np.array([one.box for one in found], np.float32).reshape(-1, 4),
        crops=crops,
        crop_boxes=crop_boxes,
        frame_shape=(height, width),
        structures=structures,
    )
