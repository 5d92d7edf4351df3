"""The turn as a row, and as those who may see it read it."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec
from sqlalchemy import BigInteger, CheckConstraint, Column, Connection, Index, LargeBinary, bindparam, select, text
from sqlmodel import Field, col

from providers.events import Usage
from storage.conversations.conversations import ConversationMember
from storage.conversations.messages import Message
from storage.conversations.visibility import takes_part
from storage.database.columns import Table, UTCDateTime
from storage.errors import NotFound


class TurnState(StrEnum):
    """Where a turn stands. `completed` only if the provider said so; an early end of its stream is `truncated`."""

    running = "running"
    completed = "completed"
    stopped = "stopped"
    truncated = "truncated"
    filtered = "filtered"
    failed = "failed"
    interrupted = "interrupted"


class Turn(Table, table=True):
    """One turn. Times are UTC; `cost_nano` is in billionths of the currency unit, exact; `first_content_ms` counts
    from the request. While it runs, the process `node` renews `leased_until`, and `events` is how many events told the
    partial text that is stored; afterwards, how many there were (None: unknown, its process died). `attended_at` notes
    that it is read through another process."""

    __table_args__ = (
        CheckConstraint(
            "state IN ('running', 'completed', 'stopped', 'truncated', 'filtered', 'failed', 'interrupted')",
            name="state",
        ),
        Index(
            "uq_turn_running",
            "conversation_id",
            unique=True,
            sqlite_where=text("state = 'running'"),
            postgresql_where=text("state = 'running'"),
        ),
        Index(
            "ix_turn_running_by_user",
            "user_id",
            sqlite_where=text("state = 'running'"),
            postgresql_where=text("state = 'running'"),
        ),
    )

    id: UUID = Field(primary_key=True)
    conversation_id: UUID = Field(foreign_key="conversation.id", ondelete="CASCADE", index=True)
    user_id: UUID | None = Field(foreign_key="user.id", ondelete="SET NULL")
    user_message_id: UUID = Field(foreign_key="message.id", ondelete="CASCADE", index=True)
    reply_message_id: UUID = Field(foreign_key="message.id", ondelete="CASCADE", unique=True)
    state: str
    finish_reason: str | None
    persona: str
    persona_digest: str = Field(foreign_key="persona_revision.digest")
    model: str
    manifest: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    notices: str
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    usage_estimated: bool | None
    cost_nano: int | None = Field(sa_column=Column(BigInteger))
    error_code: str | None
    error_message: str | None
    events: int | None
    first_content_ms: int | None
    stop_requested: bool
    node: UUID
    leased_until: datetime = Field(sa_type=UTCDateTime)
    attended_at: datetime | None = Field(sa_type=UTCDateTime)
    started_at: datetime = Field(sa_type=UTCDateTime)
    ended_at: datetime | None = Field(sa_type=UTCDateTime)


class TurnRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A turn as a member of its chat reads it, with the reply as it stands."""

    id: UUID
    chat_id: UUID
    user_id: UUID | None
    user_message_id: UUID
    reply_message_id: UUID
    state: TurnState
    finish_reason: str | None
    content: str
    persona: str
    persona_digest: str
    model: str
    notices: list[str]
    usage: Usage | None
    cost_nano: int | None
    error_code: str | None
    error_message: str | None
    events: int | None
    first_content_ms: int | None
    started_at: datetime
    ended_at: datetime | None


_LOAD = (
    select(Turn.__table__, col(Message.content))  # type: ignore[attr-defined]
    .join(Message, col(Message.id) == col(Turn.reply_message_id))
    .join(ConversationMember, takes_part(col(Turn.conversation_id)))
    .where(col(Turn.id) == bindparam("turn"))
)
_RUNNING_IN = select(col(Turn.id)).where(
    col(Turn.conversation_id) == bindparam("conversation"), col(Turn.state) == text("'running'")
)


def load_turn(connection: Connection, asker: UUID, turn_id: UUID) -> TurnRecord:
    """A turn of a chat that the asker takes part in, or `NotFound`."""
    row = connection.execute(_LOAD, {"turn": turn_id, "asker": asker}).first()
    if row is None:
        raise NotFound("There is no such turn.")
    usage = None
    if row.input_tokens is not None:
        usage = Usage(
            input_tokens=row.input_tokens,
            output_tokens=row.output_tokens,
            cache_read_tokens=row.cache_read_tokens,
            cache_write_tokens=row.cache_write_tokens,
            reasoning_tokens=row.reasoning_tokens,
            estimated=row.usage_estimated,
        )
    return TurnRecord(
        id=row.id,
        chat_id=row.conversation_id,
        user_id=row.user_id,
        user_message_id=row.user_message_id,
        reply_message_id=row.reply_message_id,
        state=TurnState(row.state),
        finish_reason=row.finish_reason,
        content=row.content,
        persona=row.persona,
        persona_digest=row.persona_digest,
        model=row.model,
        notices=msgspec.json.decode(row.notices, type=list[str]),
        usage=usage,
        cost_nano=row.cost_nano,
        error_code=row.error_code,
        error_message=row.error_message,
        events=row.events,
        first_content_ms=row.first_content_ms,
        started_at=row.started_at,
        ended_at=row.ended_at,
    )


def running_turn(connection: Connection, chat_id: UUID) -> UUID | None:
    """The turn that runs in a chat, if one does."""
    found: UUID | None = connection.execute(_RUNNING_IN, {"conversation": chat_id}).scalar()
    return found


def load_manifest(connection: Connection, turn_id: UUID) -> bytes:
    """The stored manifest of a turn's Context; see `personas.manifest` for its form."""
    return bytes(connection.execute(select(col(Turn.manifest)).where(col(Turn.id) == turn_id)).scalar_one())


class AskedBy(msgspec.Struct, frozen=True):
    """Where a turn belongs, who asked it, and whom."""

    chat_id: UUID
    user_id: UUID | None
    persona: str
    persona_digest: str


_ASKED_BY = select(col(Turn.conversation_id), col(Turn.user_id), col(Turn.persona), col(Turn.persona_digest)).where(
    col(Turn.id) == bindparam("turn")
)
_ASKED_BY_VISIBLE = _ASKED_BY.join(ConversationMember, takes_part(col(Turn.conversation_id)))


def load_asked_turn(connection: Connection, turn_id: UUID, asker: UUID | None) -> AskedBy:
    """Who asked a turn; None for the asker finds any turn (an operator's right). Raises `NotFound`."""
    query = _ASKED_BY if asker is None else _ASKED_BY_VISIBLE
    row = connection.execute(query, {"turn": turn_id, "asker": asker}).first()
    if row is None:
        raise NotFound("There is no such turn.")
    return AskedBy(row.conversation_id, row.user_id, row.persona, row.persona_digest)
