"""Messages of threads as people write them: saying, editing, taking back, reacting, hiding, pinning.

All changes of a thread's messages take its conversation's row first, so they come one after another.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.orm import aliased
from sqlmodel import col

from providers.messages import Role
from storage.conversations.conversations import ConversationKind, hold_conversation
from storage.conversations.messages import Message, add_messages, message_row, take_seq
from storage.conversations.policy import Action, require
from storage.conversations.visibility import require_action
from storage.database.columns import UTCDateTime, new_id, now
from storage.errors import Conflict, Forbidden, NotFound, ThreadLocked
from storage.people.audit_log import record
from storage.threads.mentions import forget_mentions, keep_mentions
from storage.threads.messages import ThreadMessage, find_message, load_message
from storage.threads.reactions import add_reaction, forget_reactions, remove_reaction
from storage.threads.rows import MessageRevision, Thread

MOST_PINS = 50
"""Pinned messages that a thread may have."""

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
_PINNED = aliased(Message)
_PINS = (
    select(func.count())
    .select_from(_PINNED)
    .where(col(_PINNED.conversation_id) == bindparam("thread"), col(_PINNED.pinned_at).is_not(None))
    .scalar_subquery()
)
_PIN = (
    update(Message)
    .where(
        col(Message.id) == bindparam("message"),
        col(Message.pinned_at).is_(None),
        col(Message.deleted_at).is_(None),
        _PINS < MOST_PINS,
    )
    .values(pinned_at=bindparam("moment", type_=UTCDateTime))
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
    row = message_row(
        id=message_id,
        conversation_id=thread_id,
        seq=seq,
        role=Role.user,
        content=content,
        tokens=tokens,
        parent_id=parent_id,
        root_id=root_id,
        sender_id=asker,
    )
    add_messages(connection, row)
    keep_mentions(connection, thread_id, message_id, seq, content)
    return load_message(connection, asker, message_id)


def edit_message(connection: Connection, asker: UUID, message_id: UUID, *, content: str, tokens: int) -> ThreadMessage:
    """Say a message in other words; takes its sender. What it said becomes a revision.

    Raises `NotFound`, `Forbidden`, `ThreadLocked`, and `Conflict` for a deleted message and for a chat's.
    """
    message = _find_and_hold(connection, asker, message_id, Action.edit_message)
    _require_open(connection, message.thread_id)
    bound = {"message": message_id, "new": content, "moment": now()}
    connection.execute(_KEEP_REVISION, bound)
    if connection.execute(_EDIT, {**bound, "count": tokens}).rowcount:
        keep_mentions(connection, message.thread_id, message_id, message.seq, content)
    edited = load_message(connection, asker, message_id)
    if edited.deleted:
        raise Conflict("This message was deleted. Say it again.")
    return edited


def delete_message(connection: Connection, asker: UUID, message_id: UUID) -> None:
    """Take a message back; takes its sender. Its text, revisions and reactions go, its place stays for replies."""
    _find_and_hold(connection, asker, message_id, Action.delete_message)
    forget_mentions(connection, message_id)
    forget_reactions(connection, message_id)
    connection.execute(delete(MessageRevision).where(col(MessageRevision.message_id) == message_id))
    connection.execute(
        update(Message)
        .where(col(Message.id) == message_id, col(Message.deleted_at).is_(None))
        .values(content="", tokens=0, deleted_at=now(), pinned_at=None)
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


def pin_message(connection: Connection, asker: UUID, message_id: UUID, *, pinned: bool) -> ThreadMessage:
    """Pin a message for all who see the thread, or unpin it; takes a moderator.

    Raises `Conflict` for a deleted message, and when `MOST_PINS` are pinned.
    """
    message = _find_and_hold(connection, asker, message_id, Action.pin_message)
    if not pinned:
        connection.execute(update(Message).where(col(Message.id) == message_id).values(pinned_at=None))
        return load_message(connection, asker, message_id)
    bound = {"message": message_id, "thread": message.thread_id, "moment": now()}
    connection.execute(_PIN, bound)
    left = load_message(connection, asker, message_id)
    if left.deleted:
        raise Conflict("This message was deleted.")
    if not left.pinned:
        raise Conflict(f"This thread has {MOST_PINS} pinned messages. Unpin one first.")
    return left


def react(connection: Connection, asker: UUID, message_id: UUID, emoji: str, *, given: bool) -> ThreadMessage:
    """React to a message with an emoji, or take that back; takes a member.

    Raises `NotFound`, `Forbidden` also for a message that is hidden from the asker, `ThreadLocked`, and `Conflict`.
    """
    message = _find_and_hold(connection, asker, message_id, Action.react)
    _require_open(connection, message.thread_id)
    if not message.sees_text:
        raise Forbidden("This message is hidden.")
    if given:
        add_reaction(connection, asker, message_id, emoji)
    else:
        remove_reaction(connection, asker, message_id, emoji)
    reacted = load_message(connection, asker, message_id)
    if reacted.deleted:
        raise Conflict("This message was deleted.")
    return reacted


def _find_and_hold(connection: Connection, asker: UUID, message_id: UUID, action: Action) -> Row[Any]:
    found = find_message(connection, asker, message_id)
    hold_conversation(connection, found.thread_id)
    require(ConversationKind.thread, action, found.role, is_sender=found.sender_id == asker)
    return found


def _require_open(connection: Connection, thread_id: UUID) -> None:
    if connection.execute(_IS_CLOSED, {"thread": thread_id}).scalar():
        raise ThreadLocked
