"""A turn's numbered events, encoded once for everybody who reads them.

Producers append and never wait; a reader is an index into the list, so a slow one holds nobody up, and one that comes
back goes on where it left. Event names and their data stand in `docs/events.md`.
"""

import asyncio
from bisect import bisect_right
from typing import Any
from uuid import UUID

import msgspec

from gateway.turns.views import TurnStarted, TurnView
from storage.errors import NotFound

TERMINAL = {
    "completed": b"turn.completed",
    "truncated": b"turn.completed",
    "filtered": b"turn.completed",
    "stopped": b"turn.stopped",
    "failed": b"turn.failed",
    "interrupted": b"turn.failed",
}
"""The name of the terminal event, by the state in which a turn ended."""

_encode = msgspec.json.Encoder().encode


class TurnLog:
    """The events of one turn, `id: <turn>.<seq>` from 0, its text so far, and in the end its outcome.

    One that was closed without an outcome may have a `refusal`: its reader may not see the turn any more.
    """

    def __init__(self, turn_id: UUID, chat_id: UUID) -> None:
        self.turn_id = turn_id
        self.chat_id = chat_id
        self.events: list[bytes] = []
        self.ended = False
        self.outcome: TurnView | None = None
        self.refusal: NotFound | None = None
        self.readers = 0
        self._prefix = f"id: {turn_id}.".encode()
        self._seqs: list[int] = []
        self._parts: list[str] = []
        self._waiting: list[asyncio.Future[bool]] = []

    @property
    def text(self) -> str:
        """Everything said so far."""
        if len(self._parts) > 1:
            self._parts = ["".join(self._parts)]
        return self._parts[0] if self._parts else ""

    @property
    def next_seq(self) -> int:
        """The number of the next event."""
        return self._seqs[-1] + 1 if self._seqs else 0

    def start(self, started: TurnStarted) -> None:
        """Append `turn.started`."""
        self._append(b"turn.started", started)

    def add_text(self, text: str) -> None:
        """Append `reply.delta`."""
        self._parts.append(text)
        self._append(b"reply.delta", {"text": text})

    def add_snapshot(self, text: str, seq: int | None = None) -> None:
        """Append `turn.snapshot`: everything so far, in place of the deltas before it."""
        self._parts = [text]
        self._append(b"turn.snapshot", {"text": text}, seq)

    def end(self, turn: TurnView, seq: int | None = None) -> None:
        """Append the terminal event; call it after the commit."""
        self.ended = True
        self.outcome = turn
        self._append(TERMINAL[turn.state], turn, seq)

    def close(self, refusal: NotFound | None = None) -> None:
        """Send readers away, also from a log that has no terminal event."""
        self.ended = True
        self.refusal = refusal
        self.wake()

    def index_after(self, seq: int | None) -> int:
        """Where a reader goes on who has seen the event of this number (None: nothing yet)."""
        return 0 if seq is None else bisect_right(self._seqs, seq)

    async def changed(self, patience: float) -> bool:
        """Wait for the next event, or the end; False when neither came within `patience` seconds."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        self._waiting.append(waiter)
        timer = loop.call_later(patience, _settle, waiter, False)
        try:
            return await waiter
        finally:
            timer.cancel()

    def _append(self, name: bytes, data: Any, seq: int | None = None) -> None:
        number = self.next_seq if seq is None else seq
        self._seqs.append(number)
        self.events.append(b"%b%d\nevent: %b\ndata: %b\n\n" % (self._prefix, number, name, _encode(data)))
        self.wake()

    def wake(self) -> None:
        """Let every reader look again."""
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            _settle(waiter, True)


def _settle(waiter: "asyncio.Future[bool]", changed: bool) -> None:
    if not waiter.done():
        waiter.set_result(changed)
