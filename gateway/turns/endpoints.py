"""Turns over HTTP: reading them and their events, stopping them, trying again, and what was sent."""

from typing import Any
from uuid import UUID

from litestar import Request, Router, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath
from litestar.types import ASGIApp, Receive, Scope, Send

from gateway.catalog import CurrentCatalog
from gateway.identity.guards import requires
from gateway.identity.principal import Principal
from gateway.identity.write_limits import SPENDS_A_TURN, UNCOUNTED
from gateway.policy import Permission
from gateway.readers import Readers
from gateway.turns.answering import ask_turn, idempotency_key
from gateway.turns.manifests import stored_context
from gateway.turns.running import RunningTurns
from gateway.turns.sse import answer_events, answer_nothing, parse_event_id
from gateway.turns.views import TurnView, turn_view
from storage.database import Database
from storage.turns.opening import AskedTurn
from storage.turns.rows import load_turn

Caller = Request[Principal, Any, Any]


@get("/{turn_id:uuid}", guards=[requires(Permission.turns_read)])
async def read_turn(request: Caller, turn_id: FromPath[UUID], database: NamedDependency[Database]) -> TurnView:
    """A turn of a chat that one takes part in, as it stands."""
    return turn_view(await database.read(load_turn, request.user.user_id, turn_id))


@get(
    "/{turn_id:uuid}/events",
    guards=[requires(Permission.turns_read)],
    status_code=200,
    responses={
        200: ResponseSpec(bytes, description="The turn's events.", media_type="text/event-stream"),
        204: ResponseSpec(None, description="Everything up to the terminal event was seen already."),
    },
)
async def read_events(
    request: Caller,
    turn_id: FromPath[UUID],
    turns: NamedDependency[RunningTurns],
    readers: NamedDependency[Readers],
) -> ASGIApp:
    """The turn's numbered events as server-sent events, from the one after `Last-Event-ID` on."""
    after = parse_event_id(turn_id, request.headers.get("last-event-id"))
    log = await turns.attach(request.user.user_id, turn_id)

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        if log.ended and after is not None and after >= log.newest:
            await answer_nothing(send)
            return
        with readers.open(request.user, log.chat_id) as reader:
            await answer_events(log, reader, receive, send, after)

    return respond


@post("/{turn_id:uuid}/stop", guards=[requires(Permission.turns_write)], opt=UNCOUNTED, status_code=202)
async def stop_turn(request: Caller, turn_id: FromPath[UUID], turns: NamedDependency[RunningTurns]) -> None:
    """Stop a running turn, from anywhere; what was said so far is kept. One that has ended stays as it is."""
    await turns.stop(request.user.user_id, turn_id)


@post(
    "/{turn_id:uuid}/retry",
    guards=[requires(Permission.turns_write)],
    opt=SPENDS_A_TURN,
    status_code=200,
    responses={200: ResponseSpec(TurnView, description="The new turn, as JSON or as events, as accepted.")},
)
async def retry_turn(
    request: Caller,
    turn_id: FromPath[UUID],
    database: NamedDependency[Database],
    turns: NamedDependency[RunningTurns],
    readers: NamedDependency[Readers],
) -> ASGIApp:
    """Have the turn's message answered once more; the new reply is a sibling of the old one."""
    chat_id = (await database.read(load_turn, request.user.user_id, turn_id)).chat_id
    asked = AskedTurn(
        user_id=request.user.user_id, chat_id=chat_id, retried=turn_id, key=await idempotency_key(request)
    )
    return ask_turn(request, asked, turns, readers)


@get("/{turn_id:uuid}/context", guards=[requires(Permission.turns_read)])
async def read_context(
    request: Caller,
    turn_id: FromPath[UUID],
    database: NamedDependency[Database],
    catalog: NamedDependency[CurrentCatalog],
) -> dict[str, Any]:
    """The manifest of what was sent in a turn: for who asked it, and for operators."""
    return await stored_context(database, catalog.current, request.user, turn_id)


router = Router(
    "/api/turns", route_handlers=[read_turn, read_events, stop_turn, retry_turn, read_context], tags=["turns"]
)
