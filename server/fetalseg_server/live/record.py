"""What of a session outlives its connection, and for how long.

A connection that breaks leaves its session's record behind: options, identities, check list. The same client may go on
with it for `resume_s`; after that, and at once after a `bye`, only the summary of an examination can be read, until
`summary_s` have passed. Then nothing is left.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from fetalseg.taxonomy import is_standard
from fetalseg_server.access.security import Client
from fetalseg_server.live.continuity import Continuity
from fetalseg_server.live.examination import Examination, KeptFrame
from fetalseg_server.live.owed import OwedFrame
from fetalseg_server.messages import ModelDescription
from fetalseg_server.options import SessionOptions
from fetalseg_server.pool.seat import Seat
from fetalseg_server.protocol import Refused
from fetalseg_server.worker.jobs import Answer

__all__ = ["Holder", "SessionRecord", "SessionRecords"]


class Holder(Protocol):
    """The connection that a session goes on over."""

    @property
    def said_bye(self) -> bool:
        """Whether its client has ended the session."""

    def give_away(self) -> None:
        """Another connection takes the session over: close this one, answer nothing more."""


def _new_continuity() -> Continuity:
    return Continuity(secrets.token_hex(16))


@dataclass(eq=False)
class SessionRecord:
    """One session.

    Attributes:
        client: whose token began it, with the name and the rights that the token had at the latest connection.
        asked: the options that its client named.
        defaults: every option filled in, for where the client said nothing.
        model: as the client was told last.
        examination_bytes: of best frames, at the most.
        continuity: id, scene and identities.
        examination: check list and best frames, where the session asked for them.
        models: those that its results came from, in order.
        seat: at the worker that knows its identities; None before the first connection.
        started: date and time.
        started_us: the same on the monotonic clock.
        ended_us: when the last connection ended; None while there is one.
        outcomes: answered frames, by "result" or the reason of a skip.
        holder: its connection, None while there is none.
        resumable: whether another connection may go on with it.
    """

    client: Client
    asked: SessionOptions
    defaults: SessionOptions
    model: ModelDescription
    examination_bytes: int
    continuity: Continuity = field(default_factory=_new_continuity)
    examination: Examination | None = None
    models: list[ModelDescription] = field(default_factory=list)
    seat: Seat | None = None
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    started_us: int = field(default_factory=lambda: time.monotonic_ns() // 1000)
    ended_us: int | None = None
    outcomes: Counter[str] = field(default_factory=Counter)
    holder: Holder | None = None
    resumable: bool = True

    @property
    def id(self) -> str:
        """128 random bits, hexadecimal."""
        return self.continuity.session

    @property
    def options(self) -> SessionOptions:
        """In force for the next frame: what the client asked for, and the model's defaults for the rest."""
        return self.asked.filled(self.defaults)

    def change(self, changes: dict[str, Any]) -> Refused | None:
        """Changes options; where one of them can't be followed, none is changed, and the result says why."""
        asked = self.asked.changed(changes)
        options = asked.filled(self.defaults)
        if options.model != self.defaults.model:
            return Refused("unknown_model", f"expected model {self.defaults.model!r}, got {options.model!r}")
        if options.fetuses != 1:
            return Refused("not_yet", f"fetuses: one fetus is told apart, not {options.fetuses}")
        if changes.get("examination") and not is_standard(self.model.structures):
            return Refused("unsupported", "examination: the model's structures are not the seventeen of the check list")
        self.asked = asked
        if not options.examination:
            self.examination = None  # with its frames: they are kept only as long as the client wants it
        elif self.examination is None:
            self.examination = Examination(self.examination_bytes)
        return None

    def follow(self, changes: dict[str, Any]) -> list[Refused]:
        """Changes the options that can be followed; the result says why others can't."""
        refusals = [self.change({name: value}) for name, value in changes.items()]
        return [refusal for refusal in refusals if refusal is not None]

    def sit(self, seat: Seat) -> None:
        """The session's frames go to this place from now on."""
        if self.seat is not None and self.seat.lane is not seat.lane:
            self.forget()
        self.seat = seat

    def forget(self) -> None:
        """Nobody asks the worker for this session any more."""
        if self.seat is not None:
            self.seat.lane.scheduler.forget(self.id)

    def adopt(self, model: ModelDescription, defaults: SessionOptions) -> None:
        """Another model was loaded: the next frames follow its defaults where the client asked for nothing else."""
        self.model, self.defaults = model, defaults
        self.asked = self.asked.changed({"model": defaults.model})

    def learn(self, owed: OwedFrame, answer: Answer) -> None:
        """Takes note of what a worker says of a frame that is to be answered."""
        if answer.outcome != "result":
            return
        model = answer.model or self.model
        if model not in self.models:
            self.models.append(model)
        if self.examination is not None and owed.options.examination and is_standard(model.structures):
            assert owed.payload is not None
            self.examination.note(KeptFrame(owed.header, owed.payload, owed.options), owed.received_ns, answer)

    def news(self) -> str | None:
        """What a client has to be told of the check list, see `Examination.news`."""
        return None if self.examination is None else self.examination.news()

    @property
    def results(self) -> int:
        """Frames worked on."""
        return self.outcomes["result"]

    @property
    def skipped(self) -> int:
        """Frames that were not."""
        return self.outcomes.total() - self.results

    @property
    def duration_s(self) -> float:
        """From its start to the end of its last connection, or until now."""
        end_us = time.monotonic_ns() // 1000 if self.ended_us is None else self.ended_us
        return (end_us - self.started_us) / 1e6


class SessionRecords:
    """All sessions that go on or are kept.

    Args:
        resume_s: for which a session can be resumed once its connection broke.
        summary_s: for which its summary can be read once its connection has ended.
        max_kept: sessions without a connection; beyond it the oldest of the client with the most of them goes, so that
            a client that connects and breaks off all the time costs no other client's session.
        forget: called with a session once it can't be resumed any more.
    """

    def __init__(
        self, *, resume_s: float, summary_s: float, max_kept: int, forget: Callable[[SessionRecord], None]
    ) -> None:
        self._resume_s = resume_s
        self._summary_s = summary_s
        self._max_kept = max_kept
        self._forget = forget
        self._records: dict[str, SessionRecord] = {}
        self._kept: dict[str, list[asyncio.TimerHandle]] = {}  # timers of those without a connection, oldest first

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[SessionRecord]:
        return iter(tuple(self._records.values()))

    @property
    def connected(self) -> int:
        """Sessions with a connection."""
        return len(self._records) - len(self._kept)

    def connected_of(self, client: Client) -> int:
        """Those of one client."""
        return sum(record.holder is not None and record.client.name == client.name for record in self)

    def hold(self, record: SessionRecord, holder: Holder) -> None:
        """A session begins, or goes on, over a connection."""
        self._stop_timers(record.id)
        self._records[record.id] = record
        record.holder = holder
        record.ended_us = None
        if record.examination is not None:
            record.examination.tell_everything()

    def leave(self, record: SessionRecord, holder: Holder) -> None:
        """A connection has ended; nothing happens where the session has gone on over another one."""
        if record.holder is not holder:
            return
        record.holder = None
        record.ended_us = time.monotonic_ns() // 1000
        loop = asyncio.get_running_loop()
        resume_s = 0.0 if holder.said_bye else self._resume_s
        summary_s = 0.0 if record.examination is None else self._summary_s
        self._kept[record.id] = [
            loop.call_later(resume_s, self._end, record),
            loop.call_later(max(resume_s, summary_s), self._drop, record),
        ]
        if holder.said_bye:
            self._end(record)
        self._make_room()

    def find(self, session: str, client: Client) -> SessionRecord | None:
        """A session of this client's token; None as well where it is another's: nobody learns which ids there are.

        A name is no proof: it may have been given to another token since the session began.
        """
        record = self._records.get(session)
        return record if record is not None and record.client.has_token_of(client) else None

    def reclaim(self, session: str, client: Client) -> SessionRecord | None:
        """A session that this client may go on with, taken from its connection if that still seems to be there.

        Returns:
            A record that is kept as any other until `hold` is called; None where there is none to go on with.
        """
        record = self.find(session, client)
        if record is None or not record.resumable or (record.holder is not None and record.holder.said_bye):
            return None
        if (holder := record.holder) is not None:
            holder.give_away()
            self.leave(record, holder)
        record.client = client
        return record if record.id in self._records else None

    def close(self) -> None:
        """Lets go of everything."""
        for record in self:
            self._drop(record)

    def _make_room(self) -> None:
        while len(self._kept) > self._max_kept:
            names = [self._records[session].client.name for session in self._kept]
            most = Counter(names).most_common(1)[0][0]
            self._drop(self._records[next(s for s, name in zip(self._kept, names, strict=True) if name == most)])

    def _end(self, record: SessionRecord) -> None:
        if record.resumable:
            record.resumable = False
            self._forget(record)

    def _drop(self, record: SessionRecord) -> None:
        self._end(record)
        self._stop_timers(record.id)
        self._records.pop(record.id, None)
        record.examination = None

    def _stop_timers(self, session: str) -> None:
        for timer in self._kept.pop(session, ()):
            timer.cancel()
