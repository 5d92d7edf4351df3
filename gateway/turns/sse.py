"""A turn's events over HTTP: server-sent events from any point, with pings from the first moment.

The response is a bare ASGI callable: it only reads the turn's log, and a reader that leaves changes nothing for the
turn. All events that have come together leave in one send.
"""

import asyncio
from uuid import UUID

from litestar.types import ASGIApp, Receive, Scope, Send

from gateway.errors import InvalidInput
from gateway.limits import OpenStreams
from gateway.turns.log import TurnLog

PING_EVERY = 15.0
"""Seconds of silence after which a comment is sent, so that proxies keep the connection."""

HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"x-accel-buffering", b"no"),
]


def event_stream(log: TurnLog, user_id: UUID, streams: OpenStreams, after: int | None = None) -> ASGIApp:
    """A response that tells a turn's events after the one of this number (None: from the first).

    `OpenStreams.require_room` is the caller's to ask, before it changes anything.
    """

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        with streams.holding(user_id):
            gone = asyncio.create_task(until_gone(receive, log))
            log.readers += 1
            try:
                await _tell(log, after, send, gone)
            finally:
                log.readers -= 1
                gone.cancel()

    return respond


def no_content() -> ASGIApp:
    """204: there is nothing to tell any more, and an EventSource does not come back."""

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return respond


def parse_event_id(turn_id: UUID, last_event_id: str | None) -> int | None:
    """The number in a `Last-Event-ID` of this turn. Raises `InvalidInput` for another turn's, or for what is none."""
    if not last_event_id:
        return None
    turn, _, number = last_event_id.partition(".")
    if turn != str(turn_id) or not (number.isascii() and number.isdigit() and len(number) <= 10):
        raise InvalidInput("This Last-Event-ID is not one of this turn. Leave it out to read from the beginning.")
    return int(number)


async def _tell(log: TurnLog, after: int | None, send: Send, gone: "asyncio.Task[None]") -> None:
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    body = b"retry: 2000\n"  # a field of the first event: alone, some readers would take it for one
    told = log.index_after(after)
    while not gone.done():
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


async def until_gone(receive: Receive, log: TurnLog) -> None:
    """Wait until the client has hung up, then have the log's readers look."""
    while (await receive())["type"] != "http.disconnect":
        pass
    log.wake()
