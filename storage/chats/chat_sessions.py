"""What a chat with a persona adds to its conversation: the session, and the data sent with each of its turns."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, Column, Connection, bindparam, insert, select, update
from sqlmodel import Field, col

from storage.database.columns import Table, UTCDateTime, new_id, now
from storage.database.statements import Statement


class Context(Table, table=True):
    """The session's own data, sent with each turn as one segment: an object, or `{"text": ...}`."""

    id: UUID = Field(primary_key=True)
    data: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    updated_at: datetime = Field(sa_type=UTCDateTime)


class ChatSession(Table, table=True):
    """One conversation with a persona. `channel` is a free label (web, phone); `active_leaf` is the newest message
    of the branch that is shown and continued."""

    __tablename__ = "chat_session"

    conversation_id: UUID = Field(primary_key=True, foreign_key="conversation.id", ondelete="CASCADE")
    persona: str
    channel: str
    context_id: UUID = Field(foreign_key="context.id", unique=True)
    active_leaf: UUID | None


_SET_LEAF = Statement(
    update(ChatSession)
    .where(col(ChatSession.conversation_id) == bindparam("conversation"))
    .values(active_leaf=bindparam("leaf"))
)


def create_session(
    connection: Connection, conversation_id: UUID, *, persona: str, channel: str, data: dict[str, Any]
) -> None:
    """Make the session of a chat, with its data."""
    context_id = new_id()
    connection.execute(insert(Context).values(id=context_id, data=data, updated_at=now()))
    connection.execute(
        insert(ChatSession).values(
            conversation_id=conversation_id, persona=persona, channel=channel, context_id=context_id, active_leaf=None
        )
    )


def set_active_leaf(connection: Connection, conversation_id: UUID, leaf: UUID) -> None:
    """Continue, and show, the branch that ends at this message."""
    _SET_LEAF.run(connection, {"conversation": conversation_id, "leaf": leaf})


def session_data(connection: Connection, conversation_id: UUID) -> dict[str, Any]:
    """The data of a chat's session."""
    data: dict[str, Any] = connection.execute(
        select(col(Context.data))
        .join(ChatSession, col(ChatSession.context_id) == col(Context.id))
        .where(col(ChatSession.conversation_id) == conversation_id)
    ).scalar_one()
    return data


def replace_session_data(connection: Connection, conversation_id: UUID, data: dict[str, Any]) -> None:
    """Replace the data of a chat's session."""
    mine = select(col(ChatSession.context_id)).where(col(ChatSession.conversation_id) == conversation_id)
    connection.execute(
        update(Context).where(col(Context.id) == mine.scalar_subquery()).values(data=data, updated_at=now())
    )


def data_as_text(data: dict[str, Any]) -> str:
    """The session's data as it is sent: the text itself, or the object as JSON; empty when there is none."""
    if set(data) == {"text"} and isinstance(data["text"], str):
        return data["text"]
    return json.dumps(data, ensure_ascii=False, sort_keys=True) if data else ""
