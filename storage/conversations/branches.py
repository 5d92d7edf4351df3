"""Reading a chat page by page along its active branch, in both directions."""

from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, bindparam, literal, select
from sqlmodel import col

from providers.messages import Role
from storage.chats.chats import load_chat
from storage.conversations.messages import BranchMessage, Message, MessageState
from storage.errors import Conflict, NotFound
from storage.turns.rows import Turn


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


def _page(path: Any) -> Any:
    return (
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
        .join(path, col(Message.id) == path.c.id)
        .outerjoin(Turn, col(Turn.reply_message_id) == col(Message.id))
    )


_NEAR_UP = _up(stop=False)
_NEWEST = _page(_NEAR_UP).order_by(_NEAR_UP.c.depth.desc())
_FAR_UP = _up(stop=True)
_SINCE = _page(_FAR_UP).order_by(_FAR_UP.c.depth.desc()).limit(bindparam("limit"))
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


def newest_of_branch(connection: Connection, chat_id: UUID, leaf: UUID | None, *, limit: int) -> list[BranchMessage]:
    """The last messages of the branch that ends at `leaf`, oldest first."""
    if leaf is None:
        return []
    bound = {"conversation": chat_id, "leaf": leaf, "deepest": limit - 1}
    return _with_siblings(connection, chat_id, connection.execute(_NEWEST, bound).all())


def one_of_branch(connection: Connection, chat_id: UUID, message_id: UUID) -> BranchMessage:
    """One message of a chat, or `NotFound`."""
    found = newest_of_branch(connection, chat_id, message_id, limit=1)
    if not found:
        raise NotFound("There is no such message in this chat.")
    return found[0]


def before_on_branch(connection: Connection, chat_id: UUID, message_id: UUID, *, limit: int) -> list[BranchMessage]:
    """The messages above one on its branch, oldest first."""
    parent = connection.execute(_PARENT, {"conversation": chat_id, "message": message_id}).scalar()
    return newest_of_branch(connection, chat_id, parent, limit=limit)


def after_on_branch(
    connection: Connection, chat_id: UUID, leaf: UUID | None, message_id: UUID, *, limit: int
) -> list[BranchMessage]:
    """The messages below one on the branch that ends at `leaf`, oldest first.

    Raises `Conflict` when the message is not on that branch any more: somebody switched to another one.
    """
    if leaf is None or leaf == message_id:
        return []
    bound = {"conversation": chat_id, "leaf": leaf, "stop": message_id, "limit": limit}
    rows = connection.execute(_SINCE, bound).all()
    if not rows or rows[0].parent_id != message_id:
        raise Conflict("This message is not on the active branch any more. Read the newest messages again.")
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


def load_branch(
    connection: Connection,
    asker: UUID,
    chat_id: UUID,
    *,
    after: UUID | None = None,
    before: UUID | None = None,
    limit: int,
) -> list[BranchMessage]:
    """A page of a chat's active branch, oldest first: the newest, or those before or after a message.

    Raises `NotFound` for a chat that the asker does not take part in.
    """
    leaf = load_chat(connection, asker, chat_id).active_leaf
    if after is not None:
        return after_on_branch(connection, chat_id, leaf, after, limit=limit)
    if before is not None:
        return before_on_branch(connection, chat_id, before, limit=limit)
    return newest_of_branch(connection, chat_id, leaf, limit=limit)
