"""Conversations of every kind, and who takes part in them.

One table serves chats with a persona, social threads and the side chats of voice channels, so that they share ids,
members, messages, read positions and search.
"""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec
from sqlalchemy import (
    CheckConstraint,
    Connection,
    Index,
    and_,
    bindparam,
    delete,
    insert,
    not_,
    select,
    text,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, col

from storage.database.columns import Table, UTCDateTime, now
from storage.errors import Conflict, Forbidden, NotFound
from storage.people.users import User
from storage.threads.rows import Thread, Visibility


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


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A person's place in a conversation, as the gateway passes it on."""

    user_id: UUID
    username: str
    display_name: str
    role: MemberRole
    joined_at: datetime


_ADD_MEMBER = {
    name: dialect.insert(ConversationMember).on_conflict_do_nothing(index_elements=["conversation_id", "user_id"])
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}


_HOLD = (
    select(col(Conversation.id))
    .where(col(Conversation.id) == bindparam("conversation"))
    .with_for_update(key_share=True)
)


def add_owner(connection: Connection, conversation_id: UUID, user_id: UUID) -> None:
    """Make a person the owner of a conversation that has none."""
    connection.execute(
        insert(ConversationMember).values(
            conversation_id=conversation_id, user_id=user_id, role=MemberRole.owner, joined_at=now()
        )
    )


def put_member(connection: Connection, conversation_id: UUID, user_id: UUID, role: MemberRole) -> bool:
    """Add a person or change their role; True when they are new. The owner stays the owner."""
    if role is MemberRole.owner:
        raise Conflict("A conversation has one owner. Choose moderator, member or viewer.")
    row = {"conversation_id": conversation_id, "user_id": user_id, "role": role, "joined_at": now()}
    try:
        if connection.execute(_ADD_MEMBER[connection.dialect.name], row).rowcount:
            return True
    except IntegrityError:
        raise NotFound("There is no such user.") from None
    changed = connection.execute(
        update(ConversationMember)
        .where(
            col(ConversationMember.conversation_id) == conversation_id,
            col(ConversationMember.user_id) == user_id,
            col(ConversationMember.role) != MemberRole.owner,
        )
        .values(role=role)
    )
    if changed.rowcount == 0:
        raise Conflict("The owner's role cannot be changed.")
    return False


def remove_member(connection: Connection, conversation_id: UUID, user_id: UUID, *, is_leaving: bool) -> None:
    """Take a person out of a conversation, or `NotFound`. The owner stays.

    `is_leaving` says that they do it themselves: a viewer of a thread that is open to everyone may not (`Forbidden`),
    because who is no member there may say something.
    """
    mine = (
        col(ConversationMember.conversation_id) == conversation_id,
        col(ConversationMember.user_id) == user_id,
    )
    is_open = col(Thread.visibility) == Visibility.everyone
    held = and_(
        col(ConversationMember.role) == MemberRole.viewer,
        select(col(Thread.conversation_id)).where(col(Thread.conversation_id) == conversation_id, is_open).exists(),
    )
    removed = connection.execute(
        delete(ConversationMember).where(
            *mine, col(ConversationMember.role) != MemberRole.owner, not_(held) if is_leaving else true()
        )
    )
    if removed.rowcount == 0:
        if is_leaving and connection.execute(select(col(ConversationMember.role)).where(*mine, held)).first():
            raise Forbidden("You were made a viewer of this thread. Only its owner can change that.")
        raise NotFound("There is no such member who could be removed.")


def hold_conversation(connection: Connection, conversation_id: UUID) -> None:
    """Have nobody else change this conversation until the transaction ends.

    On PostgreSQL this is a row lock, the first that a change takes; on SQLite changes come one after another anyway.
    """
    connection.execute(_HOLD, {"conversation": conversation_id})


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
