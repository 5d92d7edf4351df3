"""Messages of threads as people read them.

Who may not see a text gets an empty one: of a deleted message it is gone, of a hidden one its sender and the thread's
moderators still see it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, Select, bindparam, case, or_, select
from sqlalchemy.orm import aliased
from sqlmodel import col

from storage.conversations.conversations import Conversation, ConversationKind, MemberRole
from storage.conversations.messages import Message, fitting
from storage.conversations.policy import Action
from storage.conversations.visibility import ROLE, of_visible, require_action
from storage.errors import Conflict, Forbidden, NotFound
from storage.people.users import User
from storage.threads.mentions import find_mentions
from storage.threads.reactions import (
    ReactionCount,
    count_reactions,
)
from storage.threads.rows import MessageRevision


class ThreadMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message of a thread as one of its readers sees it; `sender_id` is None when their account is gone.

    `parent_id` is what it replies to, and `root_id` the message at the top of those.
    """

    id: UUID
    thread_id: UUID
    seq: int
    sender_id: UUID | None
    sender_name: str | None
    content: str
    parent_id: UUID | None
    root_id: UUID | None
    deleted: bool
    hidden: bool
    pinned: bool
    mentions: tuple[UUID, ...]
    reactions: tuple[ReactionCount, ...]
    sent_at: datetime
    edited_at: datetime | None


class MessagePage(msgspec.Struct, frozen=True):
    """A page of messages, oldest first; `more` says whether there are others in the direction of reading."""

    messages: list[ThreadMessage]
    more: bool


class Revision(msgspec.Struct, frozen=True, kw_only=True):
    """What a message said before its edit of this number, counted from 1."""

    number: int
    content: str
    replaced_at: datetime


_SENDER = aliased(User)
_MODERATES = ROLE.in_((MemberRole.moderator, MemberRole.owner))
_SEES_TEXT = or_(col(Message.hidden_at).is_(None), col(Message.sender_id) == bindparam("asker"), _MODERATES)
_MESSAGES = (
    of_visible(
        col(Message.id),
        col(Message.conversation_id).label("thread_id"),
        col(Message.seq),
        col(Message.sender_id),
        col(_SENDER.username).label("sender_name"),
        case((_SEES_TEXT, col(Message.content)), else_="").label("content"),
        col(Message.parent_id),
        col(Message.root_id),
        col(Message.deleted_at).is_not(None).label("deleted"),
        col(Message.hidden_at).is_not(None).label("hidden"),
        col(Message.pinned_at).is_not(None).label("pinned"),
        col(Message.sent_at),
        col(Message.edited_at),
        _SEES_TEXT.label("sees_text"),
    )
    .join(Message, col(Message.conversation_id) == col(Conversation.id))
    .outerjoin(_SENDER, col(_SENDER.id) == col(Message.sender_id))
)
_OF_THREAD = _MESSAGES.where(col(Conversation.id) == bindparam("thread"))
_PINNED = _OF_THREAD.where(col(Message.pinned_at).is_not(None)).order_by(
    col(Message.pinned_at).desc(), col(Message.seq).desc()
)
_ONE = _MESSAGES.add_columns(col(Conversation.kind)).where(col(Message.id) == bindparam("message"))


def load_message(connection: Connection, asker: UUID, message_id: UUID) -> ThreadMessage:
    """A message of a thread that the asker sees. Raises `NotFound`, and `Conflict` for a chat's message."""
    return _messages(connection, asker, [find_message(connection, asker, message_id)])[0]


def list_messages(
    connection: Connection,
    asker: UUID,
    thread_id: UUID,
    *,
    after: int | None = None,
    before: int | None = None,
    limit: int,
) -> MessagePage:
    """A page of a thread: its newest messages, or those before or after a number (exclusive).

    It has `limit` of them at most, and fewer where they are long (`LARGEST_PAGE`).
    """
    require_action(connection, asker, ConversationKind.thread, thread_id, Action.read)
    return _page(connection, asker, thread_id, _OF_THREAD, after, before, limit, upwards=after is None)


def list_replies(
    connection: Connection,
    asker: UUID,
    message_id: UUID,
    *,
    after: int | None = None,
    before: int | None = None,
    limit: int,
) -> MessagePage:
    """A page of the replies to a message, from the first on, or after or before a number (exclusive), as long as one of
    `list_messages`."""
    thread_id = load_message(connection, asker, message_id).thread_id
    query = _OF_THREAD.where(col(Message.parent_id) == message_id)
    return _page(connection, asker, thread_id, query, after, before, limit, upwards=before is not None)


def list_pinned(connection: Connection, asker: UUID, thread_id: UUID) -> list[ThreadMessage]:
    """The pinned messages of a thread, the latest pinned first."""
    require_action(connection, asker, ConversationKind.thread, thread_id, Action.read)
    return _messages(connection, asker, connection.execute(_PINNED, {"asker": asker, "thread": thread_id}).all())


def list_revisions(
    connection: Connection,
    asker: UUID,
    message_id: UUID,
    *,
    after: int | None = None,
    before: int | None = None,
    limit: int,
) -> list[Revision]:
    """What a message said before its edits, oldest first, after or before a number (exclusive).

    Raises `Forbidden` when the message is hidden from the asker.
    """
    if not find_message(connection, asker, message_id).sees_text:
        raise Forbidden("This message is hidden.")
    number = col(MessageRevision.number)
    query = (
        select(number, col(MessageRevision.content), col(MessageRevision.replaced_at))
        .where(col(MessageRevision.message_id) == message_id)
        .limit(limit)
    )
    if before is not None:
        rows = connection.execute(query.where(number < before).order_by(number.desc())).all()[::-1]
    else:
        rows = connection.execute(query.where(number > (after or 0)).order_by(number)).all()
    return [Revision(number=row.number, content=row.content, replaced_at=row.replaced_at) for row in rows]


def find_message(connection: Connection, asker: UUID, message_id: UUID) -> Row[Any]:
    """The row of a message as the asker sees it, with their `role`. Raises as `load_message` does."""
    row = connection.execute(_ONE, {"asker": asker, "message": message_id}).first()
    if row is None:
        raise NotFound("There is no such message.")
    if row.kind != ConversationKind.thread:
        raise Conflict(
            f"This is a message of a {row.kind}. Those stay as they were said, because later turns were made from them."
        )
    return row


def _page(
    connection: Connection,
    asker: UUID,
    thread_id: UUID,
    query: Select[Any],
    after: int | None,
    before: int | None,
    limit: int,
    *,
    upwards: bool,
) -> MessagePage:
    seq = col(Message.seq)
    if after is not None:
        query = query.where(seq > after)
    if before is not None:
        query = query.where(seq < before)
    query = query.order_by(seq.desc() if upwards else seq).limit(limit + 1)
    rows = connection.execute(query, {"asker": asker, "thread": thread_id}).all()
    kept = rows[: fitting([len(row.content) for row in rows], limit)]
    messages = _messages(connection, asker, kept[::-1] if upwards else kept)
    return MessagePage(messages, more=len(kept) < len(rows))


def _messages(connection: Connection, asker: UUID, rows: Sequence[Row[Any]]) -> list[ThreadMessage]:
    ids = [row.id for row in rows]
    mentions, reactions = find_mentions(connection, ids), count_reactions(connection, asker, ids)
    return [
        ThreadMessage(
            id=row.id,
            thread_id=row.thread_id,
            seq=row.seq,
            sender_id=row.sender_id,
            sender_name=row.sender_name,
            content=row.content,
            parent_id=row.parent_id,
            root_id=row.root_id,
            deleted=row.deleted,
            hidden=row.hidden,
            pinned=row.pinned,
            mentions=mentions.get(row.id, ()) if row.sees_text else (),
            reactions=reactions.get(row.id, ()),
            sent_at=row.sent_at,
            edited_at=row.edited_at,
        )
        for row in rows
    ]
