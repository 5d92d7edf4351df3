"""Mentions of people in messages of threads: `@username`, resolved when the message is said and when it is edited."""

import re
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection, Index, bindparam, delete, insert, or_, select
from sqlmodel import Field, col

from storage.conversations.conversations import ConversationMember
from storage.database.columns import Table
from storage.people.users import User, fold
from storage.threads.rows import Thread, Visibility

MOST_MENTIONS = 50
"""People that a message may mention; the names after them are only text."""

_NAME = re.compile(r"(?<![\w@.-])@([\w.-]{3,41})")
"""A name after an @ that stands for itself, so that an email's address mentions nobody."""


class Mention(Table, table=True):
    """That a message mentions a person; its thread and number are there to count those later than a read position."""

    __table_args__ = (Index("ix_mention_of_person", "user_id", "conversation_id", "seq"),)

    message_id: UUID = Field(primary_key=True, foreign_key="message.id", ondelete="CASCADE")
    user_id: UUID = Field(primary_key=True, foreign_key="user.id", ondelete="CASCADE")
    conversation_id: UUID
    seq: int


_NAMED = (
    select(col(User.id))
    .join(Thread, col(Thread.conversation_id) == bindparam("thread"))
    .outerjoin(
        ConversationMember,
        (col(ConversationMember.conversation_id) == bindparam("thread"))
        & (col(ConversationMember.user_id) == col(User.id)),
    )
    .where(
        col(User.username_key).in_(bindparam("names", expanding=True)),
        or_(col(Thread.visibility) == Visibility.everyone, col(ConversationMember.user_id).is_not(None)),
    )
    .with_for_update(read=True, key_share=True, of=User)  # nobody whose account is being deleted
)
_MENTIONED = (
    select(col(Mention.message_id), col(Mention.user_id))
    .where(col(Mention.message_id).in_(bindparam("messages", expanding=True)))
    .order_by(col(Mention.user_id))
)


def keep_mentions(connection: Connection, thread_id: UUID, message_id: UUID, seq: int, content: str) -> None:
    """Store whom a message mentions, in place of whom it mentioned before: people who see its thread."""
    forget_mentions(connection, message_id)
    names = _names_in(content)
    if not names:
        return
    people = connection.execute(_NAMED, {"thread": thread_id, "names": names}).scalars()
    rows = [
        {"message_id": message_id, "user_id": user_id, "conversation_id": thread_id, "seq": seq} for user_id in people
    ]
    if rows:
        connection.execute(insert(Mention), rows)


def _names_in(content: str) -> list[str]:
    """The folded names that a text may mention; a dot after one may end the sentence, or the name."""
    written = list(dict.fromkeys(fold(name) for name in _NAME.findall(content)))[:MOST_MENTIONS]
    return list(dict.fromkeys(name for found in written for name in (found, found.rstrip(".-"))))


def forget_mentions(connection: Connection, message_id: UUID) -> None:
    """Have a message mention nobody."""
    connection.execute(delete(Mention).where(col(Mention.message_id) == message_id))


def find_mentions(connection: Connection, message_ids: Sequence[UUID]) -> dict[UUID, tuple[UUID, ...]]:
    """Whom each of some messages mentions."""
    if not message_ids:
        return {}
    found: dict[UUID, tuple[UUID, ...]] = {}
    for row in connection.execute(_MENTIONED, {"messages": list(message_ids)}):
        found[row.message_id] = (*found.get(row.message_id, ()), row.user_id)
    return found
