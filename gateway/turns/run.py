"""The turn: ask the model, pass its words on, save what became of it. Owned by the gateway, not by who listens.

A turn is one task. Cancelling it (a stop, the drain) ends the answer and closes the upstream at once; what was said so
far is saved all the same. Nothing of HTTP is known here.
"""

import asyncio
import logging
from contextlib import aclosing
from typing import Any

import msgspec

from gateway.errors import GatewayError
from gateway.text import tokens_of
from gateway.turns.draft import Draft
from gateway.turns.log import TurnLog
from gateway.turns.preparing import Plan, assemble
from gateway.turns.views import turn_view
from personas.manifest import stored_manifest
from providers.errors import ProviderError
from providers.events import Usage
from providers.models import Model, ModelRequest
from storage.database import Database
from storage.database.columns import now
from storage.errors import NotFound, StorageUnavailable
from storage.turns.opening import OpenTurn
from storage.turns.outcomes import Outcome, finish_turn
from storage.turns.rows import TurnRecord, TurnState, load_turn

logger = logging.getLogger("gateway.turns")

SAVE_PATIENCE = 30.0
"""Seconds in which a failing save is tried again, from memory; then the turn is found by its lease."""

ENDED_BY_US = {
    TurnState.stopped: None,
    TurnState.interrupted: "The gateway stopped while this reply was being written. Ask for it again.",
}


CHAT_GONE: dict[str, Any] = {
    "state": TurnState.interrupted,
    "error_code": "chat-gone",
    "error_message": "The chat was deleted, or left, while this reply was being written.",
}


class Control(msgspec.Struct):
    """How others end a turn: only while it asks, since a save is let be, and only once."""

    end_as: TurnState | None = None
    asking: "asyncio.Task[Any] | None" = None

    def end(self, state: TurnState) -> None:
        """End the turn in this state, unless it is ending already."""
        if self.end_as is None:
            self.end_as = state
            if self.asking is not None:
                self.asking.cancel()

    def begin(self) -> None:
        """The turn asks from now on. Cancelled here, if it was ended before its first step."""
        if self.end_as is not None:
            raise asyncio.CancelledError
        self.asking = asyncio.current_task()


class Answer(msgspec.Struct, kw_only=True):
    """What is asked of the models at present: changes when a fallback is asked instead."""

    model: Model
    input_tokens: int
    manifest: bytes | None = None


async def run_turn(
    turn: OpenTurn[Plan],
    log: TurnLog,
    database: Database,
    *,
    request_id: str,
    control: Control,
) -> TurnRecord | None:
    """Run an opened turn to its end and append the terminal event after the commit. Gives the turn as it was stored."""
    draft = Draft(log)
    plan = turn.prepared.context
    answer = Answer(model=plan.candidates[0][1], input_tokens=plan.context.total_tokens)
    error_code = error_message = None
    try:
        control.begin()
        await _ask(turn, plan, answer, draft, request_id)
        state = draft.ended()
    except asyncio.CancelledError:
        state = control.end_as or TurnState.interrupted
        error_message = ENDED_BY_US[state]
        error_code = state.value if error_message else None
    except ProviderError as error:
        draft.error = error
        state = draft.ended()
    except GatewayError as error:
        state, error_code, error_message = TurnState.failed, error.code, error.message
    except Exception:
        logger.exception("a turn failed unforeseen", extra={"turn_id": str(turn.id)})
        state, error_code = TurnState.failed, "internal-error"
        error_message = "Something went wrong on our side. Ask again."
    control.asking = None
    if draft.error is not None and error_code is None:
        error_code, error_message = draft.error.code, draft.error.message
    outcome = await _outcome(log, draft, answer, state, error_code, error_message)
    record = await _save(turn, outcome, database)
    if record is not None:
        if record.content != log.text:  # the lease had run out, and what was stored until then stands
            log.add_snapshot(record.content)
        log.end(turn_view(record))
    return record


async def _ask(turn: OpenTurn[Plan], plan: Plan, answer: Answer, draft: Draft, request_id: str) -> None:
    """Ask one candidate after another until one begins to answer, and read its answer to the end."""
    context = plan.context
    *_, last = plan.candidates
    for candidate in plan.candidates:
        provider, model = candidate
        if model is not answer.model:
            context = assemble(plan.persona, model, turn.opening, plan.scene)
            answer.model, answer.input_tokens = model, context.total_tokens
            answer.manifest = stored_manifest(context)
        request = ModelRequest(
            model=model,
            messages=context.messages,
            max_output_tokens=context.max_output_tokens,
            params=context.params,
            request_id=request_id,
        )
        try:
            async with aclosing(provider.stream(request)) as batches:
                async for events in batches:
                    draft.add(events)
        except ProviderError as error:
            if candidate is last or not error.falls_back:
                raise
            draft.notices.append(f"{model.id} did not answer ({error.code}), so another model was asked.")
            logger.warning("fallback", extra={"turn_id": str(turn.id), "model": model.id, "code": error.code})
        else:
            return


async def _outcome(
    log: TurnLog,
    draft: Draft,
    answer: Answer,
    state: TurnState,
    error_code: str | None,
    error_message: str | None,
) -> Outcome:
    text = log.text
    tokens = await tokens_of(text)
    usage = draft.usage
    if usage is None and (text or state is TurnState.completed):
        usage = Usage(input_tokens=answer.input_tokens, output_tokens=tokens, estimated=True)
    return Outcome(
        state=state,
        content=text,
        tokens=tokens,
        model=answer.model.id,
        finish_reason=draft.finish_reason,
        usage=usage,
        cost_nano=None if usage is None else cost_nano(usage, answer.model),
        notices=tuple(draft.notices),
        error_code=error_code,
        error_message=error_message,
        events=log.newest + 2,
        ended_at=now(),
        first_content_ms=draft.first_content_ms,
        manifest=answer.manifest,
    )


def cost_nano(usage: Usage, model: Model) -> int | None:
    """What a call cost, in billionths of the currency unit, rounded half to even; None for a model without a price."""
    price = model.price
    if price is None:
        return None
    uncached = usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens
    cost = (
        max(0, uncached) * price.input
        + usage.cache_read_tokens * (price.input if price.cache_read is None else price.cache_read)
        + usage.cache_write_tokens * (price.input if price.cache_write is None else price.cache_write)
        + usage.output_tokens * price.output
    )
    return int((cost * 1000).to_integral_value())  # per million tokens, in units of 1e-9


async def _save(turn: OpenTurn[Plan], outcome: Outcome, database: Database) -> TurnRecord | None:
    """Store the outcome; tries again while the database does not answer. None when it never did."""
    deadline = asyncio.get_running_loop().time() + SAVE_PATIENCE
    pause = 0.1
    while True:
        try:
            if await database.write(finish_turn, turn.id, turn.reply_message_id, outcome):
                return _record(turn, outcome)
            return await database.read(load_turn, turn.user_id, turn.id)  # its lease had run out
        except NotFound:
            return _record(turn, msgspec.structs.replace(outcome, **CHAT_GONE))
        except StorageUnavailable:
            if asyncio.get_running_loop().time() + pause > deadline:
                logger.exception("a turn could not be saved", extra={"turn_id": str(turn.id)})
                return None
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5)


def _record(turn: OpenTurn[Plan], outcome: Outcome) -> TurnRecord:
    return TurnRecord(
        id=turn.id,
        chat_id=turn.chat_id,
        user_id=turn.user_id,
        user_message_id=turn.user_message_id,
        reply_message_id=turn.reply_message_id,
        state=outcome.state,
        finish_reason=outcome.finish_reason,
        content=outcome.content,
        persona=turn.opening.persona,
        persona_digest=turn.prepared.persona_digest,
        model=outcome.model,
        notices=list(outcome.notices),
        usage=outcome.usage,
        cost_nano=outcome.cost_nano,
        error_code=outcome.error_code,
        error_message=outcome.error_message,
        events=outcome.events,
        first_content_ms=outcome.first_content_ms,
        started_at=turn.started_at,
        ended_at=outcome.ended_at,
    )
