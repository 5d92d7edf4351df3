"""Reactions to messages of threads: one row for a person and an emoji."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, bindparam, case, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Field, col

from storage.database.columns import Table, UTCDateTime, now
from storage.errors import Conflict

MOST_EMOJIS = 20
"""Different emojis that a message may have: who adds more would only push the others out of sight."""


class Reaction(Table, table=True):
    """That a person reacts to a message with an emoji."""

    message_id: UUID = Field(primary_key=True, foreign_key="message.id", ondelete="CASCADE")
    emoji: str = Field(primary_key=True)
    user_id: UUID = Field(primary_key=True, foreign_key="user.id", ondelete="CASCADE", index=True)
    reacted_at: datetime = Field(sa_type=UTCDateTime)


class ReactionCount(msgspec.Struct, frozen=True):
    """How many people reacted with an emoji; `mine` says whether the reader is one of them."""

    emoji: str
    count: int
    mine: bool


_COUNTS = (
    select(
        col(Reaction.message_id),
        col(Reaction.emoji),
        func.count().label("people"),
        func.max(case((col(Reaction.user_id) == bindparam("asker"), 1), else_=0)).label("mine"),
    )
    .where(col(Reaction.message_id).in_(bindparam("messages", expanding=True)))
    .group_by(col(Reaction.message_id), col(Reaction.emoji))
    .order_by(func.min(col(Reaction.reacted_at)), col(Reaction.emoji))
)
_OTHER_EMOJIS = (
    select(func.count(col(Reaction.emoji).distinct()))
    .where(col(Reaction.message_id) == bindparam("message"), col(Reaction.emoji) != bindparam("given"))
    .scalar_subquery()
)
_REACT = {
    name: dialect.insert(Reaction)
    .from_select(
        ["message_id", "emoji", "user_id", "reacted_at"],
        select(
            bindparam("message", type_=Reaction.__table__.c.message_id.type),  # type: ignore[attr-defined]
            bindparam("given", type_=Reaction.__table__.c.emoji.type),  # type: ignore[attr-defined]
            bindparam("asker", type_=Reaction.__table__.c.user_id.type),  # type: ignore[attr-defined]
            bindparam("moment", type_=UTCDateTime),
        ).where(_OTHER_EMOJIS < MOST_EMOJIS),
    )
    .on_conflict_do_nothing(index_elements=["message_id", "emoji", "user_id"])
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}


def add_reaction(connection: Connection, asker: UUID, message_id: UUID, emoji: str) -> None:
    """React; who did already changes nothing. Raises `Conflict` when the message has `MOST_EMOJIS` others."""
    bound = {"message": message_id, "given": emoji, "asker": asker, "moment": now()}
    if connection.execute(_REACT[connection.dialect.name], bound).rowcount:
        return
    mine = select(col(Reaction.emoji)).where(
        col(Reaction.message_id) == message_id, col(Reaction.emoji) == emoji, col(Reaction.user_id) == asker
    )
    if connection.execute(mine).first() is None:
        raise Conflict(f"This message has {MOST_EMOJIS} different emojis already. React with one of them.")


def remove_reaction(connection: Connection, asker: UUID, message_id: UUID, emoji: str) -> None:
    """Take a reaction back; without one nothing changes."""
    connection.execute(
        delete(Reaction).where(
            col(Reaction.message_id) == message_id, col(Reaction.emoji) == emoji, col(Reaction.user_id) == asker
        )
    )


def forget_reactions(connection: Connection, message_id: UUID) -> None:
    """Remove everybody's reactions to a message."""
    connection.execute(delete(Reaction).where(col(Reaction.message_id) == message_id))


def count_reactions(
    connection: Connection, asker: UUID, message_ids: Sequence[UUID]
) -> dict[UUID, tuple[ReactionCount, ...]]:
    """The reactions to each of some messages, the first that somebody gave first."""
    if not message_ids:
        return {}
    counts: dict[UUID, tuple[ReactionCount, ...]] = {}
    bound: dict[str, Any] = {"asker": asker, "messages": list(message_ids)}
    for row in connection.execute(_COUNTS, bound):
        one = ReactionCount(row.emoji, row.people, bool(row.mine))
        counts[row.message_id] = (*counts.get(row.message_id, ()), one)
    return counts
