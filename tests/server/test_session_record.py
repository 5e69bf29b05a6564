"""What of a session outlives its connection: for how long, how many, and for whom."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from fetalseg.anatomy import structure_names
from fetalseg_server.access.tokens import Client
from fetalseg_server.live.record import SessionRecord, SessionRecords
from fetalseg_server.messages import ModelDescription
from fetalseg_server.options import SessionOptions
from fetalseg_server.protocol import Refused

ROOM_1, ROOM_2 = Client("room-1", token_digest=b"1"), Client("room-2", token_digest=b"2")
LONG, SHORT = 1000.0, 0.02


DEFAULTS = SessionOptions(model="m", min_score=0.3, nms="fast")
MODEL = ModelDescription("m", "1.0", "ab" * 32, (24, 32), structure_names())


def new_record(client: Client = ROOM_1, model: ModelDescription = MODEL) -> SessionRecord:
    return SessionRecord(client, SessionOptions(), DEFAULTS, model, examination_bytes=1000)


class Connection:
    """A connection that notes what happens to it."""

    def __init__(self, *, said_bye: bool = False) -> None:
        self.said_bye = said_bye
        self.given_away = False

    def give_away(self) -> None:
        self.given_away = True


class Kept:
    """Records of which all that is forgotten is noted."""

    def __init__(self, *, resume_s: float = LONG, summary_s: float = LONG, max_kept: int = 100) -> None:
        self.forgotten: list[str] = []
        self.records = SessionRecords(
            resume_s=resume_s,
            summary_s=summary_s,
            max_kept=max_kept,
            forget=lambda record: self.forgotten.append(record.id),
        )

    def begin(self, client: Client = ROOM_1, *, said_bye: bool = False, examination: bool = True) -> SessionRecord:
        record = new_record(client)
        assert record.follow({"examination": examination}) == []
        self.records.hold(record, Connection(said_bye=said_bye))
        return record

    def end(self, record: SessionRecord) -> SessionRecord:
        assert record.holder is not None
        self.records.leave(record, record.holder)
        return record


async def until(condition: Callable[[], bool]) -> None:
    """Waits for a timer of a few milliseconds; the bound only ends a failing test."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


async def test_ids_are_128_random_bits() -> None:
    ids = {Kept().begin().id for _ in range(100)}
    assert len(ids) == 100
    assert all(len(bytes.fromhex(name)) == 16 for name in ids)


async def test_a_broken_session_can_be_resumed_by_its_client() -> None:
    kept = Kept()
    record = kept.end(kept.begin())
    assert kept.records.reclaim(record.id, ROOM_1) is record
    again = Connection()
    kept.records.hold(record, again)
    assert (record.holder, record.ended_us) == (again, None)
    assert kept.forgotten == []


async def test_another_client_learns_nothing() -> None:
    kept = Kept()
    record = kept.begin()
    for session in (record.id, "0" * 32, ""):
        assert kept.records.find(session, ROOM_2) is None
        assert kept.records.reclaim(session, ROOM_2) is None
    assert isinstance(record.holder, Connection)
    assert not record.holder.given_away


async def test_the_rights_of_a_client_may_change_between_two_connections() -> None:
    kept = Kept()
    record = kept.end(kept.begin(ROOM_1))
    now = replace(ROOM_1, name="room-one", weight=2)
    assert kept.records.reclaim(record.id, now) is record
    kept.records.hold(record, Connection())
    assert kept.records.connected_of(now) == 1


async def test_another_token_of_the_same_name_is_another_client() -> None:
    kept = Kept()
    record = kept.end(kept.begin(ROOM_1))
    newer = replace(ROOM_1, token_digest=b"3")
    assert kept.records.find(record.id, newer) is None
    assert kept.records.reclaim(record.id, newer) is None
    assert kept.records.reclaim(record.id, ROOM_1) is record


async def test_a_session_that_seems_to_be_connected_is_taken_over() -> None:
    kept = Kept()
    record = kept.begin()
    old = record.holder
    assert isinstance(old, Connection)
    assert kept.records.reclaim(record.id, ROOM_1) is record
    assert old.given_away
    new = Connection()
    kept.records.hold(record, new)
    kept.records.leave(record, old)  # the old connection notices its end later
    assert record.holder is new


async def test_after_bye_only_the_summary_is_left() -> None:
    kept = Kept()
    record = kept.end(kept.begin(said_bye=True))
    assert kept.records.reclaim(record.id, ROOM_1) is None
    assert kept.forgotten == [record.id]
    assert kept.records.find(record.id, ROOM_1) is record
    assert record.examination is not None


async def test_a_session_that_is_saying_bye_is_not_taken_over() -> None:
    kept = Kept()
    record = kept.begin(said_bye=True)
    assert kept.records.reclaim(record.id, ROOM_1) is None
    assert isinstance(record.holder, Connection)
    assert not record.holder.given_away


async def test_after_bye_without_an_examination_nothing_is_left() -> None:
    kept = Kept()
    record = kept.end(kept.begin(said_bye=True, examination=False))
    await until(lambda: len(kept.records) == 0)
    assert kept.forgotten == [record.id]


async def test_a_session_can_be_resumed_for_a_while_only() -> None:
    kept = Kept(resume_s=SHORT)
    record = kept.end(kept.begin())
    await until(lambda: not record.resumable)
    assert kept.records.reclaim(record.id, ROOM_1) is None
    assert kept.forgotten == [record.id]
    assert kept.records.find(record.id, ROOM_1) is record  # its summary can still be read


async def test_in_the_end_nothing_is_left() -> None:
    kept = Kept(resume_s=SHORT, summary_s=2 * SHORT)
    record = kept.end(kept.begin())
    await until(lambda: len(kept.records) == 0)
    assert kept.records.find(record.id, ROOM_1) is None
    assert record.examination is None
    assert kept.forgotten == [record.id]


async def test_a_resumed_session_does_not_end_by_its_old_timer() -> None:
    kept = Kept(resume_s=SHORT, summary_s=SHORT)
    resumed = kept.end(kept.begin())
    kept.records.hold(resumed, Connection())
    other = kept.end(kept.begin())
    await until(lambda: kept.forgotten == [other.id])
    assert resumed.resumable
    assert resumed.examination is not None


async def test_too_many_kept_sessions_cost_the_client_that_has_most_of_them() -> None:
    kept = Kept(max_kept=3)
    quiet = kept.end(kept.begin(ROOM_2))
    stormy = [kept.end(kept.begin(ROOM_1)) for _ in range(5)]
    left = [record for record in [quiet, *stormy] if kept.records.find(record.id, record.client) is not None]
    assert left == [quiet, *stormy[3:]]
    assert kept.forgotten == [record.id for record in stormy[:3]]


async def test_with_no_room_for_any_a_broken_session_is_over_at_once() -> None:
    kept = Kept(max_kept=0)
    record = kept.begin()
    assert kept.records.reclaim(record.id, ROOM_1) is None
    assert kept.forgotten == [record.id]
    assert len(kept.records) == 0


async def test_connected_sessions_do_not_count_as_kept() -> None:
    kept = Kept(max_kept=1)
    connected = [kept.begin() for _ in range(10)]
    kept.end(connected[0])
    assert len(kept.records) == 10


async def test_closing_lets_go_of_everything() -> None:
    kept = Kept()
    records = [kept.begin(), kept.end(kept.begin())]
    kept.records.close()
    assert len(kept.records) == 0
    assert sorted(kept.forgotten) == sorted(record.id for record in records)
    assert [record.examination for record in records] == [None, None]


@pytest.mark.parametrize("times", [0, 3])
async def test_outcomes_are_counted(times: int) -> None:
    record = Kept().begin()
    record.outcomes.update({"result": 10, "superseded": times, "deadline": 2})
    assert (record.results, record.skipped) == (10, times + 2)


async def test_sessions_with_a_connection_are_counted_by_client() -> None:
    kept = Kept()
    kept.end(kept.begin())
    kept.begin()
    kept.begin(ROOM_2)
    assert (kept.records.connected, kept.records.connected_of(ROOM_1), kept.records.connected_of(ROOM_2)) == (2, 1, 1)


def test_options_that_cannot_be_followed_change_nothing_and_the_others_are_followed() -> None:
    record = new_record()
    refusals = record.follow({"masks": "rle", "fetuses": 2, "min_score": 0.5})
    assert refusals == [Refused("not_yet", "fetuses: one fetus is told apart, not 2")]
    assert (record.options.masks, record.options.fetuses, record.options.min_score) == ("rle", 1, 0.5)
    assert record.options.nms == "fast"


def test_a_check_list_needs_a_model_of_the_seventeen_structures() -> None:
    record = new_record(model=ModelDescription("m", "1.0", "ab" * 32, (24, 32), ("cranium", "yolk sac")))
    (refused,) = record.follow({"examination": True})
    assert refused.code == "unsupported"
    assert (record.examination, record.options.examination) == (None, False)


def test_frames_are_gone_as_soon_as_the_client_wants_no_examination_any_more() -> None:
    record = new_record()
    record.follow({"examination": True})
    first = record.examination
    record.follow({"masks": "none"})
    assert record.examination is first
    record.follow({"examination": False})
    assert record.examination is None
    record.follow({"examination": True})
    assert record.examination not in (None, first)


def test_a_new_models_defaults_hold_where_the_client_asked_for_nothing() -> None:
    record = new_record()
    record.follow({"nms": "greedy", "model": "m"})
    record.adopt(MODEL, SessionOptions(model="n", min_score=0.4, nms="matrix"))
    assert (record.options.model, record.options.min_score, record.options.nms) == ("n", 0.4, "greedy")
