"""What every stream of a turn has to keep to, whatever went wrong behind it."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from builders import Person, text_of
from httpx_sse import ServerSentEvent

TERMINAL = {
    "completed": "turn.completed",
    "truncated": "turn.completed",
    "filtered": "turn.completed",
    "stopped": "turn.stopped",
    "failed": "turn.failed",
    "interrupted": "turn.failed",
}


def numbers(events: list[ServerSentEvent]) -> list[int]:
    """The numbers in the events' ids."""
    return [int(event.id.rpartition(".")[2]) for event in events]


def is_terminal(event: ServerSentEvent) -> bool:
    return event.event in ("turn.completed", "turn.stopped", "turn.failed")


async def whole(source: AsyncIterator[ServerSentEvent], patience: float = 60) -> list[ServerSentEvent]:
    """All events of a stream, which has to end by itself."""

    async def read() -> list[ServerSentEvent]:
        return [event async for event in source]

    return await asyncio.wait_for(read(), patience)


async def ended_well(person: Person, events: list[ServerSentEvent]) -> dict[str, Any]:
    """The turn that these events, read up to their end, tell of: they keep to every rule of a turn's stream."""
    terminal = [event for event in events if is_terminal(event)]
    assert len(terminal) == 1, [event.event for event in events]
    assert events[-1] is terminal[0]
    told = numbers(events)
    assert told == sorted(set(told)), told
    turn: dict[str, Any] = json.loads(terminal[0].data)
    assert terminal[0].event == TERMINAL[turn["state"]]
    assert text_of(events) == turn["reply"]["content"]
    assert {event.id.partition(".")[0] for event in events} == {turn["id"]}
    assert (await person.get(f"/api/turns/{turn['id']}")).json() == turn
    assert turn["ended_at"] is not None
    if turn["state"] != "filtered":  # an answer may be filtered with or without an error of the provider's
        assert (turn["error"] is not None) == (turn["state"] in ("failed", "interrupted"))
    return turn
