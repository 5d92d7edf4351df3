"""Threads as people see and change them.

Every function takes who asks as its second argument, and finds only the threads that they see: those they take part
in, and those that are open to everyone.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, bindparam, delete, func, insert, or_, select, tuple_, union_all, update
from sqlmodel import col

from storage.conversations.conversations import (
    Conversation,
    ConversationKind,
    ConversationMember,
    MemberRole,
    add_owner,
    hold_conversation,
)
from storage.conversations.messages import Message
from storage.conversations.policy import Action, require
from storage.conversations.visibility import of_visible
from storage.database.columns import new_id, now
from storage.errors import NotFound
from storage.threads.mentions import Mention
from storage.threads.rows import ReadPosition, Thread, Visibility


class SeenThread(msgspec.Struct, frozen=True, kw_only=True):
    """A thread as one of those who see it does; `role` is theirs. `active_at` is when its newest message was sent.

    `last_read_seq` is how far they have read, and `unread` counts the later messages of others that can be read: not
    those that are deleted or hidden. `unread_mentions` counts those of them that mention the reader.
    """

    id: UUID
    title: str
    visibility: Visibility
    locked: bool
    archived: bool
    owner_id: UUID
    role: MemberRole
    last_read_seq: int
    unread: int
    unread_mentions: int
    created_at: datetime
    active_at: datetime


class ThreadChange(msgspec.Struct, frozen=True, kw_only=True):
    """What may be changed of a thread; what is unset stays."""

    title: str | msgspec.UnsetType = msgspec.UNSET
    visibility: Visibility | msgspec.UnsetType = msgspec.UNSET
    locked: bool | msgspec.UnsetType = msgspec.UNSET
    archived: bool | msgspec.UnsetType = msgspec.UNSET


_TAKES = {
    "title": Action.rename,
    "visibility": Action.change_visibility,
    "locked": Action.lock,
    "archived": Action.archive,
}
"""What it takes to change each field of a `ThreadChange`."""

_LAST_READ = func.coalesce(col(ReadPosition.seq), 0)
_COUNTS_AS_UNREAD = (
    or_(col(Message.sender_id).is_(None), col(Message.sender_id) != bindparam("asker")),
    col(Message.deleted_at).is_(None),
    col(Message.hidden_at).is_(None),
)
_UNREAD = (
    select(func.count())
    .select_from(Message)
    .where(col(Message.conversation_id) == col(Conversation.id), col(Message.seq) > _LAST_READ, *_COUNTS_AS_UNREAD)
    .correlate(Conversation, ReadPosition)
    .scalar_subquery()
)
_UNREAD_MENTIONS = (
    select(func.count())
    .select_from(Mention)
    .join(Message, col(Message.id) == col(Mention.message_id))
    .where(
        col(Mention.user_id) == bindparam("asker"),
        col(Mention.conversation_id) == col(Conversation.id),
        col(Mention.seq) > _LAST_READ,
        *_COUNTS_AS_UNREAD,
    )
    .correlate(Conversation, ReadPosition)
    .scalar_subquery()
)
_THREADS = of_visible(
    col(Conversation.id),
    col(Conversation.title),
    col(Thread.visibility),
    col(Thread.locked),
    col(Thread.archived),
    col(Conversation.owner_id),
    col(Conversation.created_at),
    col(Thread.active_at),
    _LAST_READ.label("last_read_seq"),
    _UNREAD.label("unread"),
    _UNREAD_MENTIONS.label("unread_mentions"),
).outerjoin(
    ReadPosition,
    (col(ReadPosition.conversation_id) == col(Conversation.id)) & (col(ReadPosition.user_id) == bindparam("asker")),
)
_THREADS = _THREADS.where(col(Conversation.kind) == ConversationKind.thread)
_ONE_THREAD = _THREADS.where(col(Conversation.id) == bindparam("thread"))
_OPEN = select(col(Thread.conversation_id), col(Thread.active_at)).where(col(Thread.visibility) == Visibility.everyone)
_MINE = (
    select(col(Thread.conversation_id), col(Thread.active_at))
    .join(ConversationMember, col(ConversationMember.conversation_id) == col(Thread.conversation_id))
    .where(col(ConversationMember.user_id) == bindparam("asker"), col(Thread.visibility) == Visibility.members)
)


def create_thread(connection: Connection, asker: UUID, *, title: str, visibility: Visibility) -> SeenThread:
    """Open a thread; who asks is its owner."""
    thread_id = new_id()
    moment = now()
    connection.execute(
        insert(Conversation).values(
            id=thread_id,
            kind=ConversationKind.thread,
            owner_id=asker,
            title=title,
            last_seq=0,
            created_at=moment,
            updated_at=moment,
        )
    )
    connection.execute(
        insert(Thread).values(
            conversation_id=thread_id, visibility=visibility, locked=False, archived=False, active_at=moment
        )
    )
    add_owner(connection, thread_id, asker)
    return load_thread(connection, asker, thread_id)


def load_thread(connection: Connection, asker: UUID, thread_id: UUID, action: Action = Action.read) -> SeenThread:
    """A thread that the asker sees. Raises `NotFound`, or `Forbidden` when their role may not do this."""
    row = connection.execute(_ONE_THREAD, {"asker": asker, "thread": thread_id}).first()
    if row is None:
        raise NotFound("There is no such thread.")
    require(ConversationKind.thread, action, row.role)
    return _thread(row)


def list_threads(
    connection: Connection,
    asker: UUID,
    *,
    after: tuple[datetime, UUID] | None = None,
    before: tuple[datetime, UUID] | None = None,
    limit: int,
) -> list[SeenThread]:
    """The threads that the asker sees, the newest activity first, after or before a place in that order (exclusive)."""
    place = (col(Thread.active_at), col(Thread.conversation_id))
    order = place if before is not None else tuple(part.desc() for part in place)
    parts = []
    for part in (_OPEN, _MINE):  # each is read in the order of an index, as far as the page goes
        if before is not None:
            part = part.where(tuple_(*place) > tuple_(*before))
        elif after is not None:
            part = part.where(tuple_(*place) < tuple_(*after))
        parts.append(select(part.order_by(*order).limit(limit).subquery().c.conversation_id))
    page = _THREADS.where(col(Conversation.id).in_(union_all(*parts))).order_by(*order).limit(limit)
    threads = [_thread(row) for row in connection.execute(page, {"asker": asker})]
    return threads[::-1] if before is not None else threads


def change_thread(connection: Connection, asker: UUID, thread_id: UUID, change: ThreadChange) -> SeenThread:
    """Change a thread, all of it or nothing; each field takes its own role."""
    hold_conversation(connection, thread_id)
    values = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not msgspec.UNSET}
    thread = load_thread(connection, asker, thread_id)
    for name in values:
        require(ConversationKind.thread, _TAKES[name], thread.role)
    if "title" in values:
        title = values.pop("title")
        connection.execute(update(Conversation).where(col(Conversation.id) == thread_id).values(title=title))
    if values:
        connection.execute(update(Thread).where(col(Thread.conversation_id) == thread_id).values(**values))
    return load_thread(connection, asker, thread_id)


def delete_thread(connection: Connection, asker: UUID, thread_id: UUID) -> None:
    """Delete a thread and all that was said in it; only its owner may."""
    load_thread(connection, asker, thread_id, Action.delete)
    if connection.execute(delete(Conversation).where(col(Conversation.id) == thread_id)).rowcount == 0:
        raise NotFound("There is no such thread.")  # deleted in between


def _thread(row: Row[Any]) -> SeenThread:
    return SeenThread(
        id=row.id,
        title=row.title,
        visibility=Visibility(row.visibility),
        locked=row.locked,
        archived=row.archived,
        owner_id=row.owner_id,
        role=MemberRole(row.role),
        last_read_seq=row.last_read_seq,
        unread=row.unread,
        unread_mentions=row.unread_mentions,
        created_at=row.created_at,
        active_at=row.active_at,
    )
