"""Reading a chat page by page along its active branch, in both directions.

Texts may be long, so their sizes are read first, and then the messages that a page has room for.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, bindparam, func, literal, select
from sqlmodel import col

from providers.messages import Role
from storage.chats.chats import load_chat
from storage.conversations.messages import BranchMessage, Message, MessageState, fitting
from storage.errors import Conflict, NotFound
from storage.turns.rows import Turn


class BranchPage(msgspec.Struct, frozen=True):
    """A page of a branch, oldest first; `more` says whether the branch goes on in the direction of reading."""

    messages: list[BranchMessage]
    more: bool


def _up(stop: bool) -> Any:
    start = (
        select(col(Message.id), col(Message.parent_id), literal(0).label("depth"))
        .where(col(Message.id) == bindparam("leaf"), col(Message.conversation_id) == bindparam("conversation"))
        .cte("up", recursive=True)
    )
    step = select(col(Message.id), col(Message.parent_id), start.c.depth + 1).join(
        start, col(Message.id) == start.c.parent_id
    )
    if stop:
        step = step.where(start.c.parent_id != bindparam("stop"))
    else:
        step = step.where(start.c.depth < bindparam("deepest"))
    return start.union_all(step)


def _sized(path: Any) -> Any:
    return select(path.c.id, path.c.parent_id, func.length(col(Message.content)).label("size")).join(
        Message, col(Message.id) == path.c.id
    )


_NEAR_UP = _up(stop=False)
_NEWEST = _sized(_NEAR_UP).order_by(_NEAR_UP.c.depth)
_FAR_UP = _up(stop=True)
_NEXT = select(_FAR_UP).order_by(_FAR_UP.c.depth.desc()).limit(bindparam("limit")).subquery()
_SINCE = _sized(_NEXT).order_by(_NEXT.c.depth.desc())
_MESSAGES = (
    select(
        col(Message.id),
        col(Message.seq),
        col(Message.role),
        col(Message.content),
        col(Message.tokens),
        col(Message.state),
        col(Message.parent_id),
        col(Message.sender_id),
        col(Message.persona),
        col(Message.persona_digest),
        col(Message.sent_at),
        col(Turn.id).label("turn_id"),
        col(Turn.model),
        col(Turn.error_code),
        col(Turn.error_message),
    )
    .outerjoin(Turn, col(Turn.reply_message_id) == col(Message.id))
    .where(
        col(Message.conversation_id) == bindparam("conversation"), col(Message.id).in_(bindparam("ids", expanding=True))
    )
    .order_by(col(Message.seq))
)
_PARENT = select(col(Message.parent_id)).where(
    col(Message.conversation_id) == bindparam("conversation"), col(Message.id) == bindparam("message")
)
_SIBLINGS = (
    select(col(Message.id), col(Message.parent_id))
    .where(
        col(Message.conversation_id) == bindparam("conversation"),
        col(Message.parent_id).in_(bindparam("parents", expanding=True)),
    )
    .order_by(col(Message.seq))
)
_ROOTS = (
    select(col(Message.id), col(Message.parent_id))
    .where(col(Message.conversation_id) == bindparam("conversation"), col(Message.parent_id).is_(None))
    .order_by(col(Message.seq))
)


def one_of_branch(connection: Connection, chat_id: UUID, message_id: UUID) -> BranchMessage:
    """One message of a chat, or `NotFound`."""
    found = _read(connection, chat_id, [message_id])
    if not found:
        raise NotFound("There is no such message in this chat.")
    return found[0]


def load_branch(
    connection: Connection,
    asker: UUID,
    chat_id: UUID,
    *,
    after: UUID | None = None,
    before: UUID | None = None,
    limit: int,
) -> BranchPage:
    """A page of a chat's active branch: the newest messages, or those before or after one.

    It has `limit` of them at most, and fewer where they are long (`LARGEST_PAGE`). Raises `NotFound` for a chat that
    the asker does not take part in, and `Conflict` when `after` is not on the branch any more.
    """
    leaf = load_chat(connection, asker, chat_id).active_leaf
    if after is not None:
        nearest = _after(connection, chat_id, leaf, after, limit + 1)
    else:
        if before is not None:
            leaf = connection.execute(_PARENT, {"conversation": chat_id, "message": before}).scalar()
        bound = {"conversation": chat_id, "leaf": leaf, "deepest": limit}
        nearest = connection.execute(_NEWEST, bound).all() if leaf is not None else []
    ids = [row.id for row in nearest[: fitting([row.size for row in nearest], limit)]]
    return BranchPage(_read(connection, chat_id, ids), more=len(ids) < len(nearest))


def _after(
    connection: Connection, chat_id: UUID, leaf: UUID | None, message_id: UUID, limit: int
) -> Sequence[Row[Any]]:
    if leaf is None or leaf == message_id:
        return []
    bound = {"conversation": chat_id, "leaf": leaf, "stop": message_id, "limit": limit}
    rows = connection.execute(_SINCE, bound).all()
    if not rows or rows[0].parent_id != message_id:
        raise Conflict("This message is not on the active branch any more. Read the newest messages again.")
    return rows


def _read(connection: Connection, chat_id: UUID, ids: Sequence[UUID]) -> list[BranchMessage]:
    rows = connection.execute(_MESSAGES, {"conversation": chat_id, "ids": ids}).all()
    return _with_siblings(connection, chat_id, rows)


def _with_siblings(connection: Connection, chat_id: UUID, rows: Any) -> list[BranchMessage]:
    parents = {row.parent_id for row in rows}
    siblings: dict[UUID | None, list[UUID]] = {parent: [] for parent in parents}
    if None in parents:
        parents.discard(None)
        siblings[None] = [row.id for row in connection.execute(_ROOTS, {"conversation": chat_id})]
    if parents:
        for row in connection.execute(_SIBLINGS, {"conversation": chat_id, "parents": list(parents)}):
            siblings[row.parent_id].append(row.id)
    return [_message(row, tuple(siblings[row.parent_id])) for row in rows]


def _message(row: Row[Any], siblings: tuple[UUID, ...]) -> BranchMessage:
    return BranchMessage(
        id=row.id,
        seq=row.seq,
        role=Role(row.role),
        content=row.content,
        tokens=row.tokens,
        state=MessageState(row.state),
        parent_id=row.parent_id,
        sender_id=row.sender_id,
        persona=row.persona,
        persona_digest=row.persona_digest,
        turn_id=row.turn_id,
        model=row.model,
        error_code=row.error_code,
        error_message=row.error_message,
        sent_at=row.sent_at,
        siblings=siblings,
    )
