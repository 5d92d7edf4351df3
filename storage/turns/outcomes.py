"""Closing a turn: what became of it, written in one unit, once, whoever comes first."""

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import Connection, LargeBinary, bindparam, func, text, update
from sqlmodel import col

from providers.events import Usage
from storage.conversations.messages import Message
from storage.database.columns import UTCDateTime
from storage.database.statements import Statement
from storage.turns.rows import Turn, TurnState


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a turn ended. `tokens` is our own count of `content`; `manifest` is given when another model than the one
    prepared for answered, and so another Context was sent."""

    state: TurnState
    content: str
    tokens: int
    model: str
    finish_reason: str | None = None
    usage: Usage | None = None
    cost_nano: int | None = None
    notices: tuple[str, ...] = ()
    error_code: str | None = None
    error_message: str | None = None
    events: int
    ended_at: datetime
    first_content_ms: int | None = None
    manifest: bytes | None = None


_END_TURN = Statement(
    update(Turn)
    .where(col(Turn.id) == bindparam("turn"), col(Turn.state) == text("'running'"))
    .values(
        state=bindparam("new_state"),
        finish_reason=bindparam("new_finish_reason"),
        model=bindparam("new_model"),
        manifest=func.coalesce(bindparam("new_manifest", type_=LargeBinary), col(Turn.manifest)),
        notices=bindparam("new_notices"),
        input_tokens=bindparam("new_input_tokens"),
        output_tokens=bindparam("new_output_tokens"),
        cache_read_tokens=bindparam("new_cache_read_tokens"),
        cache_write_tokens=bindparam("new_cache_write_tokens"),
        reasoning_tokens=bindparam("new_reasoning_tokens"),
        usage_estimated=bindparam("new_usage_estimated"),
        cost_nano=bindparam("new_cost_nano"),
        error_code=bindparam("new_error_code"),
        error_message=bindparam("new_error_message"),
        events=bindparam("new_events"),
        first_content_ms=bindparam("new_first_content_ms"),
        ended_at=bindparam("moment", type_=UTCDateTime),
    )
)
_END_REPLY = Statement(
    update(Message)
    .where(col(Message.id) == bindparam("reply"))
    .values(content=bindparam("new_content"), tokens=bindparam("new_tokens"), state=bindparam("new_state"))
)


def finish_turn(connection: Connection, turn_id: UUID, reply_id: UUID, outcome: Outcome) -> bool:
    """Write how a turn ended; False when it was ended before, and then nothing is changed."""
    usage = outcome.usage
    ended = _END_TURN.run(
        connection,
        {
            "turn": turn_id,
            "new_state": outcome.state,
            "new_finish_reason": outcome.finish_reason,
            "new_model": outcome.model,
            "new_manifest": outcome.manifest,
            "new_notices": msgspec.json.encode(outcome.notices).decode(),
            "new_input_tokens": usage and usage.input_tokens,
            "new_output_tokens": usage and usage.output_tokens,
            "new_cache_read_tokens": usage and usage.cache_read_tokens,
            "new_cache_write_tokens": usage and usage.cache_write_tokens,
            "new_reasoning_tokens": usage and usage.reasoning_tokens,
            "new_usage_estimated": usage and usage.estimated,
            "new_cost_nano": outcome.cost_nano,
            "new_error_code": outcome.error_code,
            "new_error_message": outcome.error_message,
            "new_events": outcome.events,
            "new_first_content_ms": outcome.first_content_ms,
            "moment": outcome.ended_at,
        },
    )
    if ended == 0:
        return False
    _END_REPLY.run(
        connection,
        {
            "reply": reply_id,
            "new_content": outcome.content,
            "new_tokens": outcome.tokens,
            "new_state": outcome.state,
        },
    )
    return True
