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
"""Seconds of silence after which a comment is sent, so that proxies keep the connection."""

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
    reader.wake = log.wake
    hanging_up = asyncio.create_task(_until_gone(receive, reader))
    log.readers += 1
    try:
        yield
    finally:
        log.readers -= 1
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
    body = b"retry: 2000\n"  # a field of the first event: alone, some readers would take it for one
    told = log.index_after(after)
    while not reader.ended:
        if told < len(log.events):
            body += b"".join(log.events[told:])
            told = len(log.events)
        if log.ended:
            break
        if body:
            await send({"type": "http.response.body", "body": body, "more_body": True})
            body = b""
        elif not await log.changed(PING_EVERY):
            body = b": ping\n\n"
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def _until_gone(receive: Receive, reader: Reader) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    reader.end()
