"""Turns as clients read them, over HTTP and in events."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from storage.turns.rows import TurnRecord, TurnState


class ErrorView(msgspec.Struct, frozen=True):
    """Why a turn failed: a stable code, and a sentence."""

    code: str
    message: str


class UsageView(msgspec.Struct, frozen=True):
    """Tokens of the turn. `input_tokens` is the whole prompt; `estimated` says that we counted, not the provider."""

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    estimated: bool
    cost: Decimal | None


class ReplyView(msgspec.Struct, frozen=True):
    """The persona's reply as it stands."""

    id: UUID
    chat_id: UUID
    role: str
    content: str
    state: TurnState
    parent_id: UUID
    persona: str


class TurnView(msgspec.Struct, frozen=True, omit_defaults=False):
    """A turn, as `GET /api/turns/{id}` answers it and the terminal event carries it."""

    id: UUID
    chat_id: UUID
    user_message_id: UUID
    state: TurnState
    finish_reason: str | None
    reply: ReplyView
    usage: UsageView | None
    persona: str
    persona_digest: str
    model: str
    notices: list[str]
    first_content_ms: int | None
    started_at: datetime
    ended_at: datetime | None
    error: ErrorView | None


class TurnStarted(msgspec.Struct, frozen=True):
    """Data of `turn.started`."""

    turn_id: UUID
    chat_id: UUID
    user_message_id: UUID
    reply_message_id: UUID
    persona: str
    model: str


NANO = Decimal(10) ** -9


def started_view(record: TurnRecord) -> TurnStarted:
    """Data of `turn.started` for a stored turn."""
    return TurnStarted(
        turn_id=record.id,
        chat_id=record.chat_id,
        user_message_id=record.user_message_id,
        reply_message_id=record.reply_message_id,
        persona=record.persona,
        model=record.model,
    )


def turn_view(record: TurnRecord) -> TurnView:
    """A stored turn as clients read it."""
    usage = None
    if record.usage is not None:
        cost = None if record.cost_nano is None else record.cost_nano * NANO
        usage = UsageView(**_fields(record.usage), cost=cost)
    error = None
    if record.error_code is not None:
        error = ErrorView(record.error_code, record.error_message or "")
    return TurnView(
        id=record.id,
        chat_id=record.chat_id,
        user_message_id=record.user_message_id,
        state=record.state,
        finish_reason=record.finish_reason,
        reply=ReplyView(
            id=record.reply_message_id,
            chat_id=record.chat_id,
            role="assistant",
            content=record.content,
            state=record.state,
            parent_id=record.user_message_id,
            persona=record.persona,
        ),
        usage=usage,
        persona=record.persona,
        persona_digest=record.persona_digest,
        model=record.model,
        notices=record.notices,
        first_content_ms=record.first_content_ms,
        started_at=record.started_at,
        ended_at=record.ended_at,
        error=error,
    )


def _fields(struct: msgspec.Struct) -> dict[str, Any]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}
