"""Conversations of every kind, and who takes part in them.

One table serves chats with a persona, social threads and the side chats of voice channels, so that they share ids,
members, messages, read positions and search.
"""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec
from sqlalchemy import CheckConstraint, Connection, Index, delete, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, col

from storage.database.columns import Table, UTCDateTime, now
from storage.errors import Conflict, NotFound
from storage.people.users import User


class ConversationKind(StrEnum):
    """What a conversation is: with a persona, between people, or beside a voice channel."""

    chat = "chat"
    thread = "thread"
    channel = "channel"


class MemberRole(StrEnum):
    """What a person may do in a conversation; each role may do all that those before it may."""

    viewer = "viewer"
    member = "member"
    moderator = "moderator"
    owner = "owner"

    def includes(self, other: "MemberRole") -> bool:
        """Whether this role may do all that the other may."""
        ranks = list(MemberRole)
        return ranks.index(self) >= ranks.index(other)


class Conversation(Table, table=True):
    """A conversation. `last_seq` is the sequence number of its newest message."""

    __table_args__ = (CheckConstraint("kind IN ('chat', 'thread', 'channel')", name="kind"),)

    id: UUID = Field(primary_key=True)
    kind: str
    owner_id: UUID = Field(foreign_key="user.id", ondelete="CASCADE", index=True)
    title: str
    last_seq: int
    created_at: datetime = Field(sa_type=UTCDateTime)
    updated_at: datetime = Field(sa_type=UTCDateTime)


class ConversationMember(Table, table=True):
    """A person's place in a conversation. The owner has a row too, and only one row may be the owner's."""

    __tablename__ = "conversation_member"
    __table_args__ = (
        CheckConstraint("role IN ('viewer', 'member', 'moderator', 'owner')", name="role"),
        Index("ix_conversation_member_user_id", "user_id", "conversation_id"),
        Index(
            "uq_conversation_member_owner",
            "conversation_id",
            unique=True,
            sqlite_where=text("role = 'owner'"),
            postgresql_where=text("role = 'owner'"),
        ),
    )

    conversation_id: UUID = Field(primary_key=True, foreign_key="conversation.id", ondelete="CASCADE")
    user_id: UUID = Field(primary_key=True, foreign_key="user.id", ondelete="CASCADE")
    role: str
    joined_at: datetime = Field(sa_type=UTCDateTime)
    last_read_seq: int


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A person's place in a conversation, as the gateway passes it on."""

    user_id: UUID
    username: str
    display_name: str
    role: MemberRole
    joined_at: datetime


def add_owner(connection: Connection, conversation_id: UUID, user_id: UUID) -> None:
    """Make a person the owner of a conversation that has none."""
    connection.execute(
        insert(ConversationMember).values(
            conversation_id=conversation_id, user_id=user_id, role=MemberRole.owner, joined_at=now(), last_read_seq=0
        )
    )


def put_member(connection: Connection, conversation_id: UUID, user_id: UUID, role: MemberRole) -> bool:
    """Add a person or change their role; True when they are new. The owner stays the owner."""
    if role is MemberRole.owner:
        raise Conflict("A conversation has one owner. Choose moderator, member or viewer.")
    changed = connection.execute(
        update(ConversationMember)
        .where(
            col(ConversationMember.conversation_id) == conversation_id,
            col(ConversationMember.user_id) == user_id,
            col(ConversationMember.role) != MemberRole.owner,
        )
        .values(role=role)
    )
    if changed.rowcount:
        return False
    if connection.execute(select(col(User.id)).where(col(User.id) == user_id)).first() is None:
        raise NotFound("There is no such user.")
    try:
        connection.execute(
            insert(ConversationMember).values(
                conversation_id=conversation_id, user_id=user_id, role=role, joined_at=now(), last_read_seq=0
            )
        )
    except IntegrityError:
        raise Conflict("The owner's role cannot be changed.") from None
    return True


def remove_member(connection: Connection, conversation_id: UUID, user_id: UUID) -> None:
    """Take a person out of a conversation, or `NotFound`. The owner stays."""
    removed = connection.execute(
        delete(ConversationMember).where(
            col(ConversationMember.conversation_id) == conversation_id,
            col(ConversationMember.user_id) == user_id,
            col(ConversationMember.role) != MemberRole.owner,
        )
    )
    if removed.rowcount == 0:
        raise NotFound("There is no such member who could be removed.")


def list_members(connection: Connection, conversation_id: UUID) -> list[Member]:
    """Who takes part, the longest first."""
    rows = connection.execute(
        select(
            col(ConversationMember.user_id),
            col(User.username),
            col(User.display_name),
            col(ConversationMember.role),
            col(ConversationMember.joined_at),
        )
        .join(User, col(User.id) == col(ConversationMember.user_id))
        .where(col(ConversationMember.conversation_id) == conversation_id)
        .order_by(col(ConversationMember.joined_at), col(ConversationMember.user_id))
    )
    return [
        Member(
            user_id=row.user_id,
            username=row.username,
            display_name=row.display_name,
            role=MemberRole(row.role),
            joined_at=row.joined_at,
        )
        for row in rows
    ]
