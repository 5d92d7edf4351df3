"""Chats over HTTP: opening, listing, changing and deleting them, their data, and the list of them."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Router, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from gateway.catalog import CurrentCatalog
from gateway.chats.greetings import chosen_greeting
from gateway.chats.previewing import preview_context
from gateway.chats.schemas import (
    ChatChange,
    ChatView,
    ContextView,
    HistoryItemView,
    NewChat,
    SessionData,
    chat_view,
)
from gateway.chats.session_data import parse_session_data, shown_session_data
from gateway.http.paging import (
    DEFAULT,
    Page,
    PageLimit,
    decode_cursor,
    encode_cursor,
    encode_moment,
    one_direction,
    page,
    read_moment,
)
from gateway.identity.guards import requires
from gateway.identity.principal import Principal
from gateway.identity.write_limits import SPENDS_A_WRITE
from gateway.policy import Permission
from gateway.text import tokens_of
from gateway.turns.preparing import admitted_persona
from personas.catalog import Catalog
from personas.macros import Scene
from providers.registry import Registry
from storage.chats.chat_history import list_history
from storage.chats.chats import (
    Chat,
    Greeting,
    create_chat,
    delete_chat,
    list_chats,
    load_chat,
    load_session_data,
    rename_chat,
    set_session_data,
    switch_branch,
)
from storage.database import Database
from storage.database.columns import now

Caller = Request[Principal, Any, Any]


Position = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


def _view(chat: Chat, catalog: Catalog, reader: Principal) -> ChatView:
    persona = catalog.personas.get(chat.persona)
    return chat_view(chat, read_only=persona is None or not persona.admits(reader.role, reader.username))


@post("/chats", guards=[requires(Permission.chats_write)])
async def open_chat(
    request: Caller,
    data: JSONBody[NewChat],
    database: NamedDependency[Database],
    catalog: NamedDependency[CurrentCatalog],
) -> ChatView:
    """Open a chat with a persona. One of its greetings, the first unless another is chosen, is the first message."""
    reader = request.user
    persona = admitted_persona(catalog.current, data.persona, reader)
    greeting = None
    if (text := chosen_greeting(persona, data.greeting, Scene(user=reader.display_name, now=now()))) is not None:
        greeting = Greeting(content=text, tokens=await tokens_of(text), persona_digest=persona.digest)
    chat = await database.write(
        create_chat,
        reader.user_id,
        persona=persona.id,
        title=data.title.strip(),
        channel=data.channel,
        data=parse_session_data(data.data),
        participants=data.participants,
        greeting=greeting,
    )
    return _view(chat, catalog.current, reader)


@get("/chats", guards=[requires(Permission.chats_read)])
async def read_chats(
    request: Caller,
    database: NamedDependency[Database],
    catalog: NamedDependency[CurrentCatalog],
    after: FromQuery[str | None] = None,
    before: FromQuery[str | None] = None,
    limit: PageLimit = DEFAULT,
) -> Page[ChatView]:
    """The chats that one takes part in, the latest used first."""
    one_direction(after, before)
    found = await database.read(
        list_chats,
        request.user.user_id,
        after=read_moment(after),
        before=read_moment(before),
        limit=limit + 1,
    )
    return page(
        found,
        limit,
        lambda chat: encode_moment(chat.updated_at, chat.id),
        after=after,
        before=before,
        view=lambda chat: _view(chat, catalog.current, request.user),
    )


@get("/chats/{chat_id:uuid}", guards=[requires(Permission.chats_read)])
async def read_chat(
    request: Caller,
    chat_id: FromPath[UUID],
    database: NamedDependency[Database],
    catalog: NamedDependency[CurrentCatalog],
) -> ChatView:
    """A chat that one takes part in."""
    return _view(await database.read(load_chat, request.user.user_id, chat_id), catalog.current, request.user)


@patch("/chats/{chat_id:uuid}", guards=[requires(Permission.chats_write)])
async def change_chat(
    request: Caller,
    chat_id: FromPath[UUID],
    data: JSONBody[ChatChange],
    database: NamedDependency[Database],
    catalog: NamedDependency[CurrentCatalog],
) -> ChatView:
    """Rename a chat, or switch to another branch of it."""
    if data.title is not msgspec.UNSET:
        await database.write(rename_chat, request.user.user_id, chat_id, data.title.strip())
    if data.active_leaf is not msgspec.UNSET:
        await database.write(switch_branch, request.user.user_id, chat_id, data.active_leaf)
    return _view(await database.read(load_chat, request.user.user_id, chat_id), catalog.current, request.user)


@delete("/chats/{chat_id:uuid}", guards=[requires(Permission.chats_write)])
async def remove_chat(request: Caller, chat_id: FromPath[UUID], database: NamedDependency[Database]) -> None:
    """Delete a chat and all that was said in it; only its owner may."""
    await database.write_long(delete_chat, request.user.user_id, chat_id)


@get("/chats/{chat_id:uuid}/context", guards=[requires(Permission.chats_read)], opt=SPENDS_A_WRITE)
async def read_context(
    request: Caller,
    chat_id: FromPath[UUID],
    database: NamedDependency[Database],
    catalog: NamedDependency[CurrentCatalog],
    providers: NamedDependency[Registry],
) -> ContextView:
    """The chat's data, and what a next turn would be sent."""
    stored = await database.read(load_session_data, request.user.user_id, chat_id)
    manifest = await preview_context(database, catalog.current, providers, request.user, chat_id)
    return ContextView(data=shown_session_data(stored), next=manifest)


@put("/chats/{chat_id:uuid}/context", guards=[requires(Permission.chats_write)])
async def put_context(
    request: Caller, chat_id: FromPath[UUID], data: JSONBody[SessionData], database: NamedDependency[Database]
) -> SessionData:
    """Replace the chat's data, which is sent with each turn."""
    stored = parse_session_data(data.data)
    await database.write(set_session_data, request.user.user_id, chat_id, stored)
    return SessionData(shown_session_data(stored))


@get("/history", guards=[requires(Permission.chats_read)])
async def read_history(
    request: Caller,
    database: NamedDependency[Database],
    after: FromQuery[str | None] = None,
    before: FromQuery[str | None] = None,
    limit: PageLimit = DEFAULT,
) -> Page[HistoryItemView]:
    """One's list of chats, in the order in which they came to one."""
    one_direction(after, before)
    found = await database.read(
        list_history,
        request.user.user_id,
        after=decode_cursor(after, Position),
        before=decode_cursor(before, Position),
        limit=limit + 1,
    )
    return page(
        found,
        limit,
        lambda item: encode_cursor(item.position),
        after=after,
        before=before,
        view=lambda item: HistoryItemView(chat_id=item.chat_id, position=item.position, timestamp=item.timestamp),
    )


router = Router(
    "/api",
    route_handlers=[
        open_chat,
        read_chats,
        read_chat,
        change_chat,
        remove_chat,
        read_context,
        put_context,
        read_history,
    ],
    tags=["chats"],
)
