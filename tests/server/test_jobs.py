from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetalseg_server.worker.jobs import Answer, Finding, Forget, Job, MessageReader, Packet, pack, read_order
from fetalseg_server.worker.shared_memory import Block, FrameArena

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
    answer = Answer(
        id=5,
        outcome="result",
        width=160,
        height=120,
        timing_ms={"infer": 1.5},
        text=b'"view":null',
        data=b"\x89PNG",
        view=("head", 0.9),
        findings=(Finding(0, 0.9, 12.5), Finding(16, 0.4, 0.0)),
        last_track_id=3,
    )
    (packet,) = MessageReader().feed(pack(answer.packet()))
    assert Answer.read(packet) == answer


def test_a_job_and_the_end_of_a_session_cross_and_are_told_apart() -> None:
    job = Job(
        id=4,
        codec=1,
        width=0,
        height=0,
        offset=4096,
        length=9,
        received_ns=2_500_000_000,
        deadline_ns=None,
        masks="rle",
        min_score=0.3,
        nms=None,
        session="ab",
        track=True,
        scene=2,
        frozen=True,
        last_track_id=7,
    )
    assert [read_order(p) for p in MessageReader().feed(pack(job.packet()) + pack(Forget("ab").packet()))] == [
        job,
        Forget("ab"),
    ]
    assert job.time_s == 2.5


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
