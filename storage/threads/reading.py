"""How far people have read in threads, and when they did.

A position is a number of a message and moves forward only; what is unread is counted from it at each look
(`threads.py`), so that no stored count can be wrong. The access log has at most one row for a person, a thread and five
minutes, however often they look.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, Select, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col

from storage.conversations.conversations import ConversationKind
from storage.conversations.messages import Message
from storage.conversations.policy import Action
from storage.conversations.visibility import require_action
from storage.database.columns import new_id, now
from storage.errors import NotFound
from storage.people.users import User
from storage.threads.rows import AccessLog, ReadPosition

SLOT_SECONDS = 300
"""How long a person's looks at a thread are one entry of its access log."""


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a thread's access log: who saw, up to which message, and when they first saw that one."""

    id: UUID
    thread_id: UUID
    user_id: UUID
    username: str
    message_id: UUID | None
    access_time: datetime


def _forward(dialect: Any, table: type[ReadPosition | AccessLog], key: list[str], changed: list[str]) -> Any:
    """An upsert that changes these columns of the row with this key where its number grows."""
    row = dialect.insert(table)
    later = col(table.seq) < row.excluded.seq
    return row.on_conflict_do_update(
        index_elements=key, set_={name: row.excluded[name] for name in changed}, where=later
    )


_DIALECTS = {"sqlite": sqlite, "postgresql": postgresql}
_MOVE = {
    name: _forward(dialect, ReadPosition, ["conversation_id", "user_id"], ["seq"])
    for name, dialect in _DIALECTS.items()
}
_NOTE = {
    name: _forward(dialect, AccessLog, ["user_id", "conversation_id", "slot"], ["message_id", "seq", "access_time"])
    for name, dialect in _DIALECTS.items()
}
_SEQ = select(col(Message.seq)).where(
    col(Message.conversation_id) == bindparam("thread"), col(Message.id) == bindparam("message")
)
_ACCESSES: Select[*tuple[Any, ...]] = select(
    col(AccessLog.id),
    col(AccessLog.conversation_id).label("thread_id"),
    col(AccessLog.user_id),
    col(User.username),
    col(AccessLog.message_id),
    col(AccessLog.access_time),
).join(User, col(User.id) == col(AccessLog.user_id))


def mark_read(connection: Connection, asker: UUID, thread_id: UUID, message_id: UUID) -> None:
    """Have read a thread up to a message; one that lies behind what was read changes nothing."""
    require_action(connection, asker, ConversationKind.thread, thread_id, Action.read)
    seq = _seq_of(connection, thread_id, message_id)
    row = {"conversation_id": thread_id, "user_id": asker, "seq": seq}
    connection.execute(_MOVE[connection.dialect.name], row)


def note_access(connection: Connection, asker: UUID, thread_id: UUID, message_id: UUID | None) -> Access:
    """Log that somebody saw a thread up to a message; None where there is nothing to see yet."""
    require_action(connection, asker, ConversationKind.thread, thread_id, Action.read)
    moment = now()
    row = {
        "id": new_id(),
        "user_id": asker,
        "conversation_id": thread_id,
        "slot": int(moment.timestamp()) // SLOT_SECONDS,
        "message_id": message_id,
        "seq": 0 if message_id is None else _seq_of(connection, thread_id, message_id),
        "access_time": moment,
    }
    connection.execute(_NOTE[connection.dialect.name], row)
    mine = _ACCESSES.where(
        col(AccessLog.user_id) == asker,
        col(AccessLog.conversation_id) == thread_id,
        col(AccessLog.slot) == row["slot"],
    )
    return _access_of(connection.execute(mine).one())


def list_accesses(
    connection: Connection,
    asker: UUID,
    thread_id: UUID,
    *,
    after: UUID | None = None,
    before: UUID | None = None,
    limit: int,
) -> list[Access]:
    """Who saw a thread, the newest first, after or before an entry (exclusive); takes the owner.

    The order is that of the entries' ids, which an entry that is brought up to date keeps.
    """
    require_action(connection, asker, ConversationKind.thread, thread_id, Action.read_access_log)
    place = col(AccessLog.id)
    query = _ACCESSES.where(col(AccessLog.conversation_id) == thread_id).limit(limit)
    if before is not None:
        rows = connection.execute(query.where(place > before).order_by(place)).all()[::-1]
    else:
        older = query if after is None else query.where(place < after)
        rows = connection.execute(older.order_by(place.desc())).all()
    return [_access_of(row) for row in rows]


def _seq_of(connection: Connection, thread_id: UUID, message_id: UUID) -> int:
    seq: int | None = connection.execute(_SEQ, {"thread": thread_id, "message": message_id}).scalar()
    if seq is None:
        raise NotFound("There is no such message in this thread.")
    return seq


def _access_of(row: Row[Any]) -> Access:
    return Access(**row._mapping)
