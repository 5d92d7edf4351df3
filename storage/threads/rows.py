"""The tables of threads: what they add to their conversation and its messages."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlmodel import Field

from storage.database.columns import Table, UTCDateTime


class Visibility(StrEnum):
    """Who sees a thread: anyone signed in, who then may take part too, or its members only."""

    everyone = "everyone"
    members = "members"


class Thread(Table, table=True):
    """A thread. A locked or archived one is only read.

    `active_at` is when its newest message was sent, kept here so that an index gives the list in its order.
    """

    __table_args__ = (
        CheckConstraint("visibility IN ('everyone', 'members')", name="visibility"),
        Index("ix_thread_activity", "visibility", "active_at", "conversation_id"),
    )

    conversation_id: UUID = Field(primary_key=True, foreign_key="conversation.id", ondelete="CASCADE")
    visibility: str
    locked: bool
    archived: bool
    active_at: datetime = Field(sa_type=UTCDateTime)


class MessageRevision(Table, table=True):
    """What a message said before its edit of this number, counted from 1."""

    __tablename__ = "message_revision"

    message_id: UUID = Field(primary_key=True, foreign_key="message.id", ondelete="CASCADE")
    number: int = Field(primary_key=True)
    content: str
    replaced_at: datetime = Field(sa_type=UTCDateTime)


class ReadPosition(Table, table=True):
    """How far a person has read in a thread: the number of a message. They need not be a member to have read it."""

    __tablename__ = "read_position"

    conversation_id: UUID = Field(primary_key=True, foreign_key="conversation.id", ondelete="CASCADE")
    user_id: UUID = Field(primary_key=True, foreign_key="user.id", ondelete="CASCADE", index=True)
    seq: int


class AccessLog(Table, table=True):
    """That a person saw a thread within five minutes (`slot`, counted since 1970), up to a message and its number.

    `message_id` is no foreign key: messages go with their thread only, and the check would cost each of them a search.
    """

    __tablename__ = "access_log"
    __table_args__ = (
        UniqueConstraint("user_id", "conversation_id", "slot"),
        Index("ix_access_log_newest", "conversation_id", "id"),
    )

    id: UUID = Field(primary_key=True)
    conversation_id: UUID = Field(foreign_key="conversation.id", ondelete="CASCADE")
    user_id: UUID = Field(foreign_key="user.id", ondelete="CASCADE")
    slot: int
    message_id: UUID | None
    seq: int
    access_time: datetime = Field(sa_type=UTCDateTime)
