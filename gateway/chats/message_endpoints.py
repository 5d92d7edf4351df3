"""What is said in a chat over HTTP: reading its branch, saying something, asking for a turn."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, Router, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.types import ASGIApp

from gateway.chats.schemas import MessageView, NewMessage, message_view
from gateway.http.paging import DEFAULT, Page, PageLimit, decode_cursor, encode_cursor, one_direction, page_of
from gateway.identity.guards import requires
from gateway.identity.principal import Principal
from gateway.identity.write_limits import SPENDS_A_TURN
from gateway.markdown import render_markdown
from gateway.policy import Permission
from gateway.readers import Readers
from gateway.text import require_text, tokens_of
from gateway.turns.answering import ask_turn, idempotency_key
from gateway.turns.running import RunningTurns
from gateway.turns.views import TurnView
from providers.messages import Role
from storage.chats.chats import add_message
from storage.conversations.branches import load_branch, one_of_branch
from storage.database import Database
from storage.turns.opening import AskedTurn

Caller = Request[Principal, Any, Any]


@get("/{chat_id:uuid}/messages", guards=[requires(Permission.chats_read)])
async def read_messages(
    request: Caller,
    chat_id: FromPath[UUID],
    database: NamedDependency[Database],
    after: FromQuery[str | None] = None,
    before: FromQuery[str | None] = None,
    limit: PageLimit = DEFAULT,
    render: FromQuery[Literal["html"] | None] = None,
) -> Page[MessageView]:
    """The chat's active branch, oldest first: its newest messages, or those before or after a cursor.

    There are `limit` of them at most, and fewer where they are long: a page ends at 1,048,576 characters.
    """
    one_direction(after, before)
    found = await database.read(
        load_branch,
        request.user.user_id,
        chat_id,
        after=decode_cursor(after, UUID),
        before=decode_cursor(before, UUID),
        limit=limit,
    )
    told = page_of(
        found.messages,
        found.more,
        lambda message: encode_cursor(message.id),
        after=after,
        before=before,
        view=partial(message_view, chat_id),
        from_end=True,
    )
    return await asyncio.get_running_loop().run_in_executor(_RENDERERS, _with_html, told) if render else told


_RENDERERS = ThreadPoolExecutor(1, thread_name_prefix="markdown")
"""Some texts take long to render: they hold up this thread, and nobody who does something else."""

RENDER_SECONDS = 0.5
"""What a page may cost; the replies beyond it are shown as they were written."""


def _with_html(told: Page[MessageView]) -> Page[MessageView]:
    """The page with the personas' replies rendered; what people write is shown as they wrote it."""
    rendered = []
    deadline = time.monotonic() + RENDER_SECONDS
    for message in reversed(told.data):  # the newest first: they are what is looked at
        if message.role == Role.assistant and time.monotonic() < deadline:
            message = msgspec.structs.replace(message, html=render_markdown(message.content))
        rendered.append(message)
    return Page(rendered[::-1], told.next, told.prev)


@post("/{chat_id:uuid}/messages", guards=[requires(Permission.chats_write)])
async def say(
    request: Caller, chat_id: FromPath[UUID], data: JSONBody[NewMessage], database: NamedDependency[Database]
) -> MessageView:
    """Say something without asking for a reply."""
    content = require_text(data.content)
    message_id = await database.write(
        add_message,
        request.user.user_id,
        chat_id,
        content=content,
        tokens=await tokens_of(content),
        parent=data.parent_id,
    )
    return message_view(chat_id, await database.read(one_of_branch, chat_id, message_id))


@post(
    "/{chat_id:uuid}/turns",
    guards=[requires(Permission.turns_write)],
    opt=SPENDS_A_TURN,
    status_code=200,
    responses={
        200: ResponseSpec(TurnView, description="The turn, as JSON when it has ended or as events, as accepted.")
    },
)
async def ask(
    request: Caller,
    chat_id: FromPath[UUID],
    data: JSONBody[NewMessage],
    turns: NamedDependency[RunningTurns],
    readers: NamedDependency[Readers],
) -> ASGIApp:
    """Say something and have the persona reply. `Accept: text/event-stream` streams, `application/json` waits."""
    content = require_text(data.content)
    asked = AskedTurn(
        user_id=request.user.user_id,
        chat_id=chat_id,
        content=content,
        tokens=await tokens_of(content),
        parent=data.parent_id,
        key=await idempotency_key(request),
    )
    return ask_turn(request, asked, turns, readers)


router = Router("/api/chats", route_handlers=[read_messages, say, ask], tags=["chats"])
