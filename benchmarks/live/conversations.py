"""What a client may say in a row, right, nearly right or nonsense, as strategies of hypothesis."""

from __future__ import annotations

import json
from random import Random

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from benchmarks.live.mutation import VALID_TEXTS, mutated, mutated_text, odd_text, valid_frame
from fetalseg_server.messages import hello_message
from fetalseg_server.options import SessionOptions

__all__ = ["Message", "conversations"]

Message = str | bytes

_LONGEST = 60

# One number instead of one for each choice: a hundred times quicker, and a failure still shrinks to its messages.
_seeds = st.integers(0, 2**32 - 1).map(Random)
# Mostly small, so that frames follow others and not the largest of all.
_sequences = st.one_of(*[st.integers(0, 1000)] * 5, st.integers(0, 2**32 - 1))
_frames = st.builds(valid_frame, _sequences, _seeds)
_texts = st.sampled_from(VALID_TEXTS)
_values: SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_names = st.sampled_from(["type", "id", "token", "resume", *SessionOptions().to_json(), "other"])
_objects = st.builds(
    lambda kind, values: json.dumps({**values, "type": kind}),
    st.sampled_from(["hello", "configure", "configure", "ping", "x"]),
    st.dictionaries(_names, _values, max_size=4),
)
_messages: SearchStrategy[Message] = st.one_of(
    _frames,
    st.builds(mutated, _frames, _seeds),
    st.builds(mutated_text, _texts, _seeds),
    st.builds(odd_text, _seeds),
    _objects,
    st.binary(max_size=64),
    st.text(max_size=64),
    st.sampled_from(VALID_TEXTS[:-1]),  # all but `bye`, after which nothing is right any more
)
# Most conversations begin as they should, or nothing behind the greeting would be reached.
_beginnings: SearchStrategy[list[Message]] = st.sampled_from([[hello_message()]] * 9 + [[]])


def conversations(shortest: int = 1) -> SearchStrategy[list[Message]]:
    """Messages of one connection, up to some dozens.

    Args:
        shortest: messages after the greeting; longer ones are quicker, shorter ones shrink further.
    """
    return st.builds(list.__add__, _beginnings, st.lists(_messages, min_size=shortest, max_size=_LONGEST))
