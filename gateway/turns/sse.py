"""A turn's events over HTTP: server-sent events from any point, with pings from the first moment.

The response only reads the turn's log, and a reader that leaves changes nothing for the turn. All events that have
come together leave in one send.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from litestar.types import Receive, Send

from gateway.errors import InvalidInput
from gateway.readers import Reader
from gateway.turns.log import TurnLog

PING_EVERY = 15.0
"""Seconds of silence within which a comment is sent, so that proxies keep the connection."""

HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"x-accel-buffering", b"no"),
]


async def answer_events(log: TurnLog, reader: Reader, receive: Receive, send: Send, after: int | None = None) -> None:
    """Tell a turn's events after the one of this number (None: from the first), to its end or the reader's."""
    with attending(log, reader, receive):
        await _tell(log, after, send, reader)


async def answer_nothing(send: Send) -> None:
    """204: there is nothing to tell any more, and an EventSource does not come back."""
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


@contextmanager
def attending(log: TurnLog, reader: Reader, receive: Receive) -> Iterator[None]:
    """Count the reader among those of the log, and end them when the client hangs up.

    Raises their refusal if they lost access before it began.
    """
    if reader.refusal is not None:
        raise reader.refusal
    hanging_up = asyncio.create_task(_until_gone(receive, reader))
    log.readers.add(reader)
    try:
        yield
    finally:
        log.readers.remove(reader)
        hanging_up.cancel()


def parse_event_id(turn_id: UUID, last_event_id: str | None) -> int | None:
    """The number in a `Last-Event-ID` of this turn. Raises `InvalidInput` for another turn's, or for what is none."""
    if not last_event_id:
        return None
    turn, _, number = last_event_id.partition(".")
    if turn != str(turn_id) or not (number.isascii() and number.isdigit() and len(number) <= 10):
        raise InvalidInput("This Last-Event-ID is not one of this turn. Leave it out to read from the beginning.")
    return int(number)


async def _tell(log: TurnLog, after: int | None, send: Send, reader: Reader) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    told = -1 if after is None else after
    body = b"retry: 2000\n"  # a field of the first event: alone, some readers would take it for one
    pings = _Pings(reader)
    try:
        while not reader.ended:
            if told < log.newest:
                body += log.since(told)
                told = log.newest
            if log.ended:
                if told > log.newest:  # who claims to have seen more than there is learns at least how it ended
                    body += log.since(log.newest - 1)
                break
            if pings.due and not body:
                body = b": ping\n\n"
            if body:
                pings.put_off()
                await send({"type": "http.response.body", "body": body, "more_body": True})
                body = b""
            else:
                await reader.called()
    finally:
        pings.stop()
    await send({"type": "http.response.body", "body": body, "more_body": False})


class _Pings:
    """Calls a reader when a ping is `due`: half of `PING_EVERY` after the last word at the earliest.

    One timer that goes on by itself: setting it anew at each event would cost more than the event.
    """

    def __init__(self, reader: Reader) -> None:
        self.due = False
        self._quiet = True
        self._reader = reader
        self._wait()

    def put_off(self) -> None:
        """Something is told, so there is no silence."""
        self.due = self._quiet = False

    def stop(self) -> None:
        """No ping is due any more."""
        self._timer.cancel()

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(PING_EVERY / 2, self._look)

    def _look(self) -> None:
        self.due, self._quiet = self._quiet, True
        if self.due:
            self._reader.wake()
        self._wait()


async def _until_gone(receive: Receive, reader: Reader) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    reader.end()
