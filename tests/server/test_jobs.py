from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetalseg_server.jobs import Answer, MessageReader, Packet, pack
from fetalseg_server.shared_memory import Block, FrameArena

packets = st.builds(
    Packet, st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5)), st.binary(), st.binary()
)


@given(st.lists(packets, max_size=4), st.integers(1, 40))
def test_messages_survive_any_way_of_cutting_them(messages: list[Packet], piece: int) -> None:
    data = b"".join(pack(message) for message in messages)
    reader = MessageReader()
    found = [m for start in range(0, len(data), piece) for m in reader.feed(data[start : start + piece])]
    assert found == messages


def test_an_answer_crosses_with_its_text_and_its_picture() -> None:
    answer = Answer(5, "result", "", 160, 120, {"infer": 1.5}, b'"view":null', b"\x89PNG")
    (packet,) = MessageReader().feed(pack(answer.packet()))
    assert Answer(**packet.header, text=packet.text, data=packet.data) == answer


def test_impossible_lengths_are_refused_before_anything_is_collected() -> None:
    with pytest.raises(ValueError, match=r"promises parts of \(4294967295, 0, 0\) bytes"):
        list(MessageReader().feed(b"\xff\xff\xff\xff" + bytes(8)))


def test_blocks_do_not_overlap_and_come_back_as_they_were() -> None:
    arena = FrameArena(16384)
    first, second = arena.put(b"a" * 5000), arena.put(b"b" * 4000)
    assert first is not None
    assert second is not None
    assert (first.offset, second.offset) == (0, 8192)
    assert arena.read(first) == b"a" * 5000
    assert arena.read(second) == b"b" * 4000
    arena.close()


def test_a_full_arena_says_so_and_freed_room_is_used_again() -> None:
    arena = FrameArena(12288)
    blocks = [arena.put(bytes(4096)) for _ in range(3)]
    assert blocks == [Block(0, 4096), Block(4096, 4096), Block(8192, 4096)]
    assert arena.put(b"") is None
    assert blocks[1] is not None
    arena.free(blocks[1])
    assert arena.put(bytes(4097)) is None
    assert arena.put(bytes(4096)) == blocks[1]
    arena.close()


def test_two_empty_blocks_are_two_blocks() -> None:
    arena = FrameArena(8192)
    first, second = arena.put(b""), arena.put(b"")
    assert first is not None
    assert second is not None
    assert first.offset != second.offset
    arena.free(first)
    arena.free(second)
    arena.close()


@given(st.lists(st.integers(0, 20000) | st.none(), max_size=30))
def test_the_arena_never_gives_a_byte_twice(sizes: list[int | None]) -> None:
    arena = FrameArena(65536)
    used: list[Block] = []
    for size in sizes:
        if size is None and used:
            arena.free(used.pop(0))
        elif size is not None and (block := arena.put(bytes(size))) is not None:
            assert all(
                block.offset + block.length <= other.offset or other.offset + other.length <= block.offset
                for other in used
            )
            assert block.offset + block.length <= 65536
            used.append(block)
    arena.close()
