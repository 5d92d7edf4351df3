"""Turns while they run: partial text, leases, stops asked for elsewhere, and those whose process is gone."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import Connection, bindparam, select, text, update
from sqlmodel import col

from storage.conversations.messages import Message, MessageState
from storage.database.columns import UTCDateTime, now
from storage.database.statements import Statement
from storage.turns.rows import Turn, TurnState

_RUNNING = col(Turn.state) == text("'running'")
_KEEP_TEXT = Statement(
    update(Message)
    .where(col(Message.id) == bindparam("reply"), col(Message.state) == text("'running'"))
    .values(content=bindparam("new_content"))
)
_KEEP_EVENTS = Statement(
    update(Turn).where(col(Turn.id) == bindparam("turn"), _RUNNING).values(events=bindparam("told"))
)
_RENEW = (
    update(Turn)
    .where(col(Turn.id).in_(bindparam("turns", expanding=True)), col(Turn.node) == bindparam("this_node"), _RUNNING)
    .values(leased_until=bindparam("until", type_=UTCDateTime))
    .returning(col(Turn.id), col(Turn.stop_requested), col(Turn.attended_at))
)
_REQUEST_STOP = (
    update(Turn).where(col(Turn.id) == bindparam("turn"), _RUNNING).values(stop_requested=True).returning(col(Turn.id))
)
_ATTEND = (
    update(Turn)
    .where(col(Turn.id) == bindparam("turn"), _RUNNING)
    .values(attended_at=bindparam("moment", type_=UTCDateTime))
)


class PartialText(msgspec.Struct, frozen=True):
    """What a running turn has said so far, and how many events told it."""

    turn_id: UUID
    reply_id: UUID
    content: str
    events: int


class Kept(msgspec.Struct, frozen=True):
    """What others have noted about a turn that is still its process's to run."""

    stop_requested: bool
    attended_at: datetime | None


def keep_partial_texts(
    connection: Connection, node: UUID, turn_ids: Sequence[UUID], texts: Sequence[PartialText], *, lease: timedelta
) -> dict[UUID, Kept]:
    """Renew the leases of the turns that run in a process and store what they have so far, in one unit.

    Gives the turns that are still this process's to run, and what others have noted about each. A turn whose lease ran
    out, or whose chat was deleted, is not among them. Turns come before messages, as in `finish_turn`: in another order
    the two would deadlock on PostgreSQL.
    """
    rows = connection.execute(_RENEW, {"turns": list(turn_ids), "this_node": node, "until": now() + lease}).all()
    ours = {row.id: Kept(row.stop_requested, row.attended_at) for row in rows}
    kept = [text for text in texts if text.turn_id in ours]
    if kept:
        _KEEP_EVENTS.run_each(connection, [{"turn": text.turn_id, "told": text.events} for text in kept])
        _KEEP_TEXT.run_each(connection, [{"reply": text.reply_id, "new_content": text.content} for text in kept])
    return ours


def attend_turn(connection: Connection, turn_id: UUID) -> None:
    """Note for whichever process runs the turn that somebody reads it here."""
    connection.execute(_ATTEND, {"turn": turn_id, "moment": now()})


def request_stop(connection: Connection, turn_id: UUID) -> bool:
    """Ask whichever process runs the turn to stop it; False when it runs no more."""
    return connection.execute(_REQUEST_STOP, {"turn": turn_id}).first() is not None


def interrupt_abandoned(connection: Connection, leased_before: datetime) -> list[UUID]:
    """End the running turns whose lease ran out before this moment; their partial text stays. Gives their ids."""
    abandoned = connection.execute(
        select(col(Turn.id), col(Turn.reply_message_id)).where(_RUNNING, col(Turn.leased_until) < leased_before)
    ).all()
    if not abandoned:
        return []
    ended = connection.execute(
        update(Turn)
        .where(col(Turn.id).in_([row.id for row in abandoned]), _RUNNING, col(Turn.leased_until) < leased_before)
        .values(
            state=TurnState.interrupted,
            error_code="interrupted",
            error_message="The gateway stopped while this reply was being written. Ask for it again.",
            ended_at=now(),
            events=None,  # readers may have been told more than was kept
        )
        .returning(col(Turn.id), col(Turn.reply_message_id))
    ).all()
    connection.execute(
        update(Message)
        .where(col(Message.id).in_([row.reply_message_id for row in ended]))
        .values(state=MessageState.interrupted)
    )
    return [row.id for row in ended]
