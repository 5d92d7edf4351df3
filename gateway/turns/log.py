"""A turn's numbered events, encoded once for everybody who reads them.

Producers append and never wait; a reader is the number of the last event it was told, so a slow one holds nobody up,
and one that comes back goes on where it left. Only the newest events are kept: who is further behind is told everything
so far as one snapshot. Event names and their data stand in `docs/events.md`.
"""

from bisect import bisect_right
from typing import Any
from uuid import UUID

import msgspec

from gateway.readers import Reader
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

MOST_KEPT = 64
"""Events kept of a turn, and half as many at least: about 10 KB, where a stream of an hour would come to 10 MB."""

_encode = msgspec.json.Encoder().encode


class TurnLog:
    """The events of one turn, `id: <turn>.<seq>` from 0, its text so far, and in the end its outcome.

    `newest` is the number of the newest event, -1 before the first. A log that was closed without an outcome may have a
    `refusal`: its reader may not see the turn any more.
    """

    def __init__(self, turn_id: UUID, chat_id: UUID) -> None:
        self.turn_id = turn_id
        self.chat_id = chat_id
        self.newest = -1
        self.ended = False
        self.outcome: TurnView | None = None
        self.refusal: NotFound | None = None
        self.readers: set[Reader] = set()
        self._prefix = f"id: {turn_id}.".encode()
        self._parts: list[str] = []
        self._started = b""
        self._seqs: list[int] = []
        self._events: list[bytes] = []
        self._dropped = -1

    @property
    def text(self) -> str:
        """Everything said so far."""
        if len(self._parts) > 1:
            self._parts = ["".join(self._parts)]
        return self._parts[0] if self._parts else ""

    def start(self, started: TurnStarted) -> None:
        """Tell `turn.started`."""
        self.newest += 1
        self._started = self._encoded(b"turn.started", started, self.newest)
        self.wake()

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

    def since(self, seq: int) -> bytes:
        """All events after the one of this number (-1: from the first), as they are sent."""
        started = self._started if seq < 0 else b""
        if seq < self._dropped:
            return started + self._snapshot()
        return started + b"".join(self._events[bisect_right(self._seqs, seq) :])

    def wake(self) -> None:
        """Let every reader look again."""
        for reader in self.readers:
            reader.wake()

    def _append(self, name: bytes, data: Any, seq: int | None = None) -> None:
        self.newest = self.newest + 1 if seq is None else seq
        self._seqs.append(self.newest)
        self._events.append(self._encoded(name, data, self.newest))
        if len(self._events) > MOST_KEPT:
            half = MOST_KEPT // 2
            self._dropped = self._seqs[half - 1]
            del self._events[:half], self._seqs[:half]
        self.wake()

    def _snapshot(self) -> bytes:
        """Everything so far, and how it ended if it did, in place of all events that are kept."""
        last = -1 if self.outcome is None else -2
        snapshot = self._encoded(b"turn.snapshot", {"text": self.text}, self._seqs[last])
        return snapshot if self.outcome is None else snapshot + self._events[-1]

    def _encoded(self, name: bytes, data: Any, seq: int) -> bytes:
        return b"%b%d\nevent: %b\ndata: %b\n\n" % (self._prefix, seq, name, _encode(data))
