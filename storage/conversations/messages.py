"""Messages: one row each, a tree by `parent_id`, ordered in their conversation by `seq`.

In a chat an edit or another try makes a sibling; its rows are never rewritten once they are complete. Reading a branch
walks up from its leaf, so it costs what is read, not what is stored. In a thread, rows are edited, hidden and emptied
(`storage/threads/messages.py`), but never removed, so that replies keep their parent.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import (
    CheckConstraint,
    Connection,
    ForeignKeyConstraint,
    Index,
    UniqueConstraint,
    bindparam,
    func,
    insert,
    literal,
    select,
    text,
    update,
)
from sqlmodel import Field, col

from providers.messages import HistoryMessage, Role
from storage.conversations.conversations import Conversation
from storage.database.columns import Table, UTCDateTime, now
from storage.database.statements import Statement
from storage.errors import NotFound

NOWHERE = UUID(int=0)
"""No message's id: the end of a walk that goes up to the root."""


LONGEST_WINDOW = 10_000
"""Messages that a window may have: a bound on what one turn reads where nothing was ever dropped."""

LARGEST_WINDOW = 16_777_216
"""Characters that it may have, its oldest message aside: more than any model takes, less than a process minds."""


LARGEST_PAGE = 1_048_576
"""Characters of content that a page of messages may have; a message that is longer stands alone."""


class MessageState(StrEnum):
    """How a message ended; only a persona's reply can be anything but completed."""

    running = "running"
    completed = "completed"
    stopped = "stopped"
    truncated = "truncated"
    filtered = "filtered"
    failed = "failed"
    interrupted = "interrupted"


USABLE = frozenset({MessageState.completed, MessageState.stopped, MessageState.truncated})
"""States in which a reply is part of what was said, and goes into later Contexts."""


class Message(Table, table=True):
    """One message. `sender_id` is None for a persona; `tokens` is its o200k_base count.

    `window_start` is the oldest message of the Context that this message belongs to (None: from the beginning). A
    message inherits it from its parent, and a turn moves it on when its Context ran over budget.

    In threads, `root_id` is the message at the top of those that `parent_id` leads up to.
    """

    __table_args__ = (
        UniqueConstraint("conversation_id", "seq"),
        UniqueConstraint("conversation_id", "id"),
        ForeignKeyConstraint(
            ["conversation_id", "parent_id"], ["message.conversation_id", "message.id"], name="fk_message_parent"
        ),
        CheckConstraint("role IN ('user', 'assistant', 'system')", name="role"),
        CheckConstraint(
            "state IN ('running', 'completed', 'stopped', 'truncated', 'filtered', 'failed', 'interrupted')",
            name="state",
        ),
        Index("ix_message_parent_id", "conversation_id", "parent_id"),
        Index(
            "ix_message_pinned",
            "conversation_id",
            sqlite_where=text("pinned_at IS NOT NULL"),
            postgresql_where=text("pinned_at IS NOT NULL"),
        ),
    )

    id: UUID = Field(primary_key=True)
    conversation_id: UUID = Field(foreign_key="conversation.id", ondelete="CASCADE")
    seq: int
    parent_id: UUID | None
    root_id: UUID | None
    sender_id: UUID | None = Field(foreign_key="user.id", ondelete="SET NULL", index=True)
    persona: str | None
    persona_digest: str | None
    role: str
    content: str
    tokens: int
    state: str
    window_start: UUID | None
    sent_at: datetime = Field(sa_type=UTCDateTime)
    edited_at: datetime | None = Field(sa_type=UTCDateTime)
    deleted_at: datetime | None = Field(sa_type=UTCDateTime)
    hidden_at: datetime | None = Field(sa_type=UTCDateTime)
    pinned_at: datetime | None = Field(sa_type=UTCDateTime)


class BranchMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message of a branch, with its alternatives: the ids of all messages with the same parent, oldest first."""

    id: UUID
    seq: int
    role: Role
    content: str
    tokens: int
    state: MessageState
    parent_id: UUID | None
    sender_id: UUID | None
    persona: str | None
    persona_digest: str | None
    turn_id: UUID | None
    model: str | None
    error_code: str | None
    error_message: str | None
    sent_at: datetime
    siblings: tuple[UUID, ...] = ()


class _WindowRow(msgspec.Struct, array_like=True, gc=False):
    id: UUID
    role: Role
    content: str
    tokens: int
    state: MessageState


_INSERT = Statement(insert(Message))
_NEXT_SEQ = Statement(
    update(Conversation)
    .where(col(Conversation.id) == bindparam("conversation"))
    .values(last_seq=col(Conversation.last_seq) + bindparam("count"), updated_at=bindparam("moment", type_=UTCDateTime))
    .returning(col(Conversation.last_seq))
)


def _walk_up(name: str) -> Any:
    """The ids from `leaf` up to `stop`, both inclusive, with their depth and the size of all so far."""
    size = func.length(col(Message.content))
    start = (
        select(col(Message.id), col(Message.parent_id), literal(0).label("depth"), size.label("size"))
        .where(col(Message.id) == bindparam("leaf"), col(Message.conversation_id) == bindparam("conversation"))
        .cte(name, recursive=True)
    )
    return start.union_all(
        select(col(Message.id), col(Message.parent_id), start.c.depth + 1, start.c.size + size)
        .join(start, col(Message.id) == start.c.parent_id)
        .where(start.c.id != bindparam("stop"), start.c.depth < LONGEST_WINDOW, start.c.size < LARGEST_WINDOW)
    )


_UP = _walk_up("up")
_WINDOW = Statement(
    select(col(Message.id), col(Message.role), col(Message.content), col(Message.tokens), col(Message.state))
    .join(_UP, col(Message.id) == _UP.c.id)
    .order_by(_UP.c.depth.desc())
)
_TEXTS = select(col(Message.id), col(Message.content)).where(
    col(Message.conversation_id) == bindparam("conversation"), col(Message.id).in_(bindparam("ids", expanding=True))
)


def take_seq(connection: Connection, conversation_id: UUID, count: int) -> int:
    """Reserve the next sequence numbers of a conversation; gives the first of them, or `NotFound` when it is gone."""
    bound = {"conversation": conversation_id, "count": count, "moment": now()}
    taken = _NEXT_SEQ.first(connection, bound)
    if taken is None:
        raise NotFound("There is no such conversation any more.")
    last: int = taken.last_seq
    return last - count + 1


def add_messages(connection: Connection, *rows: dict[str, Any]) -> None:
    """Insert messages whose rows are complete; see `message_row`."""
    _INSERT.run_each(connection, rows)


def message_row(
    *,
    id: UUID,
    conversation_id: UUID,
    seq: int,
    role: Role,
    content: str,
    tokens: int,
    parent_id: UUID | None,
    root_id: UUID | None = None,
    sender_id: UUID | None = None,
    persona: str | None = None,
    persona_digest: str | None = None,
    state: MessageState = MessageState.completed,
    window_start: UUID | None = None,
) -> dict[str, Any]:
    """A row for `add_messages`."""
    return {
        "id": id,
        "conversation_id": conversation_id,
        "seq": seq,
        "parent_id": parent_id,
        "root_id": root_id,
        "sender_id": sender_id,
        "persona": persona,
        "persona_digest": persona_digest,
        "role": role,
        "content": content,
        "tokens": tokens,
        "state": state,
        "window_start": window_start,
        "sent_at": now(),
    }


def fitting(sizes: Sequence[int], limit: int) -> int:
    """How many messages of these sizes, nearest first, make a page: `limit` and `LARGEST_PAGE` at most, but one."""
    total = 0
    for count, size in enumerate(sizes[:limit]):
        total += size
        if count and total > LARGEST_PAGE:
            return count
    return min(len(sizes), limit)


def read_window(
    connection: Connection, conversation_id: UUID, leaf: UUID | None, start: UUID | None
) -> tuple[HistoryMessage, ...]:
    """The branch that ends at `leaf`, oldest first, from `start` on (None: from its root), as far as a window goes."""
    if leaf is None:
        return ()
    bound = {"conversation": conversation_id, "leaf": leaf, "stop": start or NOWHERE}
    return tuple(
        [
            HistoryMessage(row.id, row.role, row.content, row.tokens, row.state in USABLE and row.content != "")
            for row in _WINDOW.all_as(_WindowRow, connection, bound)
        ]
    )


def read_texts(connection: Connection, conversation_id: UUID, ids: Sequence[UUID]) -> dict[UUID, str]:
    """The texts of some messages of a conversation, by id."""
    rows = connection.execute(_TEXTS, {"conversation": conversation_id, "ids": list(ids)})
    return {row.id: row.content for row in rows}
