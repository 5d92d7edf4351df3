"""The tables of threads: what they add to their conversation and its messages."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Index
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
