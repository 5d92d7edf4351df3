"""A person's list of chats, in the order in which they came to them (the ChatHistory of the data model)."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Select, UniqueConstraint, bindparam, delete, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Field, col

from storage.database.columns import Table, UTCDateTime, new_id, now


class ChatHistoryList(Table, table=True):
    """One person's list; `last_position` is the position of its newest item."""

    __tablename__ = "chat_history"

    id: UUID = Field(primary_key=True)
    user_id: UUID = Field(foreign_key="user.id", ondelete="CASCADE", unique=True)
    last_position: int


class ChatHistoryItem(Table, table=True):
    """One chat in a person's list."""

    __tablename__ = "chat_history_item"
    __table_args__ = (UniqueConstraint("history_id", "position"),)

    history_id: UUID = Field(primary_key=True, foreign_key="chat_history.id", ondelete="CASCADE")
    conversation_id: UUID = Field(primary_key=True, foreign_key="conversation.id", ondelete="CASCADE", index=True)
    position: int
    timestamp: datetime = Field(sa_type=UTCDateTime)


class HistoryItem(msgspec.Struct, frozen=True, kw_only=True):
    """One chat in a person's list, as the gateway passes it on."""

    chat_id: UUID
    position: int
    timestamp: datetime


_NEXT_POSITION = {
    name: dialect.insert(ChatHistoryList)
    .values(id=bindparam("id"), user_id=bindparam("user_id"), last_position=1)
    .on_conflict_do_update(index_elements=["user_id"], set_={"last_position": col(ChatHistoryList.last_position) + 1})
    .returning(col(ChatHistoryList.id), col(ChatHistoryList.last_position))
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}


def append_to_history(connection: Connection, user_id: UUID, conversation_id: UUID) -> None:
    """Put a chat at the end of a person's list."""
    statement = _NEXT_POSITION[connection.dialect.name]
    history = connection.execute(statement, {"id": new_id(), "user_id": user_id}).one()
    connection.execute(
        insert(ChatHistoryItem).values(
            history_id=history.id, conversation_id=conversation_id, position=history.last_position, timestamp=now()
        )
    )


def remove_from_history(connection: Connection, user_id: UUID, conversation_id: UUID) -> None:
    """Take a chat from a person's list."""
    mine = select(col(ChatHistoryList.id)).where(col(ChatHistoryList.user_id) == user_id).scalar_subquery()
    connection.execute(
        delete(ChatHistoryItem).where(
            col(ChatHistoryItem.history_id) == mine, col(ChatHistoryItem.conversation_id) == conversation_id
        )
    )


def list_history(
    connection: Connection, user_id: UUID, *, after: int | None = None, before: int | None = None, limit: int
) -> list[HistoryItem]:
    """A person's chats by position, after or before one (exclusive)."""
    query: Select[*tuple[Any, ...]] = (
        select(
            col(ChatHistoryItem.conversation_id).label("chat_id"),
            col(ChatHistoryItem.position),
            col(ChatHistoryItem.timestamp),
        )
        .join(ChatHistoryList, col(ChatHistoryList.id) == col(ChatHistoryItem.history_id))
        .where(col(ChatHistoryList.user_id) == user_id)
        .limit(limit)
    )
    position = col(ChatHistoryItem.position)
    if before is not None:
        rows = connection.execute(query.where(position < before).order_by(position.desc())).all()[::-1]
    else:
        rows = connection.execute(query.where(position > (after or 0)).order_by(position)).all()
    return [HistoryItem(**row._mapping) for row in rows]
