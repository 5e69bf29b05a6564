"""Messages that are nearly right: where a parser is most likely to be wrong."""

from __future__ import annotations

import json
from random import Random

from fetalseg_server.messages import configure_message, hello_message, ping_message
from fetalseg_server.protocol import FrameHeader

__all__ = ["ODD_VALUES", "VALID_TEXTS", "mutated", "mutated_text", "odd_text", "valid_frame"]

VALID_TEXTS = (
    hello_message(),
    hello_message(
        {"codec": "jpeg", "width": 640, "height": 480, "spacing_mm": [0.1, 0.1], "deadline_ms": 80, "masks": "rle"}
    ),
    hello_message({"min_score": 0.3, "nms": "fast", "track": True, "fetuses": 1, "examination": False}, token="a"),
    hello_message(resume="0" * 32),
    configure_message({"masks": "none"}),
    configure_message({"spacing_mm": None, "deadline_ms": 1.5, "min_score": 1, "model": "fetalseg-s"}),
    ping_message(1),
    ping_message("probe"),
    '{"type":"ping"}',
    '{"type":"bye"}',
)

# JSON values that readers have stumbled over, as they are written.
ODD_VALUES = (
    *("null", "true", "0", "-0", "-1", "0.0", "1e-400", "1e400", "-1e400", "NaN", "Infinity", "1.5", "9" * 400),
    *("9" * 4300, "9" * 4301, str(2**53), str(2**63), str(2**64), '""', '"\\u0000"', '"\\ud800"', '"\\udfff\\ud800"'),
    *('"\u202e"', '"' + "x" * 200 + '"', "[]", "{}", "[[]]", "[0,0]", "[0.1,NaN]", "[0.1,0.1,0.1]", '{"type":"bye"}'),
    *("[" * 50 + "]" * 50, "[" * 5000, '"polygon"', '"jpeg"', '["polygon"]', "{", "'x'", ""),
)
_KEYS = ("type", "id", "token", "resume", *json.loads(VALID_TEXTS[1]), "model", "min_score", "nms", "track", "\ud800")
_EDITS = 4
_PIECE = 16


def mutated(message: bytes, random: Random) -> bytes:
    """One to four small edits: bits turned, bytes replaced, cut out, put in or repeated."""
    data = bytearray(message)
    for _ in range(random.randint(1, _EDITS)):
        place = random.randint(0, len(data))
        piece = slice(place, min(len(data), place + random.randint(1, _PIECE)))
        match random.randrange(6):
            case 0 if place < len(data):
                data[place] ^= 1 << random.randrange(8)
            case 1:
                data[piece] = random.randbytes(piece.stop - piece.start)
            case 2:
                data[piece] = random.choice((b"\x00", b"\xff")) * (piece.stop - piece.start)
            case 3:
                del data[piece]
            case 4:
                data[place:place] = data[piece] * random.randint(1, 3)
            case _:
                del data[place:]
    return bytes(data)


def mutated_text(message: str, random: Random) -> str:
    """The same for a text; what is no UTF-8 any more becomes replacement characters, as a text message never has it."""
    return mutated(message.encode("utf-8", "surrogatepass"), random).decode("utf-8", "replace")


def odd_text(random: Random) -> str:
    """A JSON object of known keys, one of them with an odd value."""
    kind = random.choice(("hello", "configure", "configure", "configure", "ping", "ping", "result", "\\ud800"))
    key, value = json.dumps(random.choice(_KEYS)), random.choice(ODD_VALUES)
    return random.choice((f'{{"type":"{kind}",{key}:{value}}}', f'{{{key}:{value},"type":"{kind}"}}', value))


def valid_frame(sequence: int, random: Random) -> bytes:
    """A frame that the protocol allows, whatever its payload is worth."""
    header = FrameHeader(
        codec=random.randrange(256),
        sequence=sequence,
        width=random.choice((0, 1, 16, 640, 65535)),
        height=random.choice((0, 1, 16, 480, 65535)),
        flags=random.randrange(65536),
        capture_time_us=random.choice((0, 1, 2**53 - 1)),
        spacing_mm=(random.choice((0.0, 0.125)), random.choice((0.0, 3e38))),
    )
    return header.pack() + random.randbytes(random.randrange(64))
