"""Messages of threads as people read and write them.

Who may not see a text gets an empty one: of a deleted message it is gone, of a hidden one its sender and the thread's
moderators still see it. All changes of a thread's messages take its conversation's row first, so they come one after
another.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, bindparam, case, delete, func, insert, or_, select, update
from sqlalchemy.orm import aliased
from sqlmodel import col

from providers.messages import Role
from storage.conversations.conversations import Conversation, ConversationKind, MemberRole, hold_conversation
from storage.conversations.messages import Message, add_messages, message_row, take_seq
from storage.conversations.policy import Action, require
from storage.conversations.visibility import ROLE, of_visible, require_action
from storage.database.columns import UTCDateTime, new_id, now
from storage.errors import Conflict, Forbidden, NotFound, ThreadLocked
from storage.people.audit_log import record
from storage.people.users import User
from storage.threads.rows import MessageRevision, Thread


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
    sent_at: datetime
    edited_at: datetime | None


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
        col(Message.sent_at),
        col(Message.edited_at),
        _SEES_TEXT.label("sees_text"),
    )
    .join(Message, col(Message.conversation_id) == col(Conversation.id))
    .outerjoin(_SENDER, col(_SENDER.id) == col(Message.sender_id))
)
_OF_THREAD = _MESSAGES.where(col(Conversation.id) == bindparam("thread"))
_ONE = _MESSAGES.add_columns(col(Conversation.kind)).where(col(Message.id) == bindparam("message"))
_ROOT = select(func.coalesce(col(Message.root_id), col(Message.id))).where(
    col(Message.conversation_id) == bindparam("thread"), col(Message.id) == bindparam("parent")
)
_TOUCH = (
    update(Thread)
    .where(
        col(Thread.conversation_id) == bindparam("thread"),
        col(Thread.locked).is_(False),
        col(Thread.archived).is_(False),
    )
    .values(active_at=bindparam("moment", type_=UTCDateTime))
)
_IS_CLOSED = select(or_(col(Thread.locked), col(Thread.archived))).where(
    col(Thread.conversation_id) == bindparam("thread")
)
_CHANGES_TEXT = (
    col(Message.id) == bindparam("message"),
    col(Message.deleted_at).is_(None),
    col(Message.content) != bindparam("new"),
)
_NUMBER = (
    select(func.coalesce(func.max(col(MessageRevision.number)), 0) + 1)
    .where(col(MessageRevision.message_id) == bindparam("message"))
    .scalar_subquery()
)
_KEEP_REVISION = insert(MessageRevision).from_select(
    ["message_id", "number", "content", "replaced_at"],
    select(col(Message.id), _NUMBER, col(Message.content), bindparam("moment", type_=UTCDateTime)).where(
        *_CHANGES_TEXT
    ),
)
_EDIT = (
    update(Message)
    .where(*_CHANGES_TEXT)
    .values(content=bindparam("new"), tokens=bindparam("count"), edited_at=bindparam("moment", type_=UTCDateTime))
)


def post_message(
    connection: Connection, asker: UUID, thread_id: UUID, *, content: str, tokens: int, parent_id: UUID | None
) -> ThreadMessage:
    """Say something in a thread, in reply to another message of it or not; takes a member.

    Raises `NotFound`, `Forbidden`, and `ThreadLocked`.
    """
    require_action(connection, asker, ConversationKind.thread, thread_id, Action.say)
    seq = take_seq(connection, thread_id, 1)
    if connection.execute(_TOUCH, {"thread": thread_id, "moment": now()}).rowcount == 0:
        raise ThreadLocked
    root_id = None
    if parent_id is not None:
        root_id = connection.execute(_ROOT, {"thread": thread_id, "parent": parent_id}).scalar()
        if root_id is None:
            raise NotFound("There is no such parent message in this thread.")
    message_id = new_id()
    add_messages(
        connection,
        message_row(
            id=message_id,
            conversation_id=thread_id,
            seq=seq,
            role=Role.user,
            content=content,
            tokens=tokens,
            parent_id=parent_id,
            root_id=root_id,
            sender_id=asker,
        ),
    )
    return load_message(connection, asker, message_id)


def load_message(connection: Connection, asker: UUID, message_id: UUID) -> ThreadMessage:
    """A message of a thread that the asker sees. Raises `NotFound`, and `Conflict` for a chat's message."""
    return _message(_find(connection, asker, message_id))


def list_messages(
    connection: Connection,
    asker: UUID,
    thread_id: UUID,
    *,
    after: int | None = None,
    before: int | None = None,
    limit: int,
) -> list[ThreadMessage]:
    """A page of a thread, oldest first: its newest messages, or those before or after a number (exclusive)."""
    require_action(connection, asker, ConversationKind.thread, thread_id, Action.read)
    seq, query, bound = col(Message.seq), _OF_THREAD.limit(limit), {"asker": asker, "thread": thread_id}
    if after is not None:
        rows = connection.execute(query.where(seq > after).order_by(seq), bound).all()
    else:
        older = query if before is None else query.where(seq < before)
        rows = connection.execute(older.order_by(seq.desc()), bound).all()[::-1]
    return [_message(row) for row in rows]


def list_replies(
    connection: Connection,
    asker: UUID,
    message_id: UUID,
    *,
    after: int | None = None,
    before: int | None = None,
    limit: int,
) -> list[ThreadMessage]:
    """A page of the replies to a message, oldest first, after or before a number (exclusive)."""
    thread_id = load_message(connection, asker, message_id).thread_id
    seq, bound = col(Message.seq), {"asker": asker, "thread": thread_id}
    query = _OF_THREAD.where(col(Message.parent_id) == message_id).limit(limit)
    if before is not None:
        rows = connection.execute(query.where(seq < before).order_by(seq.desc()), bound).all()[::-1]
    else:
        rows = connection.execute(query.where(seq > (after or 0)).order_by(seq), bound).all()
    return [_message(row) for row in rows]


def edit_message(connection: Connection, asker: UUID, message_id: UUID, *, content: str, tokens: int) -> ThreadMessage:
    """Say a message in other words; takes its sender. What it said becomes a revision.

    Raises `NotFound`, `Forbidden`, `ThreadLocked`, and `Conflict` for a deleted message and for a chat's.
    """
    message = _find_and_hold(connection, asker, message_id, Action.edit_message)
    if connection.execute(_IS_CLOSED, {"thread": message.thread_id}).scalar():
        raise ThreadLocked
    bound = {"message": message_id, "new": content, "moment": now()}
    connection.execute(_KEEP_REVISION, bound)
    connection.execute(_EDIT, {**bound, "count": tokens})
    edited = load_message(connection, asker, message_id)
    if edited.deleted:
        raise Conflict("This message was deleted. Say it again.")
    return edited


def delete_message(connection: Connection, asker: UUID, message_id: UUID) -> None:
    """Take a message back; takes its sender. Its text and revisions are gone, its place stays for its replies."""
    _find_and_hold(connection, asker, message_id, Action.delete_message)
    connection.execute(delete(MessageRevision).where(col(MessageRevision.message_id) == message_id))
    connection.execute(
        update(Message)
        .where(col(Message.id) == message_id, col(Message.deleted_at).is_(None))
        .values(content="", tokens=0, deleted_at=now())
    )


def hide_message(connection: Connection, asker: UUID, message_id: UUID, *, hidden: bool) -> ThreadMessage:
    """Hide a message from all but its sender and the moderators, or show it again; takes a moderator; audited."""
    message = _find_and_hold(connection, asker, message_id, Action.hide_message)
    is_other = col(Message.hidden_at).is_(None) if hidden else col(Message.hidden_at).is_not(None)
    changed = connection.execute(
        update(Message).where(col(Message.id) == message_id, is_other).values(hidden_at=now() if hidden else None)
    )
    if changed.rowcount:
        action = "message.hidden" if hidden else "message.shown"
        record(connection, asker, action, str(message_id), thread=str(message.thread_id))
    return load_message(connection, asker, message_id)


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
    if not _find(connection, asker, message_id).sees_text:
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


def _find(connection: Connection, asker: UUID, message_id: UUID) -> Row[Any]:
    row = connection.execute(_ONE, {"asker": asker, "message": message_id}).first()
    if row is None:
        raise NotFound("There is no such message.")
    if row.kind != ConversationKind.thread:
        raise Conflict(
            f"This is a message of a {row.kind}. Those stay as they were said, because later turns were made from them."
        )
    return row


def _find_and_hold(connection: Connection, asker: UUID, message_id: UUID, action: Action) -> Row[Any]:
    found = _find(connection, asker, message_id)
    hold_conversation(connection, found.thread_id)
    require(ConversationKind.thread, action, found.role, is_sender=found.sender_id == asker)
    return found


def _message(row: Row[Any]) -> ThreadMessage:
    return ThreadMessage(**{name: getattr(row, name) for name in ThreadMessage.__struct_fields__})
