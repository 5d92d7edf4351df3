"""A turn's answer: events as they come, or one JSON document when it has ended, as the client accepts."""

import hashlib
from typing import Any

import msgspec
from litestar import Request
from litestar.types import ASGIApp, Receive, Scope, Send

from gateway.errors import InvalidInput, Unavailable
from gateway.identity.principal import Principal
from gateway.readers import Reader, Readers
from gateway.turns.log import TurnLog
from gateway.turns.running import RunningTurns
from gateway.turns.sse import answer_events, attending
from storage.turns.idempotency import IdempotencyKey
from storage.turns.opening import AskedTurn

LONGEST_KEY = 255

CLIENT_GONE = 499
"""The status that the log and the metrics show for a client that hung up before its answer; nobody reads it."""


async def idempotency_key(request: Request[Any, Any, Any]) -> IdempotencyKey | None:
    """The request's `Idempotency-Key`, quoted or bare, or None. Raises `InvalidInput` for a malformed one."""
    value = request.headers.get("idempotency-key")
    if value is None:
        return None
    key = value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
    if not (0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
        raise InvalidInput(f"An Idempotency-Key has 1 to {LONGEST_KEY} visible ASCII characters.")
    fingerprint = hashlib.sha256(await request.body()).digest()
    return IdempotencyKey(f"{request.method} {request.scope['path'].lower()}", key, fingerprint)


def ask_turn(request: Request[Principal, Any, Any], asked: AskedTurn, turns: RunningTurns, readers: Readers) -> ASGIApp:
    """A response that opens a turn and answers with it, as the client accepts. Both are 200, also when the turn fails.

    It raises `TooManyRequests` before anything was changed, what `RunningTurns.begin` raises, and the reader's refusal
    when they lose access while they wait.
    """
    streaming = "text/event-stream" in request.headers.get("accept", "")
    answer = answer_events if streaming else _answer_whole

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        with readers.open(request.user, asked.chat_id) as reader:
            log = await turns.begin(asked, request.user, scope["state"]["request_id"])
            await answer(log, reader, receive, send)

    return respond


async def _answer_whole(log: TurnLog, reader: Reader, receive: Receive, send: Send) -> None:
    with attending(log, reader, receive):
        while not (log.ended or reader.ended):
            await reader.called()
    if reader.refusal is not None:
        raise reader.refusal
    if not log.ended:
        await _answer(send, CLIENT_GONE, b"")
    elif log.outcome is None:
        raise log.refusal or Unavailable("The turn could not be stored. Read it again in a moment.", retry_after=5)
    else:
        await _answer(send, 200, msgspec.json.encode(log.outcome))


async def _answer(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
